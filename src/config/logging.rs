//! `LOG_FORMAT` and `LOG_LEVEL`.

use super::document::Node;
use super::fields::{Fields, suggestion};
use super::report::Report;
use super::server::word;
use super::value::{self, Parsed};
use crate::telemetry::{LogFormat, check_level};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// What is logged, and in which form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    pub format: LogFormat,
    /// A level, or directives by module, separated by commas; checked.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

impl LogConfig {
    pub(super) fn read(fields: &Fields, report: &mut Report<'_>) -> Self {
        let default = Self::default();
        let forms = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = fields.read(report, "LOG_FORMAT", |node| word(node, &forms));
        let level = fields.read(report, "LOG_LEVEL", level);
        Self {
            format: format.unwrap_or(default.format),
            level: level.unwrap_or(default.level),
        }
    }
}

/// The subscriber takes an unknown word for the name of a module, and would log nothing.
fn level(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    let lone = text.split(',').map(str::trim);
    let lone = lone.filter(|part| !part.contains(['=', '[', ':']));
    for word in lone {
        if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
            let hint = suggestion(word, LEVELS);
            let levels = LEVELS.join(", ");
            return Err(format!("{word:?} is not a level ({levels}){hint}"));
        }
    }
    let checked = check_level(&text);
    checked.map_err(|reason| format!("{text:?} is not a list of levels: {reason}"))?;
    Ok(text)
}
