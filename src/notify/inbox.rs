//! Inboxes: what a user is told, and through the organisations that he administers.

use super::Error;
use crate::model::{
    Member, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord, NoticeRecord, TeamRole,
    UserId,
};
use crate::store::{self, NoticePlace, PAGE_ROWS, ReadTx, Store};

/// Inboxes; cheap to clone.
#[derive(Clone)]
pub struct Inbox(Store);

/// A notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    pub record: NoticeRecord,
    /// The organisation that is told it; `None` if it is the user.
    pub organization: Option<NamespaceName>,
}

/// A page of an inbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxPage {
    pub notices: Vec<Notice>,
    pub has_more: bool,
}

impl Inbox {
    pub const fn new(store: Store) -> Self {
        Self(store)
    }

    /// The page of that number, from 0, of what a user has not dismissed, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, user: UserId, page: usize, limit: usize) -> Result<InboxPage, Error> {
        let skipped = page.saturating_mul(limit);
        let wanted = skipped.saturating_add(limit).saturating_add(1);
        let found = self.0.scan(move |tx| {
            let mut found = Vec::new();
            for (target, organization) in targets(tx, user)? {
                let open = tx.notices().open(target, wanted)?;
                found.extend(open.into_iter().map(|(place, record)| {
                    let organization = organization.clone();
                    (
                        place,
                        Notice {
                            record,
                            organization,
                        },
                    )
                }));
            }
            found.sort_by_key(|((_, sequence), _)| std::cmp::Reverse(*sequence));
            Ok::<_, store::Error>(found)
        });
        let found = found.await?;
        let has_more = found.len() >= wanted;
        let page = found.into_iter().skip(skipped).take(limit);
        Ok(InboxPage {
            notices: page.map(|(_, notice)| notice).collect(),
            has_more,
        })
    }

    /// The notice of that uuid among what a user is told, dismissed or not.
    ///
    /// # Errors
    /// [`Error::NoticeUnknown`], also for one in somebody else's inbox (AZ-06).
    pub async fn notice(&self, user: UserId, uuid: &str) -> Result<Notice, Error> {
        let uuid = uuid.to_owned();
        let found = self.0.scan(move |tx| find(tx, user, &uuid)).await?;
        found.map(|(_, notice)| notice).ok_or(Error::NoticeUnknown)
    }

    /// Says whether a notice is dismissed, and returns it.
    ///
    /// # Errors
    /// As [`Inbox::notice`].
    pub async fn dismiss(
        &self,
        user: UserId,
        uuid: &str,
        dismissed: bool,
    ) -> Result<Notice, Error> {
        let uuid = uuid.to_owned();
        self.0
            .write(move |tx| {
                let found = find(tx, user, &uuid)?;
                let (place, mut notice) = found.ok_or(Error::NoticeUnknown)?;
                tx.notices().dismiss(place, dismissed)?;
                notice.record.dismissed = dismissed;
                Ok(notice)
            })
            .await
    }
}

fn find(
    tx: &ReadTx,
    user: UserId,
    uuid: &str,
) -> Result<Option<(NoticePlace, Notice)>, store::Error> {
    let Some((place, record)) = tx.notices().by_uuid(uuid)? else {
        return Ok(None);
    };
    let mut targets = targets(tx, user)?.into_iter();
    let target = targets.find(|(target, _)| *target == record.target);
    Ok(target.map(|(_, organization)| {
        let notice = Notice {
            record,
            organization,
        };
        (place, notice)
    }))
}

/// The inboxes that a user sees: his own, and those of organisations that he administers.
fn targets(
    tx: &ReadTx,
    user: UserId,
) -> Result<Vec<(NamespaceId, Option<NamespaceName>)>, store::Error> {
    let own = tx.users().record(user)?.map(|record| record.namespace);
    let mut targets: Vec<_> = own.map(|own| (own, None)).into_iter().collect();
    let member = Member::User(user);
    for (namespace, team) in tx.teams().of_member_anywhere(member, None, PAGE_ROWS)? {
        let team = tx.teams().record(team)?;
        let is_admin = team.is_some_and(|team| team.role == TeamRole::Admin);
        if !is_admin || targets.iter().any(|(known, _)| *known == namespace) {
            continue;
        }
        let record = tx.namespaces().record(namespace)?;
        // What a deleted organisation was told is told nobody, though its rows go later (AZ-16).
        let is_there = |record: &NamespaceRecord| {
            record.kind == NamespaceKind::Organization && record.deleted.is_none()
        };
        if let Some(record) = record.filter(is_there) {
            targets.push((namespace, Some(record.name)));
        }
    }
    Ok(targets)
}
