//! Alerts, dashboard and docs/monitoring.md speak of figures that the server gives, with the labels it gives them.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::{Site, rule};

use super::text;

/// Names of labels by family. A histogram is one family, under its own name.
type Families = BTreeMap<String, BTreeSet<String>>;

/// A row of the text form: name, labels with their values.
fn row(line: &str) -> (String, BTreeMap<String, String>) {
    let (name, rest) = match line.split_once('{') {
        Some((name, rest)) => (name, rest.rsplit_once('}').unwrap().0),
        None => (line.split(' ').next().unwrap(), ""),
    };
    let labels = rest
        .split("\",")
        .filter(|label| !label.is_empty())
        .map(|label| {
            let (name, value) = label.split_once("=\"").unwrap();
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        });
    (name.to_owned(), labels.collect())
}

/// What a site exports that has been pulled from: every row of `/metrics`.
async fn exported() -> Vec<(String, BTreeMap<String, String>)> {
    let origin = Origin::start().await;
    origin.push_image("library/app", "v1", &Image::with_layers(1, &[10]));
    let site =
        Site::start(|config| config.upstreams = vec![rule("docker.io", "docker.io", &origin)])
            .await;
    site.get("/v2/docker.io/library/app/manifests/v1").await;
    let address = site.app().addresses().metrics.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}/metrics");
    let answer = client.request(Method::GET, &url).send().await.unwrap();
    let said = answer.text().await.unwrap();
    let rows = said
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(row).collect()
}

/// The family of a row, which a histogram and a summary spread over several names.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// The table of docs/monitoring.md: a family and its labels in each row.
fn documented() -> Families {
    let doc = text("docs/monitoring.md");
    let rows = doc.lines().filter_map(|line| line.strip_prefix("| `"));
    let families = rows.filter_map(|line| {
        let (name, rest) = line.split_once("` | ")?;
        let labels = rest.split(" | ").next()?;
        let labels = labels.split(", ").map(|label| label.trim_matches('`'));
        let known = name.starts_with("entrepot_") || name.starts_with("process_");
        known.then(|| {
            (
                name.to_owned(),
                labels
                    .filter(|label| *label != "—")
                    .map(str::to_owned)
                    .collect(),
            )
        })
    });
    families.collect()
}

/// DO-10: every family of the running server is documented, with exactly its labels.
#[tokio::test]
async fn every_figure_is_documented_with_its_labels() {
    let documented = documented();
    let mut seen = Families::new();
    for (name, labels) in exported().await {
        let labels = labels.into_keys().filter(|label| label != "le");
        seen.entry(family(&name).to_owned())
            .or_default()
            .extend(labels);
    }
    assert!(seen.len() > 40, "{seen:?}");
    for (name, labels) in &seen {
        assert_eq!(documented.get(name), Some(labels), "{name}");
    }
    // Some appear only when something has happened; the program must have their names then.
    let sources = super::sources();
    for name in documented.keys().filter(|name| !seen.contains_key(*name)) {
        assert!(
            sources.contains(&format!("\"{name}\"")),
            "{name} is no figure of the program"
        );
    }
}

/// The selectors of an expression: a name, with what it asks of labels.
fn selectors(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let bytes = expression.as_bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut found = Vec::new();
    for prefix in ["entrepot_", "process_"] {
        for (at, _) in expression.match_indices(prefix) {
            if at > 0 && word(bytes[at - 1]) {
                continue;
            }
            let end = (at..bytes.len())
                .find(|end| !word(bytes[*end]))
                .unwrap_or(bytes.len());
            let labels = match expression[end..].strip_prefix('{') {
                Some(rest) => rest.split_once('}').unwrap().0,
                None => "",
            };
            let labels = labels
                .split(',')
                .filter(|label| !label.is_empty())
                .map(|label| {
                    let (name, value) = label.split_once('=').unwrap();
                    let value = value.trim_start_matches('~').trim_matches('"');
                    (name.to_owned(), value.to_owned())
                });
            found.push((expression[at..end].to_owned(), labels.collect()));
        }
    }
    found
}

/// What Prometheus adds itself.
const ADDED: [&str; 2] = ["instance", "job"];

/// Why an expression would never find anything, if that is so.
fn trouble(
    expression: &str,
    documented: &Families,
    exported: &[(String, BTreeMap<String, String>)],
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, matchers) in selectors(expression) {
        let Some(labels) = documented.get(family(&name)) else {
            wrong.push(format!("{name} is no figure"));
            continue;
        };
        for (label, value) in matchers
            .iter()
            .filter(|(label, _)| !ADDED.contains(&label.as_str()))
        {
            let rows = exported.iter().filter(|(found, _)| *found == name);
            let mut values = rows.filter_map(|(_, labels)| labels.get(label)).peekable();
            let is_there = values.peek().is_none() || {
                let values: BTreeSet<&String> = values.collect();
                // A value that the server makes only when it happens cannot be known here.
                let open = ["class"].contains(&label.as_str());
                open || value
                    .split('|')
                    .all(|value| values.contains(&value.to_owned()))
            };
            if !labels.contains(label) || !is_there {
                wrong.push(format!("{name} has no {label}={value}"));
            }
        }
    }
    for word in expression.split("by (").skip(1) {
        for label in word.split(')').next().unwrap().split(", ") {
            let known = label == "le" || ADDED.contains(&label);
            let of_figure = selectors(expression).iter().any(|(name, _)| {
                documented
                    .get(family(name))
                    .is_some_and(|labels| labels.contains(label))
            });
            if !known && !of_figure {
                wrong.push(format!("{expression}: no label {label}"));
            }
        }
    }
    wrong
}

/// `expr` of every rule, with the alert's name.
fn alerts() -> Vec<(String, String)> {
    let rules: Value =
        serde_yaml::from_str(&text("packaging/examples/entrepot.rules.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let word = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    rules
        .map(|rule| {
            assert!(
                ["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap())
            );
            assert!(
                rule["annotations"]["summary"]
                    .as_str()
                    .unwrap()
                    .contains("$labels.instance")
            );
            (word(rule, "alert"), word(rule, "expr"))
        })
        .collect()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_figures_that_are_there() {
    let (documented, exported) = (documented(), exported().await);
    let alerts = alerts();
    assert!(alerts.len() > 10);
    let doc = text("docs/monitoring.md");
    for (name, expression) in &alerts {
        assert_eq!(
            trouble(expression, &documented, &exported),
            [""; 0],
            "{name}"
        );
        assert!(
            doc.contains(&format!("| `{name}` |")),
            "{name} is not in docs/monitoring.md"
        );
    }
    let board: Value =
        serde_json::from_str(&text("packaging/examples/grafana-dashboard.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut asked = 0;
    for target in panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
    {
        let expression = target["expr"]
            .as_str()
            .unwrap()
            .replace(",instance=~\"$instance\"", "");
        assert_eq!(
            trouble(&expression, &documented, &exported),
            [""; 0],
            "{expression}"
        );
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
    // The checks above find what is wrong.
    for wrong in [
        "entrepot_no_such_thing > 0",
        "rate(entrepot_proxy_requests_total{outcome=\"stole\"}[5m])",
        "rate(entrepot_proxy_requests_total{operation=\"x\"}[5m])",
        "sum by (color) (entrepot_store_failed)",
    ] {
        assert_ne!(trouble(wrong, &documented, &exported), [""; 0], "{wrong}");
    }
}
