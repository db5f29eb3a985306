//! The program: its command line, its signals, its start and its end.

pub(crate) mod accounts;
mod commands;
mod control;
mod explain;
mod life;
mod manual;
mod prune;
mod redirect;
mod reload;
mod samples;
mod sockets;
mod tags;
mod tls;
mod upkeep;
