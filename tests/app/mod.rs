//! The program: its command line, its signals, its start and its end.

mod accounts;
mod commands;
mod control;
mod life;
mod manual;
mod prune;
mod reload;
mod tags;
mod tls;
mod upkeep;
