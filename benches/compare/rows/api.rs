//! The REST API over a large store: the lists that grow, a team of many, and what one decision costs.
//!
//! The store is filled between two runs of the server, as in `many`. Lists are asked for one after the
//! other by one client, so that the time of an answer is the server's and not a queue's.

use std::time::{Duration, Instant};

use entrepot::accounts::{self, Accounts, SealKey};
use entrepot::auth::{self, Auth, AuthConfig, Identity, Scopes, Target};
use entrepot::model::{
    Actor, Clock, ManifestRecord, Member, NamespaceId, NamespaceName, RepositoryId,
    RepositoryRecord, TagRecord, Timestamp,
};
use entrepot::oci::{MediaType, Tag};
use entrepot::store::{self, Options, Store, WriteTx};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::content::Blob;
use crate::failure::{Doing as _, Failure, Outcome};
use crate::measure::{Spread, count};
use crate::report::Line;
use crate::servers::{Ours, Server, Settings};
use crate::site::Site;

use super::many::store_path;

/// Repositories of the organisation, and tags of one of them.
const MANY: u32 = 100_000;
/// Members of its team.
const MEMBERS: u32 = 10_000;
/// Rows written in one commit.
const AT_ONCE: u32 = 10_000;
/// How often each door is asked.
const TIMES: u32 = 50;
/// How often a right is decided.
const DECISIONS: u32 = 200_000;
/// When all of it was made, in milliseconds.
const MADE: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ORGANIZATION: &str = "big";
const PASSWORD: &str = "correct-horse";

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = Ours::new(site.folder("api"))?;
    let settings = Settings {
        initialize: true,
        ..Settings::of(site.upstream.address())
    };
    let server = ours.start(&settings).await?;
    let token = Api::begin(&server).await?.token;
    drop(server);
    let decisions = fill(&ours).await?;
    let server = ours.start(&settings).await?;
    let api = Api::of(&server, token)?;
    let mut lines = vec![decisions];
    for (what, path) in [
        (
            format!("GET /repository, first page of {MANY}"),
            "/repository?namespace=big".to_owned(),
        ),
        (
            format!("GET /repository with last_modified and popularity, first page of {MANY}"),
            "/repository?namespace=big&last_modified=true&popularity=true".to_owned(),
        ),
        (
            format!("GET .../tag/, first page of {MANY}"),
            "/repository/big/tags/tag/?limit=100&page=1".to_owned(),
        ),
        (
            format!("GET .../tag/, last page of {MANY}"),
            format!("/repository/big/tags/tag/?limit=100&page={}", MANY / 100),
        ),
    ] {
        let times = api.repeat(&server, Method::GET, &path, None).await?;
        lines.push(times.line(what));
    }
    let role = |number: u32| {
        let role = if number.is_multiple_of(2) {
            "member"
        } else {
            "creator"
        };
        Some(json!({ "role": role }))
    };
    let times = api
        .repeat_with(&server, Method::PUT, "/organization/big/team/crowd", role)
        .await?;
    lines.push(times.line(format!("PUT .../team/, role of a team of {MEMBERS}")));
    Ok(lines)
}

/// A client of the API with a token of the superuser.
struct Api {
    client: Client,
    base: String,
    token: String,
}

/// What asking again and again came to.
struct Times {
    millis: Spread,
    cpu_micros: f64,
}

impl Times {
    fn line(self, what: String) -> Line {
        Line {
            what,
            measured: format!("{} ms", self.millis.show(2)),
            budget: "",
            is_met: None,
            beside: vec![format!("{:.0} us CPU a request", self.cpu_micros)],
        }
    }
}

impl Api {
    /// Makes the first user, its organisation and team.
    async fn begin(server: &Server) -> Outcome<Self> {
        let mut api = Self::of(server, String::new())?;
        let root = json!({
            "username": "root",
            "password": PASSWORD,
            "email": "root@example.org",
            "access_token": true,
        });
        let made = api
            .ask(Method::POST, "/user/initialize", Some(root))
            .await?;
        let token = made["access_token"].as_str();
        token
            .ok_or_else(|| Failure::new("no token came"))?
            .clone_into(&mut api.token);
        let organization = json!({ "name": ORGANIZATION });
        api.ask(Method::POST, "/organization/", Some(organization))
            .await?;
        let team = json!({ "role": "member" });
        api.ask(Method::PUT, "/organization/big/team/crowd", Some(team))
            .await?;
        Ok(api)
    }

    fn of(server: &Server, token: String) -> Outcome<Self> {
        Ok(Self {
            client: Client::builder()
                .no_proxy()
                .build()
                .doing("make a client")?,
            base: format!("http://{}/api/v1", server.target.address),
            token,
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<Value> {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method, &url);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.doing("ask the API")?;
        let status = answer.status();
        let text = answer.text().await.doing("read an answer of the API")?;
        if !status.is_success() {
            return Err(Failure::new(format!("{path} answered {status}: {text}")));
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn repeat(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Outcome<Times> {
        self.repeat_with(server, method, path, |_| body.clone())
            .await
    }

    async fn repeat_with(
        &self,
        server: &Server,
        method: Method,
        path: &str,
        body: impl Fn(u32) -> Option<Value>,
    ) -> Outcome<Times> {
        self.ask(method.clone(), path, body(1)).await?;
        let before = server.process.cpu()?;
        let mut took: Vec<Duration> = Vec::new();
        for number in 0..TIMES {
            let begun = Instant::now();
            self.ask(method.clone(), path, body(number)).await?;
            took.push(begun.elapsed());
        }
        let cpu = server.process.cpu()?.since(&before);
        Ok(Times {
            millis: Spread::over(took.iter().map(|time| time.as_secs_f64() * 1000.0)),
            cpu_micros: cpu.as_secs_f64() * 1e6 / count(u64::from(TIMES)),
        })
    }
}

/// Fills the store, and decides about rights in it on the way.
async fn fill(ours: &Ours) -> Outcome<Line> {
    let options = Options {
        cache_bytes: 512 << 20,
    };
    let path = store_path(ours);
    let store =
        Store::open(&path, &options, &prometheus::Registry::new()).doing("open the store")?;
    let name: NamespaceName = ORGANIZATION.parse().doing("read a name")?;
    let found = store.read(|tx| tx.namespaces().by_name(&name)).await;
    let found: Option<(NamespaceId, _)> =
        found.map_err(|error: store::Error| Failure::new(error.to_string()))?;
    let (big, record) = found.ok_or_else(|| Failure::new("the organisation is not there"))?;
    for start in (0..MANY).step_by(AT_ONCE as usize) {
        let numbers = start..start + AT_ONCE;
        let written = store
            .write(move |tx| write_repositories(tx, big, numbers.clone()))
            .await;
        written.doing("write repositories")?;
    }
    let tags = store
        .write(move |tx| write_tags(tx, big))
        .await
        .doing("write tags")?;
    for start in (0..MANY).step_by(AT_ONCE as usize) {
        let numbers = start..start + AT_ONCE;
        let written = store
            .write(move |tx| write_more_tags(tx, tags, numbers.clone()))
            .await;
        written.doing("write tags")?;
    }
    store
        .write(move |tx| write_members(tx, big))
        .await
        .doing("write members")?;
    let line = decide(&store, big, &record).await?;
    let closed = store.closed();
    drop(store);
    closed.await;
    Ok(line)
}

fn write_repositories(
    tx: &mut WriteTx<'_>,
    big: NamespaceId,
    numbers: std::ops::Range<u32>,
) -> Result<(), Unfilled> {
    for number in numbers {
        let name = format!("r{number}").parse().map_err(|_| Unfilled::Name)?;
        tx.repositories()
            .create(&RepositoryRecord::new(big, name, MADE))?;
    }
    Ok(())
}

/// Makes the repository of many tags, with the manifest that they point to.
fn write_tags(tx: &mut WriteTx<'_>, big: NamespaceId) -> Result<RepositoryId, Unfilled> {
    let name = "tags".parse().map_err(|_| Unfilled::Name)?;
    let id = tx
        .repositories()
        .create(&RepositoryRecord::new(big, name, MADE))?;
    let document = document();
    let record = ManifestRecord {
        media_type: MediaType::OCI_MANIFEST,
        size_bytes: document.len(),
        children: Vec::new(),
        blobs: Vec::new(),
        subject: None,
        created: MADE,
        pushed: MADE,
        deleted: None,
        expires_after_s: None,
        layers_bytes: Some(0),
    };
    tx.manifests()
        .put(id, &document.digest, &record, &document.bytes)?;
    Ok(id)
}

fn document() -> Blob {
    Blob::of(r#"{"schemaVersion":2,"layers":[]}"#.to_owned().into())
}

fn write_more_tags(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    numbers: std::ops::Range<u32>,
) -> Result<(), Unfilled> {
    let digest = document().digest;
    for number in numbers {
        let tag: Tag = format!("v{number}").parse().map_err(|_| Unfilled::Name)?;
        let since = MADE + Duration::from_secs(u64::from(number));
        tx.tags().put(
            repository,
            &tag,
            &TagRecord::new(digest, since, Actor::System),
        )?;
    }
    Ok(())
}

fn write_members(tx: &mut WriteTx<'_>, big: NamespaceId) -> Result<(), Unfilled> {
    let (team, _) = tx.teams().by_name(big, "crowd")?.ok_or(Unfilled::Name)?;
    for number in 0..MEMBERS {
        let name: NamespaceName = format!("user{number}")
            .parse()
            .map_err(|_| Unfilled::Name)?;
        let (user, _) = tx.users().create(&name, MADE)?;
        tx.teams().add_member(team, Member::User(user))?;
    }
    Ok(())
}

/// What it costs to decide about a member of the team, remembered and not.
async fn decide(
    store: &Store,
    big: NamespaceId,
    record: &entrepot::model::NamespaceRecord,
) -> Outcome<Line> {
    let metrics = prometheus::Registry::new();
    let accounts = Accounts::new(accounts::Parts {
        store: store.clone(),
        clock: Clock::System,
        seal: SealKey::from_bytes(&[0; 32]),
        metrics: accounts::Metrics::new(&metrics).doing("count")?,
    });
    let accounts = accounts.await.doing("open the accounts")?;
    let auth = Auth::new(auth::Parts {
        store: store.clone(),
        accounts: accounts.clone(),
        clock: Clock::System,
        config: AuthConfig::default(),
        metrics: auth::Metrics::new(&metrics).doing("count")?,
    });
    let (id, user) = accounts
        .user_by_name("user7")
        .await
        .doing("find a user")?
        .ok_or_else(|| Failure::new("no user7"))?;
    let identity = Identity::User {
        id,
        name: user.name,
        superuser: false,
        global_readonly: false,
        restricted: false,
        scopes: Scopes::ALL,
        token: None,
    };
    let repositories = store
        .read(|tx| tx.repositories().list(big, None, 1000))
        .await;
    let repositories =
        repositories.map_err(|error: store::Error| Failure::new(error.to_string()))?;
    let targets: Vec<Target> = repositories
        .iter()
        .map(|(name, id)| {
            let repository = RepositoryRecord::new(big, name.clone(), MADE);
            Target::new(big, record, Some((*id, &repository)))
        })
        .collect();
    let cold = timed(&auth, &identity, &targets, 1).await?;
    let rounds = DECISIONS / u32::try_from(targets.len()).unwrap_or(1).max(1);
    let warm = timed(&auth, &identity, &targets, rounds).await?;
    Ok(Line {
        what: format!("deciding what a member of a team of {MEMBERS} may do in a repository"),
        measured: format!("{warm:.2} us"),
        budget: "",
        is_met: None,
        beside: vec![format!("{cold:.1} us when nothing is remembered")],
    })
}

/// Microseconds a decision.
async fn timed(auth: &Auth, identity: &Identity, targets: &[Target], rounds: u32) -> Outcome<f64> {
    let begun = Instant::now();
    for _ in 0..rounds {
        for target in targets {
            auth.on_repository(identity, target).await.doing("decide")?;
        }
    }
    let decided = count(targets.len() as u64) * f64::from(rounds);
    Ok(begun.elapsed().as_secs_f64() * 1e6 / decided)
}

/// Why the store could not be filled.
#[derive(Debug, thiserror::Error)]
enum Unfilled {
    #[error("a name is refused or unknown")]
    Name,
    #[error(transparent)]
    Store(#[from] store::Error),
}
