//! Names and references: what is read is written the same, and never leads out of a folder.
#![no_main]

use entrepot::mirror::SourceReference;
use entrepot::model::{NamespaceName, RobotName, Timestamp, UpstreamName};
use entrepot::oci::{MediaType, Platform, Reference, RepositoryName, Tag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<RepositoryName>() {
        assert_eq!(name.as_str(), text);
        assert!(
            name.components()
                .all(|part| !part.is_empty() && part != "..")
        );
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.as_str(), text);
        assert!(!text.contains('/'));
    }
    if let Ok(name) = text.parse::<NamespaceName>() {
        assert_eq!(name.to_string(), text);
        assert!(!text.contains('/'));
    }
    let _ = text.parse::<Reference>();
    let _ = text.parse::<RobotName>();
    let _ = text.parse::<UpstreamName>();
    let _ = text.parse::<SourceReference>();
    let _ = text.parse::<Platform>();
    let _ = text.parse::<MediaType>();
    let _ = text.parse::<Timestamp>();
});
