//! What is counted, what a push over a limit is told, and who hears of it.

use super::*;

/// SC-207, SC-208, SC-211: each blob once in a repository and once in a namespace.
#[tokio::test]
async fn every_blob_counts_once_in_each_scope() {
    let stage = Stage::new().await;
    let layer = content::bytes(9, 5000);
    let one = Image::of_layers(1, &[layer.clone(), content::bytes(10, 700)]);
    let two = Image::of_layers(2, &[layer.clone(), content::bytes(11, 900)]);
    stage.push("acme/app", "v1", &one).await;
    assert_eq!(
        (stage.held_by("app").await, stage.held().await),
        (blobs(&one), blobs(&one))
    );
    stage.push("acme/app", "v2", &two).await;
    let both = blobs(&one) + blobs(&two) - layer.len() as u64;
    assert_eq!(
        (stage.held_by("app").await, stage.held().await),
        (both, both)
    );
    stage.push("acme/other", "v1", &one).await;
    assert_eq!(
        (stage.held_by("other").await, stage.held().await),
        (blobs(&one), both)
    );
    let index = content::index(&[(&one, "amd64"), (&two, "arm64")]);
    let ann = Who::user("ann");
    let put = stage
        .site
        .put_manifest_as(&ann, "acme/app", "all", &index)
        .await;
    assert_eq!(put.status, 201);
    assert_eq!(
        (stage.held_by("app").await, stage.held().await),
        (both, both)
    );
}

/// SC-205, SC-209, SC-227, SC-229: repositories, organisations and the lists of superusers tell what is held and
/// what may be, in the fields of the guide.
#[tokio::test]
async fn what_is_held_is_told_wherever_the_guide_shows_it() {
    let stage = Stage::new().await;
    let (ubuntu, nginx) = (
        Image::with_layers(1, &[5000]),
        Image::with_layers(2, &[300, 40]),
    );
    let report = |bytes: u64, configured: Value| {
        json!({
            "quota_bytes": bytes,
            "configured_quota": configured,
            "running_backfill": "complete",
            "backfill_status": "complete",
        })
    };
    assert_eq!(stage.report().await, report(0, Value::Null));
    let quota = stage
        .limited(10_485_760, &[("Reject", 80), ("Warning", 50)])
        .await;
    stage.push("acme/ubuntu", "v1", &ubuntu).await;
    stage.push("acme/nginx", "v1", &nginx).await;
    let configured = json!(10_485_760);
    for (name, image) in [("ubuntu", &ubuntu), ("nginx", &nginx)] {
        let expected = json!({"quota_bytes": blobs(image), "configured_quota": configured});
        assert_eq!(stage.report_of(name).await, expected);
    }
    let expected = report(blobs(&ubuntu) + blobs(&nginx), configured);
    let shown = stage.ann().get("/organization/acme").await.json();
    assert_eq!(shown["quotas"], json!([quota]));
    assert_eq!(shown["quota_report"], expected);
    let list = stage.root().get("/superuser/organizations/").await.json();
    let of_acme = &list["organizations"][0];
    assert_eq!(
        (&of_acme["name"], &of_acme["quota_report"]),
        (&json!("acme"), &expected)
    );
}

/// SC-210, SC-078: what no tag and no time machine holds stops to count, however lately it came.
#[tokio::test]
async fn deleting_frees_what_nothing_holds() {
    let stage = Stage::with(|config| config.retention.permanently_delete = true).await;
    let (one, two) = (
        Image::with_layers(1, &[5000]),
        Image::with_layers(2, &[300]),
    );
    stage.push("acme/app", "v1", &one).await;
    stage.push("acme/app", "v2", &two).await;
    stage.delete_tag("app", "v1").await;
    stage.collect().await;
    assert_eq!(
        (stage.held().await, stage.held_by("app").await),
        (blobs(&two), blobs(&two))
    );
    let keep = json!({"tag_expiration_s": 86_400});
    assert_eq!(
        stage.ann().put("/organization/acme", keep).await.status,
        200
    );
    stage.push("acme/app", "v3", &one).await;
    stage.delete_tag("app", "v3").await;
    stage.collect().await;
    assert_eq!(
        stage.held().await,
        blobs(&one) + blobs(&two),
        "it can be restored"
    );
    let forget = json!({"is_alive": false, "manifest_digest": one.digest().to_string(),
        "include_submanifests": true});
    let forgotten = stage
        .ann()
        .post("/repository/acme/app/tag/v3/expire", forget)
        .await;
    assert_eq!(forgotten.status, 200, "{}", forgotten.text());
    stage.collect().await;
    assert_eq!(stage.held().await, blobs(&two));
    let body = json!({"manifest_digest": one.digest().to_string()});
    let restore = "/repository/acme/app/tag/v3/restore";
    let restored = stage.ann().post(restore, body).await;
    assert_eq!(restored.status, 404, "for good");
    assert_eq!(stage.ann().delete("/repository/acme/app").await.status, 204);
    stage.purge().await;
    assert_eq!(stage.held().await, 0);
}

/// SC-219: with the switch, what an index named goes with it: deleted where nothing is restored, or for good
/// where it could be.
#[tokio::test]
async fn children_of_an_index_go_with_it_if_the_site_says_so() {
    for (resets, for_good) in [(false, false), (true, false), (false, true), (true, true)] {
        let stage = Stage::with(|config| {
            config.retention.reset_children = resets;
            config.retention.permanently_delete = for_good;
            if for_good {
                config.retention.time_machine = Duration::from_secs(14 * 86_400);
            }
        })
        .await;
        let child = Image::with_layers(1, &[5000]);
        let ann = Who::user("ann");
        for blob in child.blobs() {
            assert_eq!(stage.push_blob("acme/app", blob).await.status, 201);
        }
        let digest = child.digest().to_string();
        let put = stage
            .site
            .put_manifest_as(&ann, "acme/app", &digest, &child.manifest);
        assert_eq!(put.await.status, 201);
        let index = content::index(&[(&child, "amd64")]);
        let put = stage.site.put_manifest_as(&ann, "acme/app", "all", &index);
        assert_eq!(put.await.status, 201);
        match for_good {
            true => stage.forget_tag("app", "all").await,
            false => stage.delete_tag("app", "all").await,
        }
        stage.collect().await;
        let kept = if resets { 0 } else { blobs(&child) };
        assert_eq!(stage.held().await, kept, "{resets}, {for_good}");
        stage
            .site
            .clock
            .advance(stage.site.config.retention.grace * 2);
        stage.collect().await;
        // Two hours are more than a token lives.
        let registry = stage.site.registry();
        let acme = registry.namespace(&"acme".parse().unwrap()).await;
        let (acme, _) = acme.unwrap().unwrap();
        assert_eq!(registry.ledger().held(acme), 0);
    }
}

/// SC-206, SC-212, SC-232, GC-07: refused before the bytes come, wherever their number is known.
#[tokio::test]
async fn a_push_over_the_limit_is_refused() {
    let stage = Stage::new().await;
    stage.limited(10_000, &[("Reject", 80)]).await;
    let image = Image::with_layers(1, &[7000]);
    stage.push("acme/app", "v1", &image).await;
    let held = stage.held().await;
    let (small, large) = (content::bytes(5, 100), content::bytes(6, 2000));
    assert_refused(&stage.push_blob("acme/app", &large).await);
    let ann = Who::user("ann");
    let session = stage.site.begin_upload_as(&ann, "acme/app").await;
    let patch = Asked::new(Method::PATCH, session.clone()).body(large.clone());
    assert_refused(&stage.site.ask_as(&ann, &patch).await);
    let status = stage.site.get_as(&ann, &session).await;
    assert_eq!(
        (status.status.as_u16(), status.header("range")),
        (204, "0-0"),
        "nothing was taken"
    );
    let put = format!("{session}?digest={}", Digest::of(&large));
    assert_refused(
        &stage
            .site
            .ask_as(&ann, &Asked::new(Method::PUT, put).body(large))
            .await,
    );
    assert_eq!(
        stage.push_blob("acme/app", &small).await.status,
        201,
        "it fits"
    );
    assert_eq!(stage.held().await, held + 100);
    let rest = content::bytes(7, usize::try_from(8000 - held - 100).unwrap());
    assert_eq!(
        stage.push_blob("acme/app", &rest).await.status,
        201,
        "to the last byte"
    );
    let begin = Asked::new(Method::POST, "/v2/acme/app/blobs/uploads/");
    assert_refused(&stage.site.ask_as(&ann, &begin).await);
    assert_refused(&stage.push_blob("acme/other", &content::bytes(8, 1)).await);
    let other = stage.push_blob("ann/own", &content::bytes(8, 5000)).await;
    assert_eq!(other.status, 201, "another namespace is another account");
    assert_eq!(
        stage
            .site
            .get_as(&ann, "/v2/acme/app/manifests/v1")
            .await
            .status,
        200
    );
}

/// GC-07: where nobody says how many bytes come, refused at the piece that would cross the limit, which is
/// not written. What had come before it goes, so that a smaller push finds its room.
#[tokio::test]
async fn an_upload_of_unknown_length_never_crosses_the_limit() {
    let stage = Stage::new().await;
    stage.limited(1_000_000, &[("Reject", 100)]).await;
    let ann = Who::user("ann");
    let session = stage.site.begin_upload_as(&ann, "acme/app").await;
    let watcher = Watcher::start(&stage.site.config.data_dir);
    let headers = [("authorization", ann.header().unwrap())];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let blob = content::bytes(9, 3_000_000);
    let body = streamed(&blob);
    let answer = stage
        .site
        .send(Method::PATCH, &session, &headers, body)
        .await;
    assert_refused(&answer);
    let most = watcher.most().bytes;
    assert!(most <= 1_000_000, "{most} bytes lay there");
    assert_eq!(stage.site.get_as(&ann, &session).await.status, 404);
    assert_eq!(files::bytes(&stage.site.config.data_dir), 0);
    let fits = content::bytes(10, 1_000_000);
    assert_eq!(stage.push_blob("acme/app", &fits).await.status, 201);
}

/// Uploads in progress are in the account, between their requests too, and leave it when given up.
#[tokio::test]
async fn uploads_in_progress_count() {
    let stage = Stage::new().await;
    stage.limited(10_000, &[("Reject", 100)]).await;
    let ann = Who::user("ann");
    let session = stage.site.begin_upload_as(&ann, "acme/app").await;
    let patch = Asked::new(Method::PATCH, session.clone()).body(content::bytes(1, 6000));
    let began = stage.site.ask_as(&ann, &patch).await;
    assert_eq!(began.status, 202, "{}", began.text());
    let session = began.header("location").to_owned();
    let blob = content::bytes(2, 5000);
    assert_refused(&stage.push_blob("acme/other", &blob).await);
    let cancelled = stage
        .site
        .ask_as(&ann, &Asked::new(Method::DELETE, session))
        .await;
    assert_eq!(cancelled.status, 204);
    assert_eq!(stage.push_blob("acme/other", &blob).await.status, 201);
}

/// A mount of what the namespace has costs nothing; one of what it has not is refused over the limit.
#[tokio::test]
async fn mounting_is_counted_once() {
    let stage = Stage::new().await;
    let (one, foreign) = (content::bytes(1, 6000), content::bytes(2, 6000));
    stage.limited(10_000, &[("Reject", 100)]).await;
    assert_eq!(stage.push_blob("acme/app", &one).await.status, 201);
    assert_eq!(stage.push_blob("ann/own", &foreign).await.status, 201);
    let mount = |blob: &Bytes, from: &str| {
        let digest = Digest::of(blob);
        let path = format!("/v2/acme/new/blobs/uploads/?mount={digest}&from={from}");
        Asked::new(Method::POST, path)
    };
    let ann = Who::user("ann");
    let own = stage.site.ask_as(&ann, &mount(&one, "acme/app")).await;
    assert_eq!((own.status.as_u16(), stage.held().await), (201, 6000));
    assert_refused(&stage.site.ask_as(&ann, &mount(&foreign, "ann/own")).await);
    assert_eq!(stage.held().await, 6000);
}

/// SC-206, SC-233: the owners are told once for each crossing, and no longer when it is over.
#[tokio::test]
async fn owners_are_told_of_limits() {
    let stage = Stage::new().await;
    stage
        .limited(10_000, &[("Warning", 50), ("Reject", 90)])
        .await;
    assert!(stage.notices(&stage.ann).await.is_empty());
    let (one, two) = (
        Image::with_layers(1, &[5200]),
        Image::with_layers(2, &[2000]),
    );
    stage.push("acme/app", "v1", &one).await;
    stage.push("acme/app", "v2", &two).await;
    assert_eq!(stage.notices(&stage.ann).await, ["quota_warning"], "once");
    assert!(stage.notices(&stage.bob).await.is_empty());
    for _ in 0..2 {
        assert_refused(&stage.push_blob("acme/app", &content::bytes(3, 4000)).await);
    }
    assert_eq!(
        stage.notices(&stage.ann).await,
        ["quota_error", "quota_warning"]
    );
    let told = stage.ann().get("/user/notifications").await.json();
    let told = &told["notifications"][0];
    assert_eq!(told["metadata"]["namespace"], "acme");
    let notice = format!("/user/notifications/{}", told["id"].as_str().unwrap());
    let body = json!({"dismissed": true});
    let dismissed = stage.ann().put(&notice, body).await;
    assert_eq!(dismissed.status, 200, "{}", dismissed.text());
    assert_eq!(stage.notices(&stage.ann).await, ["quota_warning"]);
    stage.delete_tag("app", "v1").await;
    stage.collect().await;
    assert!(
        stage.notices(&stage.ann).await.is_empty(),
        "there is room again"
    );
    stage.push("acme/app", "v3", &one).await;
    assert_eq!(
        stage.notices(&stage.ann).await,
        ["quota_warning"],
        "crossed again"
    );
}

/// SC-215, SC-216: the default of the site counts where there is no quota, and again when one is gone.
#[tokio::test]
async fn the_default_quota_is_that_of_all_who_have_none() {
    let stage = Stage::with(|config| config.retention.default_quota = Some(10_000)).await;
    let shown = stage.quota().await;
    let expected = json!({"id": null, "limit_bytes": 10_000, "limit": "9.8 KiB",
        "default_config": true, "limits": [], "default_config_exists": true});
    assert_eq!(shown, expected);
    let blob = content::bytes(1, 10_001);
    assert_refused(&stage.push_blob("acme/app", &blob).await);
    assert_refused(&stage.push_blob("ann/app", &blob).await);
    let own = stage.limited(20_000, &[("Reject", 100)]).await;
    assert_eq!(
        (&own["default_config"], &own["default_config_exists"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(stage.push_blob("acme/app", &blob).await.status, 201);
    let one = format!("{ALL}/{}", own["id"]);
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.quota().await["default_config"], true);
    assert_refused(&stage.push_blob("acme/app", &content::bytes(2, 1)).await);
}

/// SC-216: a changed default is not for those who have a quota of their own (`docs/quota.md`).
#[tokio::test]
async fn a_changed_default_leaves_quotas_of_their_own_alone() {
    let mut stage = Stage::with(|config| config.retention.default_quota = Some(10_000)).await;
    stage.limited(20_000, &[("Reject", 100)]).await;
    stage.site.config.retention.default_quota = Some(5000);
    stage.site.restart().await;
    let own = stage.quota().await;
    assert_eq!(
        (&own["limit_bytes"], &own["default_config"]),
        (&json!(20_000), &json!(false))
    );
    let blob = content::bytes(1, 15_000);
    assert_eq!(stage.push_blob("acme/app", &blob).await.status, 201);
    let small = content::bytes(2, 6000);
    assert_refused(&stage.push_blob("ann/app", &small).await);
    let one = format!("{ALL}/{}", own["id"]);
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.quota().await["limit_bytes"], 5000);
    assert_refused(&stage.push_blob("acme/app", &content::bytes(3, 1)).await);
}

/// SC-214: without the feature there are no quotas, no fields and no doors.
#[tokio::test]
async fn without_the_feature_there_are_no_quotas() {
    let stage = Stage::with(|config| {
        config.features.quota_management = false;
        config.retention.default_quota = Some(10);
    })
    .await;
    let pushed = stage.push_blob("acme/app", &content::bytes(1, 5000)).await;
    assert_eq!(pushed.status, 201, "nothing is refused");
    for base in [
        ALL,
        "/user/quota",
        "/superuser/organization/acme/quota",
        "/superuser/users/ann/quota",
    ] {
        for api in [stage.ann(), stage.root()] {
            for below in ["", "/1", "/1/limit", "/1/limit/1"] {
                let path = format!("{base}{below}");
                // A quota that superusers change is shown in the list only.
                let answer = match base.starts_with("/superuser") && below == "/1" {
                    true => api.delete(&path).await,
                    false => api.get(&path).await,
                };
                assert_eq!(answer.status, 404, "{path}");
            }
            let made = api.post(base, json!({"limit_bytes": 1})).await;
            // Nobody sets a quota of his own.
            let expected = if base == "/user/quota" { 405 } else { 404 };
            assert_eq!(made.status, expected, "{base}");
        }
    }
    for (api, path, list) in [
        (stage.ann(), "/organization/acme", ""),
        (stage.ann(), "/user/", ""),
        (stage.ann(), "/repository?namespace=acme", "repositories"),
        (stage.root(), "/superuser/organizations/", "organizations"),
        (stage.root(), "/superuser/users/", "users"),
        (stage.root(), "/superuser/users/ann", ""),
    ] {
        let shown = api.get(path).await.json();
        let view = match list {
            "" => &shown,
            list => &shown[list][0],
        };
        assert!(view.is_object(), "{path}: {shown}");
        assert!(view.get("quotas").is_none(), "{path}: {view}");
        assert!(view.get("quota_report").is_none(), "{path}: {view}");
    }
}

/// SC-214: with it, but without its verification, they are shown and not kept.
#[tokio::test]
async fn quotas_that_are_not_verified_are_shown() {
    let stage = Stage::with(|config| config.features.verify_quota = false).await;
    stage.limited(1000, &[("Reject", 100)]).await;
    let pushed = stage.push_blob("acme/app", &content::bytes(1, 5000)).await;
    assert_eq!(pushed.status, 201);
    let report = stage.report().await;
    assert_eq!(
        (&report["quota_bytes"], &report["configured_quota"]),
        (&json!(5000), &json!(1000))
    );
}
