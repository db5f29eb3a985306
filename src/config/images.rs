//! References to images out of files that people have anyway: a plain list, Kubernetes manifests, a compose
//! file.
//!
//! Called by `app` for `entrepot warm`; it is here because this room is the one that reads YAML.

use serde::Deserialize as _;
use serde_yaml::Value;

/// Most references of one file.
const MOST: usize = 10_000;

/// Deepest nesting that is followed.
const DEPTH: usize = 64;

/// Keys of Kubernetes under which containers stand.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The images that a file names, each once, in its order.
///
/// A file in which some line begins with a key of YAML is YAML: every `image` of the containers of a
/// Kubernetes object, and of the `services` of a compose file, in all its documents. Any other is a list, one
/// reference a line, `#` before remarks.
///
/// # Errors
/// In words, if it is neither or names too many.
pub fn image_references(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    match text.lines().any(is_yaml) {
        false => found.extend(text.lines().filter_map(listed)),
        true => {
            for document in serde_yaml::Deserializer::from_str(text) {
                let value = Value::deserialize(document).map_err(|error| error.to_string())?;
                services(&value, &mut found);
                walk(&value, 0, &mut found);
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|image| seen.insert(image.clone()));
    match found.len() {
        0 => Err("it names no image".to_owned()),
        count if count > MOST => Err(format!("it names {count} images; at most {MOST} at once")),
        _ => Ok(found),
    }
}

/// Whether a line is a key of YAML: a reference has no space behind a colon, and none at its end.
fn is_yaml(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("- ");
    let key = line.split_once(':').filter(|(key, rest)| {
        let word = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        word && !key.is_empty() && (rest.is_empty() || rest.starts_with([' ', '\t', '\r']))
    });
    line.trim_end() == "---" || key.is_some()
}

fn listed(line: &str) -> Option<String> {
    let line = line.split('#').next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn services(document: &Value, found: &mut Vec<String>) {
    let services = document.get("services").and_then(Value::as_mapping);
    for service in services.into_iter().flat_map(|services| services.values()) {
        found.extend(image(service));
    }
}

fn image(container: &Value) -> Option<String> {
    container
        .get("image")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn walk(value: &Value, depth: usize, found: &mut Vec<String>) {
    if depth > DEPTH || found.len() > MOST {
        return;
    }
    match value {
        Value::Sequence(items) => items.iter().for_each(|item| walk(item, depth + 1, found)),
        Value::Mapping(entries) => {
            for (key, inner) in entries {
                let is_list = key.as_str().is_some_and(|key| CONTAINERS.contains(&key));
                if let (true, Some(containers)) = (is_list, inner.as_sequence()) {
                    found.extend(containers.iter().filter_map(image));
                }
                walk(inner, depth + 1, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_one_image_a_line() {
        let text =
            "# ours\nalpine\n\nquay.io/org/app:v1 # pinned\nalpine\nlocalhost:5000/x@sha256:00\n";
        let found = image_references(text).unwrap();
        assert_eq!(
            found,
            ["alpine", "quay.io/org/app:v1", "localhost:5000/x@sha256:00"]
        );
        assert!(image_references("# nothing\n").is_err());
    }

    #[test]
    fn kubernetes_manifests_name_the_images_of_their_containers() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      \
                    initContainers:\n      - {name: a, image: 'busybox:1'}\n      containers:\n      - name: b\n        \
                    image: nginx:1.27\n      - name: c\n        image: busybox:1\n---\nkind: List\nitems:\n- kind: Pod\n  \
                    spec:\n    ephemeralContainers:\n    - image: debug\n    containers: []\n---\n";
        assert_eq!(
            image_references(text).unwrap(),
            ["busybox:1", "nginx:1.27", "debug"]
        );
    }

    #[test]
    fn compose_files_name_the_images_of_their_services() {
        let text = "services:\n  web:\n    image: nginx\n  own:\n    build: .\n  db:\n    image: postgres:17\n";
        assert_eq!(image_references(text).unwrap(), ["nginx", "postgres:17"]);
        assert!(image_references("services: [\n").is_err());
    }
}
