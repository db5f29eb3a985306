//! `entrepot check-config [FILE]`: says all that is wrong, changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Output;
use crate::app::cli::{Common, ServeArgs};
use crate::config::{Config, ConfigSource, Environment};

pub(super) fn run(
    file: Option<PathBuf>,
    common: &Common,
    environment: &Environment,
    output: &Output,
) -> ExitCode {
    let source = ConfigSource::find(file);
    let name = source.name();
    match Config::load(source, environment, &common.flags(&ServeArgs::default())) {
        Ok((config, warnings)) => {
            for warning in &warnings {
                output.line(format_args!("warning: {warning}"));
            }
            let caches = counted(config.upstreams.len(), "cache");
            let warnings = counted(warnings.len(), "warning");
            output.line(format_args!("{name}: good, {caches}, {warnings}"));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            for mistake in &mistakes {
                output.line(format_args!("error: {mistake}"));
            }
            let mistakes = counted(mistakes.len(), "mistake");
            output.line(format_args!("{name}: {mistakes}"));
            ExitCode::FAILURE
        }
    }
}

/// A number with its noun: `1 cache`, `2 caches`.
fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
