//! Search and completion.

use entrepot::model::Visibility;
use serde_json::{Value, json};

use super::repository::Stage;
use crate::harness::api::fields;

fn names(results: &Value) -> Vec<String> {
    let results = results.as_array().unwrap().iter();
    results
        .map(|hit| hit["name"].as_str().unwrap().to_owned())
        .collect()
}

/// SC-469: as the guide shows it, down to the number of the namespace's score.
#[tokio::test]
async fn everything_is_found_by_name() {
    let stage = Stage::new().await;
    stage
        .site
        .repository("ann/busybox", Visibility::Private)
        .await;
    let answer = stage.ann().get("/find/all?query=busybox").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("\"score\": 4.0") && answer.text().contains("\"score\": 1,"));
    let hit = answer.json()["results"][0].clone();
    let mut told = fields(&hit);
    told.sort_unstable();
    let expected = [
        "description",
        "href",
        "is_public",
        "kind",
        "name",
        "namespace",
        "score",
        "title",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (&hit["kind"], &hit["title"]),
        (&json!("repository"), &json!("repo"))
    );
    assert_eq!(hit["href"], "/repository/ann/busybox");
    let owner = &hit["namespace"];
    assert_eq!(
        (&owner["kind"], &owner["href"]),
        (&json!("user"), &json!("/user/ann"))
    );
    for api in [stage.bob(), stage.site.api_of_nobody()] {
        let found = api.get("/find/all?query=busybox").await.json();
        assert_eq!(found["results"], json!([]), "AZ-10");
    }
    let empty = stage.ann().get("/find/all?query=").await.json();
    assert_eq!(empty, json!({"results": []}));
    stage.site.robot("ann+builder").await;
    let robots = stage.ann().get("/find/all?query=builder").await.json();
    assert_eq!(robots["results"][0]["short_name"], "builder");
    assert_eq!(
        stage.bob().get("/find/all?query=builder").await.json(),
        json!({"results": []})
    );
    let teams = stage.ann().get("/find/all?query=owners").await.json();
    assert_eq!(teams["results"][0]["kind"], "team");
    assert_eq!(teams["results"][0]["organization"]["name"], "acme");
    let spaces = stage
        .site
        .api_of_nobody()
        .get("/find/all?query=acme")
        .await
        .json();
    assert_eq!(spaces["results"][0]["kind"], "organization");
}

/// SC-468.
#[tokio::test]
async fn repositories_are_found_in_pages() {
    let stage = Stage::new().await;
    for number in 0..12 {
        let name = format!("acme/tool{number:02}");
        stage.site.repository(&name, Visibility::Public).await;
    }
    let path = "/find/repositories?query=tool&page=1&includeUsage=true";
    let first = stage.site.api_of_nobody().get(path).await.json();
    assert_eq!(
        (&first["page"], &first["page_size"]),
        (&json!(1), &json!(10))
    );
    assert_eq!(
        (&first["start_index"], &first["has_additional"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(names(&first["results"]).len(), 10);
    assert_eq!(first["results"][0]["stars"], 0);
    let path = "/find/repositories?query=tool&page=2";
    let second = stage.site.api_of_nobody().get(path).await.json();
    assert_eq!(names(&second["results"]), ["tool10", "tool11"]);
    assert_eq!(
        (&second["start_index"], &second["has_additional"]),
        (&json!(10), &json!(false))
    );
    let far = stage
        .ann()
        .get("/find/repositories?query=tool&page=999")
        .await
        .json();
    assert_eq!(far["page"], 10);
    let hidden = stage.bob().get("/find/repositories?query=app").await.json();
    assert_eq!(hidden["results"], json!([]), "AZ-10");
}

/// SC-470.
#[tokio::test]
async fn names_are_completed_for_who_grants() {
    let stage = Stage::new().await;
    stage.site.robot("acme+bot").await;
    let path = "/entities/b?namespace=acme&includeTeams=true&includeOrgs=true";
    let found = stage.ann().get(path).await.json();
    assert_eq!(names(&found["results"]), ["acme+bot", "bob"]);
    let (robot, bob) = (&found["results"][0], &found["results"][1]);
    assert_eq!(
        (&robot["is_robot"], &robot["is_org_member"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&bob["is_robot"], &bob["is_org_member"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(bob["avatar"]["kind"], "user");
    let path = "/entities/o?namespace=acme&includeTeams=true";
    let teams = stage.ann().get(path).await.json();
    assert_eq!(
        (names(&teams["results"]), &teams["results"][0]["kind"]),
        (vec!["owners".to_owned()], &json!("team"))
    );
    let path = "/entities/ac?namespace=acme&includeOrgs=true";
    let organizations = stage.ann().get(path).await.json();
    assert_eq!(organizations["results"][0]["kind"], "org");
    for path in [
        "/entities/b?namespace=acme&includeTeams=true",
        "/entities/b",
    ] {
        let outside = stage.site.api_of_nobody().get(path).await.json();
        assert_eq!(names(&outside["results"]), ["bob"]);
    }
    let linked = stage.ann().post("/entities/link/somebody", json!({})).await;
    assert_eq!(linked.status, 404);
}

/// quay-api 37: what `docker search` reads; AZ-10.
#[tokio::test]
async fn docker_searches_by_the_first_protocol() {
    let stage = Stage::new().await;
    for number in 0..7 {
        let name = format!("acme/tool{number}");
        stage.site.repository(&name, Visibility::Public).await;
    }
    let found = stage.site.get("/v1/search?q=tool&n=5&page=2").await;
    assert_eq!(found.status, 200, "{}", found.text());
    let hit = |number: u64| {
        json!({
            "name": format!("acme/tool{number}"),
            "description": null,
            "is_public": true,
            "href": format!("/repository/acme/tool{number}"),
        })
    };
    let expected = json!({
        "query": "tool",
        "num_results": 2,
        "num_pages": 2,
        "page": 2,
        "page_size": 5,
        "results": [hit(5), hit(6)],
    });
    assert_eq!(found.json(), expected);
    let first = stage.site.get("/v1/search?q=tool&n=5&page=no").await.json();
    assert_eq!(
        (&first["num_results"], &first["num_pages"]),
        (&json!(5), &json!(2))
    );
    let hidden = stage.site.get("/v1/search?q=app").await.json();
    assert_eq!(hidden["results"], json!([]), "AZ-10");
    assert_eq!(hidden["page_size"], 25);
    let ann = crate::harness::people::Who::user("ann");
    let own = stage.site.get_as(&ann, "/v1/search?q=app").await.json();
    assert_eq!(own["results"][0]["name"], "acme/app");
    assert_eq!(own["results"][0]["is_public"], false);
    let empty = stage.site.get("/v1/search").await.json();
    assert_eq!(empty["num_results"], 0);
    assert_eq!(stage.site.get("/v1/_ping").await.text().trim(), "true");
    assert_eq!(stage.site.get("/v1/").await.status, 200);
}
