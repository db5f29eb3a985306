//! The usage log of repositories, users, organisations and of everything, and what the registry's own
//! doors write into it.

use std::time::Duration;

use entrepot::model::{
    Actor, Grantee, LogEntry, LogKind, Performer, RepositoryId, Role, Timestamp, UserId, Visibility,
};
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::content::Image;
use crate::harness::people::{Asked, Who};
use crate::harness::site::Site;

const SUPERUSER: &str = "super:user";
const EVERYTHING: &str = "repo:admin org:admin user:admin super:user";

/// A site with the superuser `root`, and the token that has every scope.
async fn site() -> (Site, UserId, String) {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, EVERYTHING).await;
    (site, root, token)
}

/// Writes lines, as services do.
pub(super) async fn tell(site: &Site, lines: Vec<LogEntry>) {
    let store = site.registry().store();
    let append = move |tx: &mut entrepot::store::WriteTx<'_>| {
        lines.iter().try_for_each(|line| tx.logs().append(line))
    };
    let told: Result<(), entrepot::store::Error> = store.write(append).await;
    told.unwrap();
}

/// Rows of a log, which is there.
pub(super) async fn rows(site: &Site, token: &str, path: &str) -> Vec<Value> {
    let answer = site.api(token).get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()["logs"].as_array().unwrap().clone()
}

/// The rows of one kind.
async fn rows_of(site: &Site, token: &str, path: &str, kind: &str) -> Vec<Value> {
    let mut rows = rows(site, token, path).await;
    rows.retain(|row| row["kind"] == kind);
    rows
}

pub(super) fn user(id: UserId, name: &str) -> Performer {
    Performer {
        address: Some([192, 0, 2, 1].into()),
        ..Performer::from(Actor::User {
            id,
            name: name.parse().unwrap(),
        })
    }
}

/// SC-325: 22 events are 20 rows and a token, then 2 rows and none.
#[tokio::test]
async fn everything_is_listed_twenty_rows_a_page() {
    let (site, root, token) = site().await;
    let acme = site.organization("acme", Some(root)).await;
    site.clock.advance(Duration::from_secs(1));
    let created = |n: u32| {
        LogEntry::new(LogKind::CreateRepo, site.clock.now(), &user(root, "root"))
            .within(acme)
            .with(json!({"repo": format!("r{n}"), "namespace": "acme"}))
    };
    tell(&site, (0..22).map(created).collect()).await;
    let window = "starttime=01/01/2026&endtime=01/01/2026&performer=root";
    let path = format!("/organization/acme/logs?{window}");
    let first = site.api(&token).get(&path).await.json();
    assert_eq!(
        fields(&first),
        ["start_time", "end_time", "logs", "next_page"]
    );
    assert_eq!(first["logs"].as_array().unwrap().len(), 20);
    assert_eq!(
        first["logs"][0]["metadata"]["repo"], "r21",
        "the newest is first"
    );
    let next = first["next_page"].as_str().unwrap();
    let second = site
        .api(&token)
        .get(&format!("{path}&next_page={next}"))
        .await;
    let second = second.json();
    let rest = second["logs"].as_array().unwrap();
    assert!(rest.len() >= 2 && second.get("next_page").is_none());
    assert_eq!(rest[0]["metadata"]["repo"], "r1");
    let everything = site.api(&token).get("/superuser/logs").await.json();
    assert_eq!(everything["logs"].as_array().unwrap().len(), 20);
    assert!(everything["next_page"].is_string());
}

/// SC-326: the fields of a row and of an answer, the dates, and the window where none is given.
#[tokio::test]
async fn a_row_of_everything_tells_who_and_where() {
    let (site, root, token) = site().await;
    let acme = site.organization("acme", Some(root)).await;
    site.clock.advance(Duration::from_secs(123));
    let line = LogEntry::new(LogKind::CreateRepo, site.clock.now(), &user(root, "root"))
        .within(acme)
        .with(json!({"repo": "app", "namespace": "acme"}));
    tell(&site, vec![line]).await;
    let answer = site.api(&token).get("/superuser/logs").await.json();
    assert_eq!(answer["start_time"], "Wed, 31 Dec 2025 00:02:03 -0000");
    assert_eq!(answer["end_time"], "Fri, 02 Jan 2026 00:02:03 -0000");
    let row = &answer["logs"][0];
    let expected = [
        "kind",
        "metadata",
        "ip",
        "datetime",
        "performer",
        "namespace",
    ];
    assert_eq!(fields(row), expected);
    assert_eq!(row["kind"], "create_repo");
    assert_eq!(row["metadata"], json!({"repo": "app", "namespace": "acme"}));
    assert_eq!(row["ip"], "192.0.2.1");
    assert_eq!(row["datetime"], "Thu, 01 Jan 2026 00:02:03 -0000");
    let performer = &row["performer"];
    assert_eq!(fields(performer), ["kind", "name", "is_robot", "avatar"]);
    assert_eq!(performer["name"], "root");
    assert_eq!(
        (&performer["kind"], &performer["is_robot"]),
        (&json!("user"), &json!(false))
    );
    assert_eq!(
        fields(&performer["avatar"]),
        ["name", "hash", "color", "kind"]
    );
    assert_eq!(fields(&row["namespace"]), ["kind", "name", "avatar"]);
    assert_eq!(row["namespace"]["kind"], "org");
    assert_eq!(row["namespace"]["avatar"]["kind"], "org");
    let own = rows(&site, &token, "/organization/acme/logs").await;
    assert!(
        own[0].get("namespace").is_none(),
        "only among many namespaces"
    );
}

/// SC-385, SC-384: the end is the day after the asked one, in both forms of a date.
#[tokio::test]
async fn the_answer_tells_its_window() {
    let (site, _, token) = site().await;
    for (start, end) in [("01/01/2024", "06/18/2024"), ("2024-01-01", "2024-06-18")] {
        let path = format!("/user/logs?performer=root&starttime={start}&endtime={end}");
        let answer = site.api(&token).get(&path).await.json();
        assert_eq!(answer["start_time"], "Mon, 01 Jan 2024 00:00:00 -0000");
        assert_eq!(answer["end_time"], "Wed, 19 Jun 2024 00:00:00 -0000");
        assert_eq!(answer["logs"], json!([]));
    }
    let path = "/user/logs?starttime=06/18/2024&endtime=06/17/2024";
    let refused = site.api(&token).get(path).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json(),
        json!({"message": "Invalid date range for logs"})
    );
}

#[tokio::test]
async fn a_page_token_that_cannot_be_read_is_the_first_page() {
    let (site, root, token) = site().await;
    let acme = site.organization("acme", Some(root)).await;
    let line = |n: i64| {
        let at = Timestamp::from_millis(site.clock.now().as_millis() - n);
        LogEntry::new(LogKind::OrgCreateTeam, at, &user(root, "root"))
            .of_repository(acme, RepositoryId(9))
            .with(json!({"n": n}))
    };
    tell(&site, (0..30).map(line).collect()).await;
    let numbers = async |token: &str, path: String| {
        let rows = rows_of(&site, token, &path, "org_create_team").await;
        rows[0]["metadata"]["n"].as_i64().unwrap()
    };
    let answer = site.api(&token).get("/superuser/logs").await.json();
    let next = answer["next_page"].as_str().unwrap().to_owned();
    assert!(numbers(&token, format!("/superuser/logs?next_page={next}")).await > 10);
    let path = format!("/organization/acme/logs?performer=root&next_page={next}");
    assert_eq!(
        numbers(&token, path).await,
        0,
        "the token of another listing"
    );
    let path = "/organization/acme/logs?performer=root&next_page=x";
    assert_eq!(numbers(&token, path.to_owned()).await, 0);
    site.clock.advance(Duration::from_secs(2 * 86_400 + 1));
    let path = format!("/superuser/logs?starttime=12/31/2025&next_page={next}");
    let token = site.oauth_token(root, EVERYTHING).await;
    assert_eq!(numbers(&token, path).await, 0, "it was good for two days");
}

/// SC-093: the log of a repository is for those who administer it.
#[tokio::test]
async fn a_writer_does_not_read_the_log() {
    let (site, _, token) = site().await;
    site.organization("acme", None).await;
    site.repository("acme/app", Visibility::Public).await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    site.grant("acme/app", Grantee::User(ann), Role::Write)
        .await;
    site.grant("acme/app", Grantee::User(bob), Role::Admin)
        .await;
    let (writer, admin) = (
        site.oauth_token(ann, EVERYTHING.trim_end_matches(" super:user"))
            .await,
        site.oauth_token(bob, "repo:admin").await,
    );
    let path = "/repository/acme/app/logs";
    assert_eq!(site.api(&writer).get(path).await.status, 403);
    assert_eq!(site.api_of_nobody().get(path).await.status, 401);
    assert_eq!(site.api(&admin).get(path).await.status, 200);
    for path in ["/organization/acme/logs", "/superuser/logs", "/user/logs"] {
        assert_eq!(site.api(&admin).get(path).await.status, 403, "{path}");
    }
    let reader = site.oauth_token(bob, SUPERUSER).await;
    assert_eq!(site.api(&reader).get("/superuser/logs").await.status, 403);
    assert_eq!(site.api(&token).get("/superuser/logs").await.status, 200);
}

/// SC-092, SC-386, SC-387: push, pull, delete, and every log shows the rows.
#[tokio::test]
async fn what_a_client_does_stands_in_the_logs_of_repository_and_owner() {
    let (site, _, token) = site().await;
    let ann = site.user("ann").await;
    let own = site.oauth_token(ann, EVERYTHING).await;
    let who = Who::user("ann");
    let image = Image::small(1);
    site.push_as(&who, "ann/app", "v1", &image).await;
    let pulled = site.get_as(&who, "/v2/ann/app/manifests/v1").await;
    assert_eq!(pulled.status, 200);
    let deleted = Asked::new(reqwest::Method::DELETE, "/v2/ann/app/manifests/v1");
    assert_eq!(site.ask_as(&who, &deleted).await.status, 202);
    let media_type = image.manifest.media_type;
    let (tag, digest) = (json!("v1"), image.manifest.digest().to_string());
    for path in ["/repository/ann/app/logs", "/user/logs"] {
        let all = rows(&site, &own, path).await;
        let acts: Vec<_> = all
            .iter()
            .map(|row| row["kind"].as_str().unwrap())
            .collect();
        let of = |kind| all.iter().find(|row| row["kind"] == kind);
        for kind in ["push_repo", "pull_repo"] {
            let metadata = &of(kind).unwrap_or_else(|| panic!("{acts:?}"))["metadata"];
            let keys = [
                "repo",
                "namespace",
                "user-agent",
                "username",
                "tag",
                "mediaType",
            ];
            assert_eq!(fields(metadata), keys, "{kind}");
            assert_eq!(metadata["repo"], "app");
            assert_eq!(metadata["namespace"], "ann");
            assert_eq!(
                (&metadata["tag"], &metadata["username"]),
                (&tag, &json!("ann"))
            );
            assert_eq!(metadata["mediaType"], media_type);
        }
        let deleted = &of("delete_tag").unwrap()["metadata"];
        assert_eq!(
            (&deleted["tag"], &deleted["digest"]),
            (&tag, &json!(digest))
        );
        assert_eq!(of("delete_tag").unwrap()["performer"]["name"], "ann");
        assert_eq!(of("push_repo").unwrap()["ip"], "127.0.0.1");
    }
    let path = "/superuser/logs?performer=ann";
    let pushes = rows_of(&site, &token, path, "push_repo").await;
    assert_eq!(pushes[0]["namespace"]["name"], "ann");
    assert_eq!(pushes[0]["namespace"]["kind"], "user");
}

#[tokio::test]
async fn pushes_and_deletions_by_digest_are_told_as_well() {
    let (site, _, token) = site().await;
    let ann = Who::user("ann");
    site.user("ann").await;
    let image = Image::small(1);
    let digest = image.manifest.digest().to_string();
    site.push_as(&ann, "ann/app", &digest, &image).await;
    let path = format!("/v2/ann/app/manifests/{digest}");
    let asked = Asked::new(reqwest::Method::DELETE, path);
    assert_eq!(site.ask_as(&ann, &asked).await.status, 202);
    let pushed = rows_of(&site, &token, "/superuser/logs", "push_repo").await;
    assert_eq!(pushed.len(), 1);
    assert_eq!(pushed[0]["metadata"]["manifest_digest"], digest);
    let deleted = rows_of(&site, &token, "/superuser/logs", "delete_tag").await;
    assert_eq!(deleted[0]["metadata"]["digest"], digest);
    assert!(deleted[0]["metadata"].get("tag").is_none());
}

/// A push that is refused leaves no line.
#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    let (site, _, token) = site().await;
    site.user("ann").await;
    let image = Image::small(1);
    let who = Who::user("ann");
    site.push_as(&who, "ann/app", "v1", &Image::small(2)).await;
    let refused = site
        .put_manifest_as(&who, "ann/app", "v2", &image.manifest)
        .await;
    assert_eq!(
        refused.status,
        400,
        "its blobs are missing: {}",
        refused.text()
    );
    let pushed = rows_of(&site, &token, "/superuser/logs", "push_repo").await;
    assert_eq!(pushed.len(), 1);
    assert_eq!(pushed[0]["metadata"]["tag"], "v1");
}

/// SC-240: every pull through a cache is told, equal ones of a minute together.
#[tokio::test]
async fn pulls_through_a_cache_are_told_and_their_counts_add_up() {
    let (_origin, site, _) = super::stage(&[10]).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, EVERYTHING).await;
    for _ in 0..50 {
        site.pull("docker.io/library/app", "v1").await;
    }
    let told = rows_of(&site, &token, "/superuser/logs", "pull_repo").await;
    let with_tag = |row: &&Value| row["metadata"]["tag"] == "v1";
    let by_tag: Vec<_> = told.iter().filter(with_tag).collect();
    assert!(by_tag.len() < 10, "{}", by_tag.len());
    let count = |row: &&Value| row["metadata"]["count"].as_u64().unwrap_or(1);
    assert_eq!(by_tag.iter().map(count).sum::<u64>(), 50);
    let first = by_tag[0];
    assert!(first.get("performer").is_none(), "nobody said a name");
    assert_eq!(first["namespace"]["name"], "docker.io");
    assert_eq!(first["metadata"]["repo"], "library/app");
}

/// A HEAD, and a GET of what the client has, are no pulls.
#[tokio::test]
async fn a_look_at_a_manifest_is_no_pull() {
    let (_origin, site, image) = super::stage(&[10]).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, EVERYTHING).await;
    let path = "/v2/docker.io/library/app/manifests/v1";
    assert_eq!(site.get(path).await.status, 200);
    assert_eq!(site.head(path).await.status, 200);
    let etag = format!("\"{}\"", image.manifest.digest());
    let unchanged = site.get_with(path, &[("if-none-match", &etag)]).await;
    assert_eq!(unchanged.status, 304);
    let told = rows_of(&site, &token, "/superuser/logs", "pull_repo").await;
    assert_eq!(told.len(), 1);
}

/// What everyone may pull is told with the name of who shows a token.
#[tokio::test]
async fn who_pulls_what_is_public_is_told_if_he_says_his_name() {
    let (site, _, token) = site().await;
    site.organization("acme", None).await;
    let (_, robot) = site.robot("acme+ci").await;
    site.user("ann").await;
    site.push_as(&Who::user("ann"), "ann/app", "v1", &Image::small(1))
        .await;
    site.set_visibility("ann/app", Visibility::Public).await;
    let bearer = site.token_as(&robot, &["repository:ann/app:pull"]).await;
    let path = "/v2/ann/app/manifests/v1";
    assert_eq!(site.get_as(&bearer, path).await.status, 200);
    assert_eq!(site.get(path).await.status, 200);
    let told = rows_of(&site, &token, "/superuser/logs", "pull_repo").await;
    let names: Vec<_> = told.iter().map(|row| &row["performer"]["name"]).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&&json!("acme+ci")) && names.contains(&&Value::Null));
    let by_robot = told
        .iter()
        .find(|row| row["performer"].is_object())
        .unwrap();
    assert_eq!(by_robot["performer"]["is_robot"], true);
    assert_eq!(by_robot["performer"]["avatar"]["kind"], "robot");
    assert_eq!(by_robot["metadata"]["is_robot"], true);
}

/// What was noted is written at an orderly end.
#[tokio::test]
async fn pulls_are_still_told_after_a_restart() {
    let (_origin, mut site, _) = super::stage(&[10]).await;
    site.pull("docker.io/library/app", "v1").await;
    site.restart().await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, EVERYTHING).await;
    let told = rows_of(&site, &token, "/superuser/logs", "pull_repo").await;
    assert!(!told.is_empty());
}

/// SC-477: `docker login` makes a row, unless the operator does not want it.
#[tokio::test]
async fn logins_are_told_unless_that_is_switched_off() {
    for is_on in [true, false] {
        let site = Site::start(|config| config.audit.logins = is_on).await;
        let root = site.superuser("root").await;
        let token = site.oauth_token(root, EVERYTHING).await;
        site.organization("acme", None).await;
        let (_, robot) = site.robot("acme+ci").await;
        site.token_as(&Who::user("root"), &[]).await;
        site.token_as(&robot, &[]).await;
        site.token_as(&Who::user("root"), &["repository:root/x:pull"])
            .await;
        let told = rows_of(&site, &token, "/superuser/logs", "login_success").await;
        if !is_on {
            assert!(told.is_empty());
            continue;
        }
        assert_eq!(told.len(), 2, "a pull is no login");
        let of = |kind| {
            let found = told.iter().find(|row| row["metadata"]["kind"] == kind);
            found.unwrap_or_else(|| panic!("{told:?}"))
        };
        let (by_robot, by_user) = (of("robot"), of("user"));
        let metadata = &by_user["metadata"];
        assert_eq!(fields(metadata), ["type", "useragent", "kind"]);
        assert_eq!(metadata["type"], "v2auth");
        assert_eq!(by_user["namespace"]["name"], "root");
        assert_eq!(by_robot["metadata"]["robot"], "acme+ci");
        assert_eq!(by_robot["namespace"]["name"], "acme");
    }
}

/// WB-05: failures are told to who wants them, and secrets to nobody.
#[tokio::test]
async fn failures_are_told_where_the_operator_wants_them() {
    for is_on in [true, false] {
        let site = Site::start(|config| {
            config.audit.login_failures = is_on;
            config.audit.pull_failures = is_on;
            config.audit.push_failures = is_on;
            config.audit.delete_failures = is_on;
        })
        .await;
        let root = site.superuser("root").await;
        let token = site.oauth_token(root, EVERYTHING).await;
        let ann = Who::user("ann");
        site.user("ann").await;
        let wrong = Who::Basic {
            user: "ann".to_owned(),
            password: "not-the-password".to_owned(),
        };
        assert_eq!(site.get("/v2/ann/app/manifests/v1").await.status, 401);
        let image = Image::small(1);
        let put = site.put_manifest_as(&ann, "ann/app", "v1", &image.manifest);
        assert_eq!(put.await.status, 400);
        let pull = site.get_as(&ann, "/v2/ann/app/manifests/none").await;
        assert_eq!(pull.status, 404);
        let asked = Asked::new(reqwest::Method::DELETE, "/v2/ann/app/manifests/none");
        assert_eq!(site.ask_as(&ann, &asked).await.status, 404);
        assert_eq!(site.ask_token_as(&wrong, &[]).await.status, 401);
        let all = rows(&site, &token, "/superuser/logs").await;
        let text = Value::from(all.clone()).to_string();
        assert!(!text.contains("not-the-password") && !text.contains("correct-horse"));
        for kind in [
            "login_failure",
            "push_repo_failed",
            "pull_repo_failed",
            "delete_tag_failed",
        ] {
            let told: Vec<_> = all.iter().filter(|row| row["kind"] == kind).collect();
            assert_eq!(told.len(), usize::from(is_on), "{kind}");
            let Some(row) = told.first() else { continue };
            assert_eq!(row["namespace"]["name"], "ann", "{kind}");
            assert!(row["metadata"]["message"].is_string(), "{kind}");
            if kind != "login_failure" {
                assert_eq!(row["metadata"]["repo"], "app", "{kind}");
                assert_eq!(row["performer"]["name"], "ann", "{kind}");
            }
        }
    }
}

/// quay-log-kinds 1: what is done with a token tells which it was, whether it is shown itself or a registry
/// token is made of it; AZ-12: the registry token ends with it.
#[tokio::test]
async fn what_is_done_with_a_token_tells_which() {
    let (site, _, _) = site().await;
    let ann = site.user("ann").await;
    let own = site.oauth_token(ann, EVERYTHING).await;
    site.push_as(&Who::user("ann"), "ann/app", "first", &Image::small(1))
        .await;
    let by = Performer::from(Actor::User {
        id: ann,
        name: "ann".parse().unwrap(),
    });
    let made = site.accounts().create_app_token(ann, "laptop", None, &by);
    let (app_token, code) = made.await.unwrap();
    let listed = site.accounts().list_app_tokens(ann, None, 9).await.unwrap();
    let uuid = listed[0].1.uuid.clone();
    let basic = |user: &str, password: &str| Who::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    let app = basic("$app", code.expose());
    let oauth = basic("$oauthtoken", &site.oauth_token(ann, "repo:write").await);
    let scope = ["repository:ann/app:pull,push"];
    let bearers = [
        site.token_as(&app, &scope).await,
        site.token_as(&oauth, &scope).await,
    ];
    let all = [&app, &bearers[0], &oauth, &bearers[1]];
    for (number, who) in all.into_iter().enumerate() {
        let tag = format!("v{number}");
        site.push_as(who, "ann/app", &tag, &Image::small(1)).await;
        let path = format!("/v2/ann/app/manifests/{tag}");
        assert_eq!(site.get_as(who, &path).await.status, 200);
    }
    for kind in ["push_repo", "pull_repo"] {
        let told = rows_of(&site, &own, "/repository/ann/app/logs", kind).await;
        let of = |tag: &str| {
            let found = told.iter().find(|row| row["metadata"]["tag"] == tag);
            let row = found.unwrap_or_else(|| panic!("{kind} {tag}: {told:?}"));
            assert_eq!(row["performer"]["name"], "ann");
            row["metadata"].clone()
        };
        for tag in ["v0", "v1"] {
            let metadata = of(tag);
            assert_eq!(
                metadata["app_specific_token"],
                uuid.as_str(),
                "{kind} {tag}"
            );
            assert_eq!(metadata["app_specific_token_title"], "laptop");
            assert_eq!(metadata["username"], "ann");
            assert!(metadata.get("oauth_token_id").is_none());
        }
        for tag in ["v2", "v3"] {
            let metadata = of(tag);
            assert!(metadata["oauth_token_id"].is_number(), "{kind} {tag}");
            assert_eq!(metadata["oauth_token_application"], "tests");
            assert!(metadata["oauth_token_application_id"].is_string());
            assert!(metadata.get("app_specific_token").is_none());
        }
    }
    site.token_as(&app, &[]).await;
    let logins = rows_of(&site, &own, "/user/logs", "login_success").await;
    let metadata = &logins[0]["metadata"];
    assert_eq!(metadata["kind"], "app_specific_token");
    assert_eq!(metadata["app_specific_token_title"], "laptop");

    let revoked = site.accounts().revoke_app_token(ann, app_token, &by).await;
    revoked.unwrap();
    let path = "/v2/ann/app/manifests/v0";
    assert_eq!(site.get_as(&bearers[0], path).await.status, 401);
    assert_eq!(site.get_as(&bearers[1], path).await.status, 200);
}
