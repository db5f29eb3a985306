//! Scopes of tokens.
#![no_main]

use entrepot::oci::Scopes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines: Vec<&str> = text.lines().collect();
    if let Ok(scopes) = Scopes::parse(&lines, Some("registry.test:443")) {
        let again: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let again =
            Scopes::parse(&again, Some("registry.test:443")).expect("what was written is read");
        assert_eq!(again, scopes);
    }
});
