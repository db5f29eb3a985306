//! The conformance suite of the distribution specification, run against a registry and read back.
//!
//! `oci-conformance` leaves its results in a directory. `junit.xml` holds every row with what was sent
//! and answered, and the suite's own totals; `results.yaml` says of each interface and each kind of
//! content how it fared. Both are read: an empty run has neither rows nor kinds. A check that the
//! configuration turns off is "disabled", which is not the same as "skipped": the suite skips what it
//! takes the registry not to know.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::child::run_within;
use super::pushable::Pushable;
use super::sandbox::Sandbox;

/// How long a run may take: some 1,500 requests, one after the other.
const DEADLINE: Duration = Duration::from_secs(600);
/// Where the suite's rows about manifests stand that name what was never pushed.
const SPARSE: &str = "OCI Conformance Test/sparse/";
/// The tag under which the suite pushes an image without one of its layers.
const SPARSE_IMAGE: &str = "sparse-image";

/// Runs the suite's `version` at `site`, with `settings` as further variables.
pub(crate) async fn run_suite(
    program: &Path,
    site: &Pushable,
    version: &str,
    settings: &[(&str, &str)],
) -> Report {
    let sandbox = Sandbox::new();
    let results = sandbox.path("results");
    let mut command = sandbox.command(program);
    command
        .env("OCI_REGISTRY", site.address.to_string())
        .env("OCI_TLS", "disabled")
        .env("OCI_REPO1", format!("{}/conformance-1", site.namespace))
        .env("OCI_REPO2", format!("{}/conformance-2", site.namespace))
        .env("OCI_VERSION", version)
        .env("OCI_RESULTS_DIR", &results)
        .envs(settings.iter().copied());
    if let Some(login) = &site.login {
        command
            .env("OCI_USERNAME", &login.user)
            .env("OCI_PASSWORD", &login.password);
    }
    // It exits with 1 when a check failed; what it wrote says which.
    let outcome = run_within(DEADLINE, command).await;
    let read = |name: &str| {
        std::fs::read_to_string(results.join(name))
            .unwrap_or_else(|error| panic!("the suite left no {name}: {error}\n{outcome:?}"))
    };
    Report::read(&read("junit.xml"), &read("results.yaml"))
}

/// What a run of the suite found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) totals: Totals,
    pub(crate) rows: Vec<Row>,
    kinds: Kinds,
}

/// The suite's own count of its checks; a row may hold several.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) checks: usize,
    pub(crate) failures: usize,
    pub(crate) errors: usize,
    pub(crate) skipped: usize,
    pub(crate) disabled: usize,
}

/// One row of the report.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// `passed`, `failure`, `error`, or `skipped`, which is also what disabled rows are called here.
    pub(crate) status: String,
    /// What the suite found wrong.
    pub(crate) findings: String,
    /// The requests it sent and the answers it got.
    pub(crate) exchange: String,
}

/// `Pass`, `Skip`, `Disabled`, `FAIL` or `Error`, by interface and by kind of content.
#[derive(Debug, Deserialize)]
struct Kinds {
    apis: BTreeMap<String, String>,
    data: BTreeMap<String, String>,
}

impl Report {
    /// Reads `junit.xml` and `results.yaml`.
    pub(crate) fn read(junit: &str, results: &str) -> Self {
        let (totals, rows) = read_junit(junit);
        Self {
            totals,
            rows,
            kinds: serde_yaml::from_str(results).expect("results.yaml is as the suite writes it"),
        }
    }

    /// The rows that neither passed nor were turned off by the configuration.
    pub(crate) fn not_passed(&self) -> Vec<&Row> {
        let passed = |row: &&Row| row.status != "passed" && !row.is_disabled();
        self.rows.iter().filter(passed).collect()
    }

    /// Interfaces and kinds of content that the suite calls by this word.
    pub(crate) fn called(&self, word: &str) -> Vec<&str> {
        let all = self.kinds.apis.iter().chain(&self.kinds.data);
        let called = all.filter(|(_, status)| *status == word);
        called.map(|(name, _)| name.as_str()).collect()
    }

    /// Nothing failed, nothing was skipped, and it was the whole suite.
    pub(crate) fn assert_whole(&self, least: usize, disabled: &[&str]) {
        let Totals {
            failures,
            errors,
            skipped,
            ..
        } = self.totals;
        assert_eq!((failures, errors, skipped), (0, 0, 0), "{}", self.tell());
        assert!(self.not_passed().is_empty(), "{}", self.tell());
        self.assert_not_shortened(least, disabled);
        for word in ["FAIL", "Error", "Skip"] {
            assert_eq!(self.called(word), Vec::<&str>::new(), "{word}");
        }
    }

    /// At least so many checks were made, and only what the version lacks was turned off.
    pub(crate) fn assert_not_shortened(&self, least: usize, disabled: &[&str]) {
        assert!(self.totals.checks >= least, "{:?}", self.totals);
        assert_eq!(self.called("Disabled"), disabled);
    }

    /// The rows about the image that was pushed without one of its layers, by tag and by digest.
    ///
    /// # Panics
    /// When not exactly one manifest was refused for a blob that is not there.
    pub(crate) fn about_the_sparse_image(&self) -> Vec<&Row> {
        let refused: Vec<&str> = self.rows.iter().filter_map(Row::refused_manifest).collect();
        let [image] = refused[..] else {
            panic!("the sparse image alone lacks blobs: {refused:?}");
        };
        let about = |row: &&Row| {
            row.names_manifest(image) || row.names_manifest(SPARSE_IMAGE) || row.misses_its_tag()
        };
        self.rows.iter().filter(about).collect()
    }

    /// The totals and every row that did not pass, for a person to read.
    pub(crate) fn tell(&self) -> String {
        let mut told = format!("{:?}", self.totals);
        for row in self.not_passed() {
            let _ = write!(told, "\n{} {}\n  {}", row.status, row.name, row.findings);
        }
        told
    }
}

impl Row {
    fn is_sparse(&self) -> bool {
        self.name.starts_with(SPARSE)
    }

    /// Disabled rows have sent nothing and say why.
    fn is_disabled(&self) -> bool {
        self.status == "skipped" && self.exchange.contains("is disabled in the configuration")
    }

    /// The digest of the manifest that this row pushed by digest and that was refused, because a blob
    /// of it is not there.
    fn refused_manifest(&self) -> Option<&str> {
        let pushed = self.is_sparse() && self.name.ends_with("/push/manifest-by-digest");
        let refused = pushed && self.exchange.contains("MANIFEST_BLOB_UNKNOWN");
        refused.then(|| self.manifest()).flatten()
    }

    fn names_manifest(&self, reference: &str) -> bool {
        self.is_sparse() && self.manifest() == Some(reference)
    }

    /// The list of tags lacks the sparse image, and nothing else.
    fn misses_its_tag(&self) -> bool {
        self.is_sparse() && self.findings == format!("missing tag \"{SPARSE_IMAGE}\" from listing")
    }

    /// The tag or digest at the end of the first URL that was asked for.
    fn manifest(&self) -> Option<&str> {
        let url = self
            .exchange
            .lines()
            .find_map(|l| l.strip_prefix("URL: "))?;
        let (_, reference) = url.rsplit_once("/manifests/")?;
        reference.split('?').next()
    }
}

/// Reads the elements that Go's encoder writes, one a line: text and attributes hold no line ends and no
/// angle brackets of their own (`encoding/xml`, `EscapeText`).
fn read_junit(text: &str) -> (Totals, Vec<Row>) {
    let mut totals = Totals::default();
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("<testsuite ") {
            let count = |name| attribute(line, name).and_then(|value| value.parse().ok());
            totals = Totals {
                checks: count("tests").expect("a suite has a number of tests"),
                failures: count("failures").expect("a suite has a number of failures"),
                errors: count("errors").expect("a suite has a number of errors"),
                // Left out when it is 0, as is `disabled`.
                skipped: count("skipped").unwrap_or(0),
                disabled: count("disabled").unwrap_or(0),
            };
        } else if line.starts_with("<testcase ") {
            rows.push(Row {
                name: attribute(line, "name").expect("a row has a name"),
                status: attribute(line, "status").expect("a row has a status"),
                ..Row::default()
            });
        } else if let (Some(row), Some(said)) = (rows.last_mut(), element(line, "system-out")) {
            row.findings = said;
        } else if let (Some(row), Some(said)) = (rows.last_mut(), element(line, "system-err")) {
            row.exchange = said;
        }
    }
    (totals, rows)
}

fn attribute(line: &str, name: &str) -> Option<String> {
    let tag = line.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(unescape)
}

fn element(line: &str, name: &str) -> Option<String> {
    let rest = line.strip_prefix(&format!("<{name}>"))?;
    rest.split('<').next().map(unescape)
}

fn unescape(text: &str) -> String {
    let marks = [
        ("&#xA;", "\n"),
        ("&#xD;", "\r"),
        ("&#x9;", "\t"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        // Last, because it could make one of the others.
        ("&amp;", "&"),
    ];
    marks.iter().fold(text.to_owned(), |text, (mark, meant)| {
        text.replace(mark, meant)
    })
}
