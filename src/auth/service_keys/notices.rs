//! What superusers are told of a key that waits for them (Quay: `service_key_submitted`).
//!
//! Each has a notice in the own inbox, put there with the key. All of them go with its waiting: when it is
//! approved, removed, withdrawn, or over.

use serde_json::{Value, json};

use super::ServiceKeys;
use crate::auth::Error;
use crate::model::{NamespaceId, NoticeKind, NoticeRecord, ServiceKeyRecord, Uuid};
use crate::store::{self, PAGE_ROWS, ReadTx, WriteTx};

/// Superusers that are told; nobody has more.
const MOST: usize = 1_000;

impl ServiceKeys {
    /// A notice about a key that waits for every enabled superuser.
    pub(super) async fn notices(
        &self,
        key_id: &str,
        record: &ServiceKeyRecord,
    ) -> Result<Vec<NoticeRecord>, Error> {
        let metadata = told(key_id, record);
        let targets = self.superusers().await?.into_iter();
        let notices = targets.map(|target| {
            let mut random = [0; 16];
            getrandom::fill(&mut random).expect("the system has a source of randomness");
            let (uuid, kind) = (Uuid::random(random), NoticeKind::ServiceKeySubmitted);
            NoticeRecord::new(uuid.to_string(), target, kind, record.created, &metadata)
                .about(about(key_id))
        });
        Ok(notices.collect())
    }

    /// The namespaces of enabled superusers, looked for among all users, a page at a time.
    async fn superusers(&self) -> Result<Vec<NamespaceId>, Error> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let list = move |tx: &ReadTx| tx.users().list(after, PAGE_ROWS);
            let page = self.store.scan(list).await?;
            let Some((last, _)) = page.last() else {
                return Ok(found);
            };
            after = Some(*last);
            let users = page.into_iter().map(|(_, user)| user);
            let superusers = users.filter(|it| it.enabled && self.people.has_superuser(it));
            found.extend(superusers.map(|user| user.namespace));
            if found.len() >= MOST {
                found.truncate(MOST);
                return Ok(found);
            }
        }
    }
}

/// Takes the notices about a key back: it waits no longer.
pub(super) fn settle(tx: &mut WriteTx<'_>, key_id: &str) -> Result<(), store::Error> {
    tx.notices().remove_about(&about(key_id))
}

fn about(key_id: &str) -> String {
    format!("service_key/{key_id}")
}

/// quay-log-kinds, section 5.
fn told(key_id: &str, record: &ServiceKeyRecord) -> Value {
    let object = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!({}));
    let mut told = json!({
        "name": record.name,
        "kid": key_id,
        "service": record.service,
        "jwk": object(&record.jwk),
        "metadata": object(&record.metadata),
        "created_date": record.created.as_secs(),
    });
    if let Some(expires) = record.expires {
        told["expiration_date"] = expires.as_secs().into();
    }
    told
}
