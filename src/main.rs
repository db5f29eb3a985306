//! Parses the command line and hands over to `app`.

use std::process::ExitCode;

use clap::Parser as _;
use entrepot::app::{Cli, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // It fails only if a provider is installed already, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    run(cli)
}
