//! Configurations: taken, or refused with a place.
#![no_main]

use entrepot::config::{Config, ConfigSource, Environment, Flags};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: String| {
    let source = ConfigSource::Text {
        name: "config.yaml".to_owned(),
        text,
    };
    if let Err(errors) = Config::load(source, &Environment::default(), &Flags::default()) {
        assert!(!errors.is_empty());
        for error in errors {
            assert!(!error.to_string().is_empty());
        }
    }
});
