//! The program: its command line, its signals, its start and its end.

mod commands;
mod control;
mod life;
mod reload;
mod tls;
