//! `_catalog` and the other lists: they show what the caller may read (AZ-10).

use entrepot::model::{Grantee, Member, Role, TeamRole, Visibility};
use serde_json::json;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::people::Who;
use crate::harness::site::{Answer, Site, rule};

fn names(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let names = json["repositories"].as_array().expect("a list, never null");
    names
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Follows `Link` to the end; every page but the last holds `n` names, unless `may_be_short`.
async fn all(site: &Site, who: &Who, first: &str) -> Vec<Vec<String>> {
    let (mut pages, mut path) = (Vec::new(), Some(first.to_owned()));
    while let Some(current) = path {
        let answer = site.get_as(who, &current).await;
        assert_eq!(answer.status, 200, "{current}: {}", answer.text());
        pages.push(names(&answer));
        assert!(pages.len() < 100, "the pages go round in circles");
        let link = answer.header("link").strip_prefix('<');
        path = link.map(|link| link.strip_suffix(">; rel=\"next\"").unwrap().to_owned());
    }
    pages
}

/// Repositories of namespaces whose names begin with each other's, private but for `*/open`.
async fn stage(public_catalog: bool) -> (Origin, Site) {
    let origin = Origin::start().await;
    origin.push_image("app", "v1", &Image::small(1));
    let mut inner = rule("inner", "inner.example", &origin);
    inner.anonymous_pull = false;
    let rules = vec![rule("cache.example", "cache.example", &origin), inner];
    let site = Site::start(|config| {
        config.upstreams = rules;
        config.features.public_catalog = public_catalog;
    })
    .await;
    let ann = site.user("ann").await;
    site.user("eve").await;
    for organization in ["aa", "aa-b", "aa.b", "aa0", "aa-b-c", "zz"] {
        let owner = (organization == "aa-b").then_some(ann);
        site.organization(organization, owner).await;
        for (name, visibility) in [
            ("open", Visibility::Public),
            ("x/y", Visibility::Private),
            ("x-y", Visibility::Private),
        ] {
            site.repository(&format!("{organization}/{name}"), visibility)
                .await;
        }
    }
    site.repository("ann/own", Visibility::Private).await;
    site.pull("cache.example/app", "v1").await;
    site.settled().await;
    (origin, site)
}

const OPEN: [&str; 7] = [
    "aa-b-c/open",
    "aa-b/open",
    "aa.b/open",
    "aa/open",
    "aa0/open",
    "cache.example/app",
    "zz/open",
];

/// AZ-10: everybody sees what he may read, in byte order, whatever the size of the page.
#[tokio::test]
async fn the_catalogue_shows_what_the_caller_may_read() {
    let (_origin, site) = stage(true).await;
    let (reader_id, reader) = site.robot("zz+reader").await;
    site.grant("zz/x/y", Grantee::Robot(reader_id), Role::Read)
        .await;
    let eve_id = site
        .accounts()
        .user_by_name("eve")
        .await
        .unwrap()
        .unwrap()
        .0;
    let (aa, _) = site
        .registry()
        .namespace(&"aa".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let team = site
        .team(aa, "all", TeamRole::Member, &[Member::User(eve_id)])
        .await;
    site.grant("aa/x-y", Grantee::Team(team), Role::Read).await;
    let with = |more: &[&str]| {
        let mut names: Vec<String> = OPEN.iter().chain(more).map(|it| (*it).to_owned()).collect();
        names.sort();
        names
    };
    let token = site
        .token_as(&Who::user("ann"), &["registry:catalog:*"])
        .await;
    let rows = [
        ("nobody", Who::Nobody, with(&[])),
        (
            "owner",
            Who::user("ann"),
            with(&["aa-b/x-y", "aa-b/x/y", "ann/own"]),
        ),
        (
            "owner's token",
            token,
            with(&["aa-b/x-y", "aa-b/x/y", "ann/own"]),
        ),
        ("member", Who::user("eve"), with(&["aa/x-y"])),
        ("reader", reader, with(&["zz/x/y"])),
    ];
    for (role, who, expected) in &rows {
        assert_eq!(
            all(&site, who, "/v2/_catalog").await.concat(),
            *expected,
            "{role}"
        );
        for n in [1, 2, 3, 5, 100] {
            let pages = all(&site, who, &format!("/v2/_catalog?n={n}")).await;
            assert_eq!(pages.concat(), *expected, "{role}, by {n}");
            assert!(
                pages[..pages.len() - 1].iter().all(|page| page.len() == n),
                "{role}, by {n}"
            );
        }
        for (at, last) in expected.iter().enumerate() {
            let path = format!("/v2/_catalog?last={last}");
            assert_eq!(
                all(&site, who, &path).await.concat(),
                expected[at + 1..],
                "{role}, {last}"
            );
        }
    }
    let none = site.get_as(&Who::user("ann"), "/v2/_catalog?n=0").await;
    assert_eq!(
        (none.json(), none.header("link")),
        (json!({"repositories": []}), "")
    );
    assert_eq!(
        site.get_as(&Who::user("ann"), "/v2/_catalog?n=x")
            .await
            .status,
        400
    );
    let wrong = Who::Basic {
        user: "ann".to_owned(),
        password: "wrong-password".to_owned(),
    };
    assert_eq!(site.get_as(&wrong, "/v2/_catalog").await.status, 401);
}

/// A page begins strictly behind any text, be it a name or not.
#[tokio::test]
async fn the_catalogue_goes_on_behind_any_text() {
    let (_origin, site) = stage(true).await;
    for last in [
        "",
        "a",
        "aa",
        "aa-",
        "aa-b",
        "aa-b/",
        "aa-b/o",
        "aa.",
        "aa/",
        "aa/zzz",
        "aa0",
        "b",
        "cache.example/",
        "zz",
        "zz/open",
        "zz/~",
        "~",
        "AA",
        "aa/x/",
        "aa//",
        "%C3%A9",
    ] {
        let decoded = if last.starts_with('%') {
            "\u{e9}"
        } else {
            last
        };
        let expected: Vec<&str> = OPEN.into_iter().filter(|name| *name > decoded).collect();
        let found = all(
            &site,
            &Who::Nobody,
            &format!("/v2/_catalog?n=2&last={last}"),
        )
        .await;
        assert_eq!(found.concat(), expected, "{last:?}");
    }
}

/// As in Quay nobody sees anything unless the catalogue is public; who is logged in always does.
#[tokio::test]
async fn a_catalogue_that_is_not_public_is_for_accounts() {
    let (_origin, site) = stage(false).await;
    assert_eq!(
        all(&site, &Who::Nobody, "/v2/_catalog").await,
        [Vec::<String>::new()]
    );
    let anonymous = site
        .token_as(&Who::Nobody, &["repository:aa/open:pull"])
        .await;
    assert_eq!(
        all(&site, &anonymous, "/v2/_catalog").await,
        [Vec::<String>::new()]
    );
    let seen = all(&site, &Who::user("eve"), "/v2/_catalog").await.concat();
    assert_eq!(seen, OPEN);
}

/// A request looks at a bounded number of repositories; what goes on from there names none of those that
/// the caller may not see.
#[tokio::test]
async fn a_catalogue_of_what_others_have_is_read_in_bounded_steps() {
    let site = Site::start(|config| config.features.public_catalog = true).await;
    site.organization("hidden", None).await;
    site.organization("zz", None).await;
    let (hidden, _) = site
        .registry()
        .namespace(&"hidden".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let fill = move |tx: &mut entrepot::store::WriteTx<'_>| -> Result<(), entrepot::store::Error> {
        for number in 0..12_000 {
            let name = format!("canary{number:05}").parse().unwrap();
            let record = entrepot::model::RepositoryRecord::new(
                hidden,
                name,
                entrepot::model::Timestamp::default(),
            );
            tx.repositories().create(&record)?;
        }
        Ok(())
    };
    site.registry().store().write(fill).await.unwrap();
    site.repository("zz/open", Visibility::Public).await;
    let first = site.get("/v2/_catalog?n=10").await;
    assert_eq!(names(&first), Vec::<String>::new());
    let link = first.header("link");
    assert!(
        link.contains("next=") && !link.contains("canary") && !link.contains("hidden"),
        "{link}"
    );
    let pages = all(&site, &Who::Nobody, "/v2/_catalog?n=10").await;
    assert_eq!(pages, [vec![], vec!["zz/open".to_owned()]]);
}

/// AZ-10: tags and referrers of what may not be read are not listed, nor counted.
#[tokio::test]
async fn no_list_shows_what_may_not_be_read() {
    let site = Site::start(|_| {}).await;
    site.user("ann").await;
    site.user("eve").await;
    let ann = Who::user("ann");
    let image = Image::small(1);
    site.push_as(&ann, "ann/app", "canary", &image).await;
    for who in [Who::Nobody, Who::user("eve")] {
        for rest in [
            "tags/list".to_owned(),
            "tags/list?n=1".to_owned(),
            format!("referrers/{}", image.digest()),
        ] {
            let answer = site.get_as(&who, &format!("/v2/ann/app/{rest}")).await;
            assert!([401, 403].contains(&answer.status.as_u16()));
            assert!(!answer.text().contains("canary") && answer.header("link").is_empty());
        }
    }
    let metrics = site
        .ask(reqwest::Method::GET, &site.metrics_url("/metrics"), &[])
        .await;
    assert!(!metrics.text().contains("ann/app") && !metrics.text().contains("canary"));
    let seen = site.get_as(&ann, "/v2/ann/app/tags/list").await;
    assert_eq!(seen.json()["tags"], json!(["canary"]));
}
