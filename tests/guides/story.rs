//! A page as somebody follows it: one folder, one shell, its blocks in their order, a server beside it.
//!
//! The shell stops at the first command that fails. What a block shows as the answer has to be among
//! what its commands print, in this order; numbers, times and digests may be others, and `...` stands
//! for anything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use super::blocks::{Block, Mark, blocks};
use super::{source, text};
use crate::harness::child::run_within;
use crate::harness::clients::source::Source;
use crate::harness::clients::{Client, containers, require, variable};
use crate::harness::content::Document;
use crate::harness::images::{Dialect, Image};
use crate::harness::origin::Origin;
use crate::harness::process::{Place, Process};
use crate::harness::sandbox::{NOWHERE, Sandbox};
use crate::package::has;

/// How long a page may take, on a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(300);

/// The server of a page has its figures at a port of its own, nobody reads its log, and no other machine
/// is in its reach.
const VARIABLES: [(&str, &str); 5] = [
    ("ENTREPOT_LISTEN_METRICS", "127.0.0.1:0"),
    ("ENTREPOT_LOG_LEVEL", "warn"),
    ("HTTP_PROXY", NOWHERE),
    ("HTTPS_PROXY", NOWHERE),
    ("NO_PROXY", "127.0.0.1,localhost"),
];

/// A page that is to be told.
pub(super) struct Story {
    page: &'static str,
    configuration: String,
    before: String,
    clients: Vec<Client>,
}

/// A stretch of a page with the same server.
#[derive(Default)]
struct Act {
    /// The command that starts the server, if the page shows it.
    start: Option<String>,
    blocks: Vec<Block>,
}

/// Where a page is told.
struct Stage {
    place: Place,
    sandbox: Sandbox,
    path: std::ffi::OsString,
}

impl Story {
    pub(super) fn of(page: &'static str) -> Self {
        Self {
            page,
            configuration: String::new(),
            before: String::new(),
            clients: Vec::new(),
        }
    }

    /// With this in the configuration, beside the caches that every story has.
    pub(super) fn configured(mut self, yaml: &str) -> Self {
        self.configuration += yaml;
        self
    }

    /// Behind what the page takes for granted: lines of the same shell.
    pub(super) fn after(mut self, script: &str) -> Self {
        self.before += script;
        self
    }

    /// With clients, which must be there.
    pub(super) fn with(mut self, clients: &[Client]) -> Self {
        self.clients = clients.to_vec();
        self
    }

    /// Runs the blocks of the page.
    pub(super) async fn told(self) {
        let Some(folders) = self.folders() else {
            return;
        };
        let origin = origin().await;
        let configuration = format!("{}{}", caches(&origin), self.configuration);
        let stage = Stage::set(&configuration, &folders);
        let mut server: Option<Process> = None;
        let mut before = self.before;
        for act in acts(self.page) {
            if let Some(start) = &act.start {
                if let Some(mut server) = server.take() {
                    server.signal(Signal::TERM);
                    assert!(server.ended().await.success());
                }
                server = Some(stage.serve_by(start).await);
            } else if act.needs_server() {
                server = Some(stage.place.serve_with(&VARIABLES).await);
            }
            let addresses = match &mut server {
                Some(server) => addresses(server).await,
                None => Vec::new(),
            };
            stage.play(&before, &act, &addresses).await;
            before = String::new();
        }
    }

    /// Where the programs are that the page uses; `None` where one is missing.
    fn folders(&self) -> Option<Vec<PathBuf>> {
        let program = Path::new(env!("CARGO_BIN_EXE_entrepot"));
        let mut folders = vec![program.parent().unwrap().to_owned()];
        for client in &self.clients {
            let [found] = require([*client])?;
            folders.push(found.parent().unwrap().to_owned());
        }
        (has("curl") && has("python3")).then_some(folders)
    }
}

/// The stretches of a page.
fn acts(page: &str) -> Vec<Act> {
    let mut acts = vec![Act::default()];
    let marked = blocks(page, &text(page)).into_iter();
    for block in marked.filter(|block| block.has_commands() || block.is_file()) {
        match block.mark() {
            Mark::Serves => {
                let [start] = block.typed()[..] else {
                    panic!("{}: one command starts a server", block.place());
                };
                let start = Some(start.to_owned());
                acts.push(Act {
                    start,
                    ..Act::default()
                });
            }
            mark if mark.is_run() => acts.last_mut().unwrap().blocks.push(block),
            _ => {}
        }
    }
    acts
}

impl Act {
    fn needs_server(&self) -> bool {
        self.blocks.iter().any(|block| block.mark() == Mark::Server)
    }
}

impl Stage {
    fn set(configuration: &str, folders: &[PathBuf]) -> Self {
        let place = Place::new(configuration);
        let link = |from: PathBuf, to: &str| {
            let to = place.path(to);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(from, to).unwrap();
        };
        for name in ["packaging", "config"] {
            link(source(name), name);
        }
        link(
            env!("CARGO_BIN_EXE_entrepot").into(),
            "target/release/entrepot",
        );
        let image = Image::for_this_machine("app", Dialect::Oci, &[20_000]);
        Source::image(&image).write_archive(&place.path("image.tar"), "v1");
        std::fs::write(place.path("notes.txt"), "notes\n").unwrap();
        let here = variable("PATH").unwrap_or_default();
        let here = std::env::split_paths(&here);
        let path = std::env::join_paths(folders.iter().cloned().chain(here)).unwrap();
        let sandbox = Sandbox::new();
        containers::furnish_shell(&sandbox);
        Self {
            place,
            sandbox,
            path,
        }
    }

    /// Starts the server as the page says.
    async fn serve_by(&self, command: &str) -> Process {
        let mut words = format!("PATH='{}'; export PATH", self.path.display());
        for (name, value) in VARIABLES {
            let _ = write!(words, " {name}={value}");
        }
        // `env` takes variables and the program's name as a shell does, and is replaced by it.
        self.place
            .serve_by(&format!("{words}; exec env {command}"))
            .await
    }

    /// Runs the blocks of an act, one after the other.
    async fn play(&self, before: &str, act: &Act, addresses: &[(&str, String)]) {
        let mut script = format!("exec 2>&1\nset -eu\n{before}\n");
        for (number, block) in act.blocks.iter().enumerate() {
            let _ = writeln!(script, "echo '{}'", marker(number, block));
            let words = match block.mark() {
                Mark::File(name) => file(&name, &block.lines),
                _ => block.typed().join("\n"),
            };
            let _ = writeln!(script, "{words}");
        }
        for (shown, real) in addresses {
            script = script.replace(shown, real);
        }
        let finished = run_within(DEADLINE, self.shell(&script)).await;
        let said = finished
            .unwrap_or_else(|failure| panic!("{failure}"))
            .stdout;
        for (number, block) in act.blocks.iter().enumerate() {
            let (_, said) = said.split_once(&marker(number, block)).unwrap();
            let said = match act.blocks.get(number + 1) {
                Some(next) => said.split_once(&marker(number + 1, next)).unwrap().0,
                None => said,
            };
            says_what_is_shown(block, said);
        }
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = self.sandbox.command(Path::new("sh"));
        command
            .args(["-c", script])
            .current_dir(self.place.directory.path())
            .env("PATH", &self.path);
        containers::point_shell_to(&mut command, &self.sandbox);
        // Cargo is asked by some, and looks for these in the home.
        let home = PathBuf::from(variable("HOME").unwrap_or_default());
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let folder = variable(name).unwrap_or_else(|| home.join(folder).into());
            command.env(name, folder);
        }
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // This is what podman without root leaves behind.
        containers::end_pause(&self.sandbox);
    }
}

/// What the shell prints before a block, so that a failure tells where it was.
fn marker(number: usize, block: &Block) -> String {
    format!("=== {number}: {}", block.place())
}

/// Commands that write a file.
fn file(name: &str, lines: &[String]) -> String {
    let text = lines.join("\n");
    format!("mkdir -p $(dirname {name})\ncat >{name} <<'FILE'\n{text}\nFILE")
}

/// The addresses in the pages, and those that stand for them.
async fn addresses(server: &mut Process) -> Vec<(&'static str, String)> {
    let metrics = server.prints("metrics on http://").await;
    let metrics = metrics.strip_suffix("/metrics").unwrap().to_owned();
    let registry = server.address;
    vec![
        ("localhost:8080", format!("localhost:{}", registry.port())),
        ("127.0.0.1:8080", registry.to_string()),
        ("127.0.0.1:9091", metrics),
    ]
}

/// What is pulled in the pages comes from here.
async fn origin() -> Origin {
    let origin = Origin::start().await;
    for (repository, tag) in [
        ("library/alpine", "latest"),
        ("library/alpine", "3.20"),
        ("library/alpine", "edge"),
        ("library/nginx", "1.27"),
        ("org/app", "v1"),
    ] {
        let seed = format!("{repository}:{tag}");
        let image = Image::for_this_machine(&seed, Dialect::Oci, &[20_000]);
        for blob in image.blobs() {
            origin.push_blob(repository, &blob.bytes.clone().into());
        }
        let manifest = image.manifest();
        let document = Document {
            bytes: manifest.bytes.clone().into(),
            media_type: manifest.media_type,
        };
        origin.push_manifest(repository, Some(tag), &document);
    }
    origin
}

/// The caches that the pages take for granted, of the origin.
fn caches(origin: &Origin) -> String {
    let cache = |name: &str| {
        format!(
            "  - organization: {name}\n    upstream: {name}\n    endpoint: {}\n    fresh_s: 60\n",
            origin.url("")
        )
    };
    format!("PROXY_CACHES:\n{}{}", cache("docker.io"), cache("quay.io"))
}

/// The answers that a block shows are among what was printed.
fn says_what_is_shown(block: &Block, said: &str) {
    let mut lines = said.lines();
    if !block.has_commands() {
        return;
    }
    for shown in block.shown() {
        let found = lines.by_ref().any(|line| resembles(line, shown));
        assert!(found, "{}: nobody says {shown:?}:\n{said}", block.place());
    }
}

/// Whether a line is the one that is shown, but for numbers, digests, spaces and what `...` leaves out.
fn resembles(line: &str, shown: &str) -> bool {
    let line = plain(line);
    let pieces: Vec<String> = shown.split("...").map(plain).collect();
    let [first, middle @ .., last] = &pieces[..] else {
        return line == plain(shown);
    };
    let Some(mut rest) = line.strip_prefix(first.as_str()) else {
        return false;
    };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece.as_str()) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last.as_str())
}

/// Without what differs from one run to the next.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut words = line.split("sha256:");
    plain += words.next().unwrap_or_default();
    for word in words {
        plain += "sha256:";
        plain += word.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    plain.retain(|c| !c.is_whitespace());
    let mut without = String::new();
    for c in plain.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if !(c == '0' && without.ends_with('0')) {
            without.push(c);
        }
    }
    without
}

#[test]
fn an_answer_is_known_whatever_its_numbers() {
    assert!(resembles(
        "a 12 of sha256:00ff at",
        "a 7 of sha256:ab... at"
    ));
    assert!(resembles("{\"uuid\":\"4f\"}", "{\"uuid\": \"...\"}"));
    assert!(resembles("1 tags", "24 tags"));
    assert!(!resembles("1 tags more", "1 tags"));
    assert!(!resembles("no 1 tags", "1 tags"));
    assert!(!resembles("said", "said not"));
}
