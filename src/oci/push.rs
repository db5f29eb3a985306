//! What a manifest must be beyond [`RawManifest::parse`] before a client may push it.
//!
//! A cache passes on what its upstream serves; what is pushed here is served to clients of every
//! language, so a document that two parsers would read differently is refused (PR-06). Go's
//! `encoding/json` takes keys without regard to case and the last of several; Python takes the last;
//! serde takes the exact one. Content that means the same to all of them passes, unknown keys included.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{InvalidManifest, Manifest, ManifestKind, MediaType, RawManifest};

/// The keys of a manifest that clients act on.
const DOCUMENT: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "blobs",
    "subject",
    "annotations",
    "fsLayers",
];

/// Those of a descriptor.
const DESCRIPTOR: &[&str] = &[
    "mediaType",
    "artifactType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "platform",
];

/// Those of a platform.
const PLATFORM: &[&str] = &[
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "features",
];

impl RawManifest {
    /// Checks what only a push has to keep to; `manifest` is the view of these bytes.
    ///
    /// # Errors
    /// [`InvalidManifest`], with the rule that was broken.
    pub fn check_push(&self, manifest: &Manifest) -> Result<(), InvalidManifest> {
        if manifest.is_schema1() {
            return Err(InvalidManifest::Schema1);
        }
        // Also keeps a manifest from being served as a web page.
        if !manifest.media_type.is_manifest() {
            return Err(InvalidManifest::UnknownType(manifest.media_type.clone()));
        }
        let is_artifact = manifest.media_type == MediaType::OCI_ARTIFACT;
        if manifest.kind == ManifestKind::Image && manifest.config.is_none() && !is_artifact {
            return Err(InvalidManifest::NoConfig);
        }
        check_sizes(manifest)?;
        let text = std::str::from_utf8(&self.bytes).map_err(|_| InvalidManifest::NotUtf8)?;
        // The artifact manifest of the 1.1 drafts had no version.
        match check_document(text)? {
            Some("2") => Ok(()),
            None if is_artifact => Ok(()),
            _ => Err(InvalidManifest::SchemaVersion),
        }
    }
}

/// Sizes are signed 64-bit numbers in Go, and so is what they add up to (DO-11).
fn check_sizes(manifest: &Manifest) -> Result<(), InvalidManifest> {
    let all = manifest
        .blobs()
        .chain(&manifest.manifests)
        .chain(&manifest.subject);
    let total = all.map(|named| named.size).try_fold(0, u64::checked_add);
    total
        .filter(|total| i64::try_from(*total).is_ok())
        .map(|_| ())
        .ok_or(InvalidManifest::TooLong)
}

/// Checks every key that clients act on; returns what is written behind `schemaVersion`.
fn check_document(text: &str) -> Result<Option<&str>, InvalidManifest> {
    let mut version = None;
    for (key, value) in keys(text, DOCUMENT)? {
        match key {
            "schemaVersion" => version = Some(value.get()),
            "config" | "subject" => check_descriptor(value)?,
            "layers" | "manifests" | "blobs" => {
                let all: Option<Vec<&RawValue>> = parse(value.get())?;
                all.into_iter().flatten().try_for_each(check_descriptor)?;
            }
            _ => {}
        }
    }
    Ok(version)
}

fn check_descriptor(value: &RawValue) -> Result<(), InvalidManifest> {
    if value.get() == "null" {
        return Ok(());
    }
    for (key, value) in keys(value.get(), DESCRIPTOR)? {
        if key == "platform" && value.get() != "null" {
            keys(value.get(), PLATFORM)?;
        }
    }
    Ok(())
}

fn parse<'de, T: serde::Deserialize<'de>>(text: &'de str) -> Result<T, InvalidManifest> {
    serde_json::from_str(text).map_err(json)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn json(error: serde_json::Error) -> InvalidManifest {
    InvalidManifest::Json(error.to_string())
}

/// The known keys of an object and what stands behind them, in order.
///
/// # Errors
/// If one stands twice, or in letters that Go takes for the same.
fn keys<'de>(
    text: &'de str,
    known: &'static [&'static str],
) -> Result<Vec<(&'static str, &'de RawValue)>, InvalidManifest> {
    let mut json_text = serde_json::Deserializer::from_str(text);
    let (found, ambiguous) = json_text.deserialize_map(Keys(known)).map_err(json)?;
    ambiguous.map_or(Ok(found), |key| Err(InvalidManifest::AmbiguousKey(key)))
}

/// Reads the known keys of an object.
struct Keys(&'static [&'static str]);

impl<'de> Visitor<'de> for Keys {
    /// The keys, and one that is ambiguous.
    type Value = (Vec<(&'static str, &'de RawValue)>, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Vec<(&'static str, &'de RawValue)> = Vec::new();
        let mut ambiguous = None;
        while let Some(Key(key)) = map.next_key()? {
            let Some(&known) = self.0.iter().find(|known| is_same_to_go(known, &key)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if known != key || found.iter().any(|(other, _)| *other == known) {
                ambiguous = Some(key.into_owned());
            }
            found.push((known, map.next_value()?));
        }
        Ok((found, ambiguous))
    }
}

/// A key, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether Go's `encoding/json` fills the field `known` from `key`: by simple case folding, in which
/// two letters beyond ASCII fold into it.
fn is_same_to_go(known: &str, key: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    known
        .chars()
        .map(fold)
        .eq(key.chars().take(known.len() + 1).map(fold))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const SHA: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn config() -> String {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{SHA}","size":2}}"#
        )
    }

    /// An image manifest with `more` after its config.
    fn image(more: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[]{more}}}"#,
            config()
        )
    }

    fn push(text: impl Into<Vec<u8>>, header: Option<&MediaType>) -> Result<(), InvalidManifest> {
        let bytes = Bytes::from(text.into());
        let (raw, manifest) = RawManifest::parse(bytes, header)?;
        raw.check_push(&manifest)
    }

    #[test]
    fn what_clients_push_passes() {
        let annotated =
            image(r#","annotations":{"a":"1","A":"2"},"unknown":{"a":1,"a":2},"x":1,"x":2"#);
        let withdrawn = format!(
            r#"{{"mediaType":"{}","artifactType":"a/b","blobs":[{}],"subject":{}}}"#,
            MediaType::OCI_ARTIFACT,
            config(),
            config()
        );
        let platform =
            r#"{"architecture":"amd64","os":"windows","os.version":"1","os.features":["a"]}"#;
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{SHA}","size":2,"data":"e30=","platform":{platform}}}]}}"#,
            MediaType::OCI_MANIFEST
        );
        for good in [
            image(""),
            image(r#","subject":null,"manifests":null"#),
            format!(r#"{{"schemaVersion":2,"config":{}}}"#, config()),
            annotated,
            withdrawn,
            index,
            r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
        ] {
            assert_eq!(push(good.as_str(), None), Ok(()), "{good}");
        }
        let docker = image("");
        assert_eq!(push(docker, Some(&MediaType::DOCKER_MANIFEST)), Ok(()));
    }

    /// PR-06: what Go, Python and we could read differently.
    #[test]
    fn what_parsers_disagree_on_is_refused() {
        let index = |child: &str| format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#);
        let child = |more: &str| {
            index(&format!(
                r#"{{"mediaType":"{}","digest":"{SHA}","size":2{more}}}"#,
                MediaType::OCI_MANIFEST
            ))
        };
        for text in [
            image(r#","layers":[]"#),
            image(r#","Layers":[]"#),
            image(r#","LAYERS":null"#),
            image(r#","layer\u017f":[]"#),
            image(r#","layer\u0073":[]"#),
            image(r#","MediaType":"text/html""#),
            image(r#","schemaversion":1"#),
            image(r#","Manifests":[]"#),
            image(r#","annotations":{},"annotations":{}"#),
            image(r#","subject":null,"Subject":null"#),
            child(r#","size":3"#),
            child(r#","Size":3"#),
            child(r#","\u017fize":3"#),
            child(r#","Digest":"x""#),
            child(r#","data":"","data":"e30=""#),
            child(r#","platform":{"os":"a","architecture":"b","OS":"c"}"#),
            child(r#","platform":{"os":"a","architecture":"b","os.features":[],"os.features":[]}"#),
        ] {
            let error = push(text.as_str(), None).unwrap_err();
            assert!(
                matches!(
                    error,
                    InvalidManifest::AmbiguousKey(_) | InvalidManifest::Json(_)
                ),
                "{text}: {error}"
            );
        }
        for text in [
            format!("\u{feff}{}", image("")),
            image("") + "{}",
            image("") + "\0",
            image(r#","x":NaN"#),
            image(r#","x":'y'"#),
            image(r#","x":1,"#),
            image(" /* comment */ "),
        ] {
            let error = push(text.as_str(), None).unwrap_err();
            assert!(matches!(error, InvalidManifest::Json(_)), "{text}: {error}");
        }
        let mut latin = image(r#","x":"?""#).into_bytes();
        let at = latin.iter().position(|b| *b == b'?').unwrap();
        latin[at] = 0xe9;
        assert_eq!(push(latin, None), Err(InvalidManifest::NotUtf8));
    }

    #[test]
    fn the_schema_is_the_second() {
        let error = push(r#"{"schemaVersion":1,"fsLayers":[]}"#, None).unwrap_err();
        assert_eq!(error, InvalidManifest::Schema1);
        assert!(error.to_string().contains("Docker schema 1"));
        let says = push(image(""), Some(&MediaType::DOCKER_SCHEMA1));
        assert_eq!(says, Err(InvalidManifest::Schema1));
        let config = config();
        for version in [
            "",
            r#""schemaVersion":1,"#,
            r#""schemaVersion":3,"#,
            r#""schemaVersion":null,"#,
        ] {
            let text = format!(r#"{{{version}"config":{config},"layers":[]}}"#);
            assert_eq!(
                push(text, None),
                Err(InvalidManifest::SchemaVersion),
                "{version}"
            );
        }
    }

    #[test]
    fn types_and_parts_are_those_of_manifests() {
        let html = MediaType::from_content_type("text/html").unwrap();
        assert_eq!(
            push(image(""), Some(&html)),
            Err(InvalidManifest::UnknownType(html.clone()))
        );
        assert_eq!(
            push(r#"{"schemaVersion":2,"layers":[]}"#, None),
            Err(InvalidManifest::NoConfig)
        );
    }

    /// DO-11: 2^63-1 is the most, alone and together.
    #[test]
    fn sizes_fit_a_signed_number() {
        let layers = |sizes: &[&str]| {
            let layers: Vec<_> = sizes
                .iter()
                .map(|size| format!(r#"{{"mediaType":"a/b","digest":"{SHA}","size":{size}}}"#))
                .collect();
            push(
                format!(
                    r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
                    config(),
                    layers.join(",")
                ),
                None,
            )
        };
        assert_eq!(layers(&["9223372036854775805"]), Ok(()));
        let too_long = Err(InvalidManifest::TooLong);
        assert_eq!(layers(&["9223372036854775806"]), too_long);
        assert_eq!(layers(&["18446744073709551615"]), too_long);
        assert_eq!(
            layers(&["9223372036854775805", "9223372036854775805"]),
            too_long
        );
        for size in ["-1", "1.5", "18446744073709551616", "\"2\"", "1e3", "null"] {
            assert!(
                matches!(layers(&[size]), Err(InvalidManifest::Json(_))),
                "{size}"
            );
        }
    }

    proptest! {
        /// DO-08: no document makes the checks panic; what passes has one reading of each known key.
        #[test]
        fn any_document_is_judged_without_a_panic(
            parts in proptest::collection::vec(
                "\"(schemaVersion|mediaType|Layers|layers|config|manifests|subject|x)\":(2|null|\\[\\]|\\{\\}|\"a/b\"|\\[\\{\\}\\]|-1)",
                0..6,
            )
        ) {
            let text = format!("{{{}}}", parts.join(","));
            if push(text.as_str(), None).is_ok() {
                let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&read["schemaVersion"], 2);
                prop_assert!(!text.contains("Layers"));
            }
        }

        #[test]
        fn folding_is_symmetric_in_ascii_case(at in 0..DOCUMENT.len(), flips in any::<u64>()) {
            let known = DOCUMENT[at];
            let flipped: String = known
                .chars()
                .enumerate()
                .map(|(at, letter)| match flips >> at & 1 {
                    0 => letter,
                    _ => char::from(letter as u8 ^ 0x20),
                })
                .collect();
            prop_assert!(is_same_to_go(known, &flipped));
            let longer = flipped + "x";
            prop_assert!(!is_same_to_go(known, &longer));
            prop_assert!(!is_same_to_go(known, &known[1..]));
        }
    }
}
