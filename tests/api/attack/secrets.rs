//! Secrets looked for where they must not be: in answers, in the usage log, in the files of the data
//! directory.

use std::path::{Path, PathBuf};

use entrepot::model::{Grantee, Member, Role, TeamRole};
use serde_json::json;

use super::tenants::Tenants;
use super::{EVERYTHING, doors};
use crate::harness::browser::Browser;
use crate::harness::people::password;

/// Doors that show a secret again to its owner, as Quay documents them.
const SHOWING: [&str; 7] = [
    "/api/v1/organization/{orgname}/applications",
    "/api/v1/organization/{orgname}/applications/{client_id}",
    "/api/v1/organization/{orgname}/robots",
    "/api/v1/organization/{orgname}/robots/{robot_shortname}",
    "/api/v1/user/apptoken/{token_uuid}",
    "/api/v1/user/robots",
    "/api/v1/user/robots/{robot_shortname}",
];

/// Bob's secrets, with his password and that of an account at another registry.
fn secrets(tenants: &Tenants) -> Vec<String> {
    let mut secrets = tenants.secrets.clone();
    secrets.extend([password("bob"), tenants.bob.clone()]);
    secrets
}

/// WB-04: every object read back at every door, by everybody who may open it: a secret is shown by the doors
/// that are documented to, and to who rules what it opens alone.
#[tokio::test]
async fn secrets_are_read_back_by_their_owner_at_few_doors() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let mut names = vec!["bob", "nobody"];
    let umbra = site
        .registry()
        .namespace(&"umbra".parse().unwrap())
        .await
        .unwrap();
    let (umbra, _) = umbra.unwrap();
    let mut tokens = vec![Some(tenants.bob.clone()), None];
    for (name, superuser) in [("member", false), ("collaborator", false), ("root", true)] {
        let id = match superuser {
            true => site.superuser(name).await,
            false => site.user(name).await,
        };
        match name {
            "member" => {
                let members = [Member::User(id)];
                site.team(umbra, "makers", TeamRole::Creator, &members)
                    .await;
            }
            "collaborator" => {
                site.grant("umbra/zqvault", Grantee::User(id), Role::Admin)
                    .await
            }
            _ => {}
        }
        names.push(name);
        tokens.push(Some(site.oauth_token(id, EVERYTHING).await));
    }
    let mut doors = doors(site).await;
    doors.retain(|door| !door.changes());
    let secrets = secrets(&tenants);
    let mut shown = 0;
    for door in &doors {
        let path = door.at(|name| tenants.value(door, name, "umbra"));
        let path = format!("{path}?token=true&permissions=true&internal=true");
        for (name, token) in names.iter().zip(&tokens) {
            let bearer = token.as_ref().map(|token| format!("Bearer {token}"));
            let headers: Vec<_> = bearer
                .iter()
                .map(|it| ("authorization", it.as_str()))
                .collect();
            let answer = site.get_with(&path, &headers).await;
            let text = String::from_utf8_lossy(&answer.body);
            let is_documented = *name == "bob" && SHOWING.contains(&door.path.as_str());
            for secret in &secrets {
                let is_told = text.contains(secret.as_str());
                assert!(!is_told || is_documented, "{path} tells {name}: {text}");
                shown += usize::from(is_told);
            }
        }
    }
    assert!(shown >= 7, "bob sees what is his: {shown}");
}

/// WB-05: what was made, shown, used and refused is told by the usage log, without any secret; AU-10: nor is
/// one in any file that the server keeps.
#[tokio::test]
async fn secrets_are_in_no_log_and_in_no_file() {
    let mut tenants = Tenants::new().await;
    let secrets = secrets(&tenants);
    let site = &tenants.site;
    let browser = Browser::signed_in(site, "bob").await;
    let cookie = browser.cookie().unwrap();
    let body = json!({"password": "another-horse-of-bob"});
    let changed = browser
        .change(reqwest::Method::PUT, "/api/v1/user/", body)
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let key = json!({"password": "another-horse-of-bob"});
    let key = site
        .api(&tenants.bob)
        .post("/user/clientkey", key)
        .await
        .json();
    let wrong = json!({"password": "guess-of-a-password"});
    site.api(&tenants.bob).post("/user/clientkey", wrong).await;
    let mut secrets = secrets;
    secrets.extend([
        "another-horse-of-bob".to_owned(),
        "guess-of-a-password".to_owned(),
    ]);
    secrets.push(key["key"].as_str().unwrap().to_owned());
    secrets.push(cookie.split_once('=').unwrap().1.to_owned());
    let root = site.superuser("root").await;
    let root = site.oauth_token(root, "super:user").await;
    let (mut next, mut lines) = (String::new(), 0);
    loop {
        let page = site
            .api(&root)
            .get(&format!("/superuser/logs?{next}"))
            .await;
        for secret in &secrets {
            assert!(!page.text().contains(secret.as_str()), "{}", page.text());
        }
        let page = page.json();
        lines += page["logs"].as_array().unwrap().len();
        match page["next_page"].as_str() {
            Some(token) => next = format!("next_page={token}"),
            None => break,
        }
    }
    assert!(lines > 20, "{lines}");
    let data = site.config.data_dir.clone();
    tenants.site.stop().await;
    let (mut files, mut bytes) = (0, 0);
    for file in below(&data) {
        let content = std::fs::read(&file).unwrap();
        for secret in &secrets {
            let secret = secret.as_bytes();
            let is_there = content.windows(secret.len()).any(|part| part == secret);
            assert!(!is_there, "a secret lies in {}", file.display());
        }
        (files, bytes) = (files + 1, bytes + content.len());
    }
    assert!(
        files > 3 && bytes > 10_000,
        "{files} files were read, {bytes} bytes"
    );
}

/// All files below a directory; sockets are none.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}
