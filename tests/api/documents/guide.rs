//! A site whose doors are asked as the documents ask them, and the account of those that were.

use std::collections::BTreeSet;
use std::sync::Mutex;

use entrepot::accounts::NewUser;
use entrepot::config::Config;
use entrepot::model::{Member, TeamRole, UserId};
use reqwest::Method;
use serde_json::Value;

use super::{HEADINGS, not_found};
use crate::harness::form::differences;
use crate::harness::site::{Answer, Site};

const EVERYTHING: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// A site where ann owns acme, bob is in its team devs, carl in none, and root is a superuser. Only ann has
/// a password.
pub(super) struct Guide {
    pub(super) site: Site,
    /// Tokens for everything that these may do.
    pub(super) ann: String,
    pub(super) bob: String,
    pub(super) carl: String,
    pub(super) root: String,
    doors: Vec<Door>,
    shown: Mutex<BTreeSet<usize>>,
}

/// A door as the API describes it.
struct Door {
    method: String,
    pattern: String,
    operation: String,
    heading: String,
    /// The statuses that it can answer.
    told: BTreeSet<u16>,
}

impl Door {
    /// How many segments of the path are the pattern's own; `None` if it is another path.
    fn matches(&self, method: &str, path: &str) -> Option<usize> {
        let pattern = self.pattern.replace("{repository}", "{namespace}/{name}");
        let segments = |text: &str| -> Vec<String> {
            text.trim_end_matches('/')
                .split('/')
                .map(str::to_owned)
                .collect()
        };
        let (pattern, path) = (segments(&pattern), segments(path));
        let pairs = || pattern.iter().zip(&path);
        let fits = pairs().all(|(pattern, part)| pattern.starts_with('{') || pattern == part);
        let is_it = self.method == method && pattern.len() == path.len() && fits;
        is_it.then(|| pairs().filter(|(pattern, part)| pattern == part).count())
    }
}

impl Guide {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A site on which there is nobody, and so no token.
    pub(super) async fn empty(adjust: impl FnOnce(&mut Config)) -> Self {
        let site = Site::start(adjust).await;
        let document = site.api_of_nobody().get("/openapi.json").await.json();
        Self {
            ann: String::new(),
            bob: String::new(),
            carl: String::new(),
            root: String::new(),
            doors: doors(&document),
            site,
            shown: Mutex::default(),
        }
    }

    pub(super) async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let guide = Self::empty(adjust).await;
        let site = &guide.site;
        let ann = site.user("ann").await;
        let [bob, carl, root] = ["bob", "carl", "root"].map(|name| person(site, name));
        let (bob, carl, root) = (bob.await, carl.await, root.await);
        let acme = site.organization("acme", Some(ann)).await;
        site.team(acme, "devs", TeamRole::Member, &[Member::User(bob)])
            .await;
        Self {
            ann: site.oauth_token(ann, EVERYTHING).await,
            bob: site.oauth_token(bob, EVERYTHING).await,
            carl: site.oauth_token(carl, EVERYTHING).await,
            root: site.oauth_token(root, EVERYTHING).await,
            ..guide
        }
    }

    /// The headings of the description.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        self.doors.iter().map(|door| door.heading.as_str())
    }

    /// Reads a path below `/api/v1` with a token, or as nobody without one.
    pub(super) async fn get(&self, token: &str, path: &str) -> Shown<'_> {
        self.ask(token, &format!("GET {path}"), Value::Null).await
    }

    /// Sends `METHOD /path`, below `/api/v1`; a body that is null is none.
    pub(super) async fn ask(&self, token: &str, line: &str, body: Value) -> Shown<'_> {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let api = match token {
            "" => self.site.api_of_nobody(),
            token => self.site.api(token),
        };
        let method: Method = method.parse().unwrap();
        let body = (!body.is_null()).then_some(body);
        let answer = api.send(method.clone(), path, body).await;
        self.answered(&format!("{method} /api/v1{path}"), answer)
    }

    /// Deletes what a path names, which is answered by nothing (Quay: 204).
    pub(super) async fn removes(&self, token: &str, path: &str) {
        let line = format!("DELETE {path}");
        self.ask(token, &line, Value::Null).await.says(204, "");
    }

    /// The same twice: the second time there is no such thing.
    pub(super) async fn removes_once(&self, token: &str, path: &str) {
        self.removes(token, path).await;
        let line = format!("DELETE {path}");
        let again = self.ask(token, &line, Value::Null).await;
        again.refuses(404, &not_found(&self.site));
    }

    /// Reads a path of the web as nobody.
    pub(super) async fn read(&self, path: &str) -> Shown<'_> {
        let answer = self.site.get(path).await;
        self.answered(&format!("GET {path}"), answer)
    }

    /// An answer that was had in another way, of the door of that method and path.
    pub(super) fn answered(&self, line: &str, answer: Answer) -> Shown<'_> {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let path = path.split('?').next().unwrap_or("");
        let doors = self.doors.iter().enumerate();
        let fitting = doors.filter_map(|(at, door)| Some((door.matches(method, path)?, at)));
        let Some((_, door)) = fitting.max() else {
            panic!("the description has no {line}")
        };
        Shown {
            guide: self,
            door,
            line: line.to_owned(),
            answer,
        }
    }
}

/// Somebody who has only a token: a password would take a second to be hashed.
async fn person(site: &Site, name: &str) -> UserId {
    let new = NewUser {
        email: Some(format!("{name}@example.org")),
        superuser: name == "root",
        ..NewUser::named(&name.parse().unwrap())
    };
    site.accounts().create_user(new).await.unwrap()
}

fn doors(document: &Value) -> Vec<Door> {
    let mut doors = Vec::new();
    for (pattern, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let told = operation["responses"].as_object().unwrap();
            doors.push(Door {
                method: method.to_uppercase(),
                pattern: pattern.clone(),
                operation: operation["operationId"].as_str().unwrap().to_owned(),
                heading: operation["tags"][0].as_str().unwrap().to_owned(),
                told: told.keys().map(|status| status.parse().unwrap()).collect(),
            });
        }
    }
    doors
}

/// A door with its answer, which is to be held against the documents.
#[must_use]
pub(super) struct Shown<'a> {
    guide: &'a Guide,
    door: usize,
    line: String,
    answer: Answer,
}

impl Shown<'_> {
    /// It succeeds, with this body.
    pub(super) fn is(self, status: u16, example: &Value) -> Answer {
        assert!(status < 400, "{status} is no success");
        self.record();
        self.refuses(status, example)
    }

    /// It succeeds, with exactly this text; a newline at its end does not count.
    pub(super) fn says(self, status: u16, text: &str) -> Answer {
        assert!(status < 400, "{status} is no success");
        self.record();
        self.check_status(status);
        assert_eq!(
            self.answer.text().trim_end_matches('\n'),
            text,
            "{}",
            self.line
        );
        self.answer
    }

    /// It succeeds; the body is looked at by who asks.
    pub(super) fn succeeds(self, status: u16) -> Answer {
        assert!(status < 400, "{status} is no success");
        self.record();
        self.check_status(status);
        self.answer
    }

    /// It refuses, with this body.
    pub(super) fn refuses(self, status: u16, example: &Value) -> Answer {
        self.check_status(status);
        let found = self.answer.json();
        let differences = differences(&found, example);
        assert!(
            differences.is_empty(),
            "{}: {}\n{differences:#?}",
            self.line,
            self.answer.text()
        );
        self.answer
    }

    /// It refuses, with this body, and does nothing else here: the documents' success is not built.
    pub(super) fn only_refuses(self, status: u16, example: &Value) -> Answer {
        self.record();
        self.refuses(status, example)
    }

    fn record(&self) {
        self.guide.shown.lock().unwrap().insert(self.door);
    }

    fn check_status(&self, status: u16) {
        let (found, text) = (self.answer.status.as_u16(), &self.answer.body);
        let text = String::from_utf8_lossy(text);
        assert_eq!(found, status, "{}: {text}", self.line);
        let told = &self.guide.doors[self.door].told;
        assert!(
            told.contains(&status),
            "{}: the description tells {told:?}, not {status}",
            self.line
        );
    }
}

/// Every operation under those headings was shown at one of the guides, but for those named.
pub(super) fn all_are_shown(guides: &[&Guide], headings: &[&str], but: &[&str]) {
    for heading in headings {
        assert!(HEADINGS.contains(heading), "{heading} is not in the list");
    }
    let mut shown = BTreeSet::new();
    for guide in guides {
        shown.extend(guide.shown.lock().unwrap().iter().copied());
    }
    // Every site has the same doors, in the same order.
    let doors = guides[0].doors.iter().enumerate();
    let missing: Vec<&str> = doors
        .filter(|(_, door)| headings.contains(&door.heading.as_str()))
        .filter(|(at, _)| !shown.contains(at))
        .map(|(_, door)| door.operation.as_str())
        .filter(|operation| !but.contains(operation))
        .collect();
    assert!(missing.is_empty(), "never shown: {missing:?}");
}
