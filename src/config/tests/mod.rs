//! The room as `serve` and `check-config` see it: a text in, a configuration or all its mistakes out.

mod broken;
mod defaults;
mod documented;
mod local;
mod mirrors;
mod overrides;
mod people;
mod prune;
mod reloads;

use super::*;

/// What loading `text` as `config.yaml` gives, without environment and flags.
fn load(text: &str) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    load_with(text, &Environment::default(), &Flags::default())
}

fn load_with(
    text: &str,
    environment: &Environment,
    flags: &Flags,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let source = ConfigSource::Text {
        name: "config.yaml".to_owned(),
        text: text.to_owned(),
    };
    Config::load(source, environment, flags)
}

/// A configuration that must be right.
fn good(text: &str) -> Config {
    let (mut config, _) = load(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    // What was written down is not compared, only what it comes to.
    config.given.clear();
    config
}

/// The warnings of a configuration that must be right.
fn warnings(text: &str) -> Vec<String> {
    let loaded = load(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    loaded.1.iter().map(ToString::to_string).collect()
}

fn environment<const N: usize>(variables: [(&str, &str); N]) -> Environment {
    variables.into_iter().collect()
}

/// A cache that says nothing more than it must.
fn cache(more: &str) -> String {
    format!("PROXY_CACHES:\n  - organization: one\n    upstream: one.example\n{more}")
}
