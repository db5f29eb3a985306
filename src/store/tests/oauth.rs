//! Applications, their tokens, and what is offered.

use super::*;
use crate::model::{
    NamespaceId, OauthApplicationId, OauthApplicationRecord, OauthAssignmentRecord,
    OauthTokenRecord, Sealed, UserId,
};

const ACME: NamespaceId = NamespaceId(1);
const GLOBEX: NamespaceId = NamespaceId(2);

fn application(namespace: NamespaceId, client_id: &str) -> OauthApplicationRecord {
    OauthApplicationRecord {
        namespace,
        client_id: client_id.to_owned(),
        client_secret: Sealed(vec![1]),
        name: "name".to_owned(),
        description: String::new(),
        application_uri: String::new(),
        redirect_uri: String::new(),
        avatar_email: None,
        created: at(1),
    }
}

fn token(application: OauthApplicationId, user: u64, lookup: &str) -> OauthTokenRecord {
    OauthTokenRecord {
        application,
        user: UserId(user),
        uuid: format!("uuid of {lookup}"),
        lookup: lookup.to_owned(),
        hash: [7; 32],
        scope: "repo:read".to_owned(),
        name: None,
        created_by: None,
        created: at(1),
        expires: at(2),
        last_accessed: None,
    }
}

fn offer(application: OauthApplicationId, user: u64) -> OauthAssignmentRecord {
    OauthAssignmentRecord {
        application,
        user: UserId(user),
        redirect_uri: String::new(),
        scope: String::new(),
        response_type: "token".to_owned(),
        created: at(1),
    }
}

#[tokio::test]
async fn tokens_are_found_by_everything_they_hang_on_and_go_with_it() {
    let site = Site::new();
    let write = site.store.write(|tx| {
        let portal = tx
            .oauth_applications()
            .create(&application(ACME, "portal"))?;
        let other = tx
            .oauth_applications()
            .create(&application(GLOBEX, "other"))?;
        let taken = tx
            .oauth_applications()
            .create(&application(GLOBEX, "portal"));
        assert!(matches!(taken, Err(Error::Exists { .. })));
        let mut tokens = tx.oauth_tokens();
        let one = tokens.create(&token(portal, 1, "one"))?;
        let two = tokens.create(&token(portal, 2, "two"))?;
        let three = tokens.create(&token(other, 1, "three"))?;
        let taken = tokens.create(&token(other, 1, "one"));
        assert!(matches!(taken, Err(Error::Exists { .. })));
        let ids = |found: Vec<(_, OauthTokenRecord)>| -> Vec<_> {
            found.into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(
            ids(tokens.of_application(portal, None, 9)?),
            [two, one],
            "newest first"
        );
        assert_eq!(ids(tokens.of_application(portal, Some(two), 9)?), [one]);
        assert_eq!(ids(tokens.of_user(UserId(1), None, 9)?), [one, three]);
        assert_eq!(tokens.by_uuid("uuid of two")?.map(|(id, _)| id), Some(two));
        tokens.touch(one, at(9))?;
        let used = tokens.record(one)?.and_then(|token| token.last_accessed);
        assert_eq!(used, Some(at(9)));

        tx.oauth_applications().remove_of_namespace(ACME)?;
        assert_eq!(tx.oauth_applications().by_client("portal")?, None);
        let tokens = tx.oauth_tokens();
        assert_eq!(tokens.by_lookup("one")?, None);
        assert_eq!(tokens.by_uuid("uuid of one")?, None);
        assert_eq!(ids(tokens.of_user(UserId(1), None, 9)?), [three]);
        assert_eq!(ids(tokens.of_user(UserId(2), None, 9)?), []);
        tx.oauth_tokens().remove_of_user(UserId(1))?;
        assert_eq!(tx.oauth_tokens().of_application(other, None, 9)?, []);
        Ok::<_, Error>(())
    });
    write.await.unwrap();
}

#[tokio::test]
async fn offers_go_with_their_user_and_their_application() {
    let site = Site::new();
    let write = site.store.write(|tx| {
        let portal = tx
            .oauth_applications()
            .create(&application(ACME, "portal"))?;
        let other = tx
            .oauth_applications()
            .create(&application(ACME, "other"))?;
        let mut offers = tx.oauth_assignments();
        offers.put("a", &offer(portal, 1));
        offers.put("b", &offer(portal, 2));
        offers.put("c", &offer(other, 2));
        let uuids = |found: Vec<(String, _)>| -> Vec<String> {
            found.into_iter().map(|(uuid, _)| uuid).collect()
        };
        assert_eq!(uuids(offers.of_user(UserId(2), None, 9)?), ["b", "c"]);
        assert_eq!(uuids(offers.of_user(UserId(2), Some("b"), 9)?), ["c"]);
        offers.remove_of_user(UserId(1))?;
        assert_eq!(offers.record("a")?, None);
        tx.oauth_applications().remove(portal)?;
        assert_eq!(
            uuids(tx.oauth_assignments().of_user(UserId(2), None, 9)?),
            ["c"]
        );
        tx.oauth_assignments().remove("c")?;
        assert_eq!(
            uuids(tx.oauth_assignments().of_user(UserId(2), None, 9)?),
            [] as [&str; 0]
        );
        Ok::<_, Error>(())
    });
    write.await.unwrap();
}
