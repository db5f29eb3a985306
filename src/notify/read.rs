//! Reading the log: pages of lines with what is shown of their people, and counts by day and kind.

use std::collections::HashMap;

use super::{Audit, Error};
use crate::model::{
    Actor, LogEntry, LogFilter, LogKind, LogPlace, NamespaceId, NamespaceKind, NamespaceName,
    Timestamp, UserId,
};
use crate::store::{self, ReadTx, day};

/// Most days of one aggregate.
const DAYS: i32 = 400;

/// A page of the log.
#[derive(Clone, Debug)]
pub struct LogPage {
    pub lines: Vec<Listed>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<LogPlace>,
}

/// A line, with what is shown of whom it names.
#[derive(Clone, Debug)]
pub struct Listed {
    pub entry: LogEntry,
    /// The performer's e-mail address, of a user that still has one.
    pub performer_email: Option<String>,
    /// What the line is filed under, if it is still there.
    pub namespace: Option<Owner>,
}

/// A namespace as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    pub name: NamespaceName,
    pub is_user: bool,
    /// What its picture is made from.
    pub seed: String,
}

/// How many acts of a kind there were on a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DayCount {
    /// The beginning of the day.
    pub day: Timestamp,
    pub kind: LogKind,
    pub count: u64,
}

impl Audit {
    /// A page of lines behind `after`, the newest first; what was noted before is among them.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        filter: LogFilter,
        after: Option<LogPlace>,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.flush().await?;
        let page = self.0.store.scan(move |tx| {
            let mut found = tx.logs().list(&filter, after, limit + 1)?;
            let has_more = found.len() > limit;
            found.truncate(limit);
            let last = found.last().map(|(place, _)| *place);
            let mut people = People::default();
            let lines = found
                .into_iter()
                .map(|(_, entry)| people.listed(tx, entry))
                .collect::<Result<_, store::Error>>()?;
            Ok::<_, store::Error>(LogPage {
                lines,
                next: last.filter(|_| has_more),
            })
        });
        Ok(page.await?)
    }

    /// How many acts of each kind there were on each day of the window, the earliest day first; counts are
    /// of whole days, also where the window begins or ends within one.
    ///
    /// # Errors
    /// The store's.
    pub async fn aggregate(&self, filter: LogFilter) -> Result<Vec<DayCount>, Error> {
        self.flush().await?;
        let last = Timestamp::from_millis(filter.until.as_millis().saturating_sub(1));
        let (first, last) = (day(filter.since), day(last));
        let last = last.min(first.saturating_add(DAYS));
        let counted = self.0.store.scan(move |tx| {
            let mut counts = Vec::new();
            for day in first..=last {
                let performer = filter.performer.as_deref();
                let of_day = tx.logs().counts(filter.scope, performer, day)?;
                counts.extend(of_day.into_iter().map(|(kind, count)| DayCount {
                    day: beginning(day),
                    kind,
                    count,
                }));
            }
            Ok::<_, store::Error>(counts)
        });
        Ok(counted.await?)
    }
}

/// The beginning of a day that is counted from 1970-01-01.
pub(super) fn beginning(day: i32) -> Timestamp {
    Timestamp::from_millis(i64::from(day) * 24 * 60 * 60 * 1000)
}

/// Whom a page names: each is looked for once.
#[derive(Default)]
struct People {
    emails: HashMap<UserId, Option<String>>,
    owners: HashMap<NamespaceId, Option<Owner>>,
}

impl People {
    fn listed(&mut self, tx: &ReadTx, entry: LogEntry) -> Result<Listed, store::Error> {
        let performer_email = match &entry.performer {
            Actor::User { id, .. } => self.email(tx, *id)?,
            Actor::System | Actor::Anonymous | Actor::Robot { .. } => None,
        };
        let namespace = match entry.namespace {
            Some(id) => self.owner(tx, id)?,
            None => None,
        };
        Ok(Listed {
            entry,
            performer_email,
            namespace,
        })
    }

    fn email(&mut self, tx: &ReadTx, user: UserId) -> Result<Option<String>, store::Error> {
        if let Some(email) = self.emails.get(&user) {
            return Ok(email.clone());
        }
        let email = tx.users().record(user)?.and_then(|record| record.email);
        self.emails.insert(user, email.clone());
        Ok(email)
    }

    fn owner(&mut self, tx: &ReadTx, id: NamespaceId) -> Result<Option<Owner>, store::Error> {
        if let Some(owner) = self.owners.get(&id) {
            return Ok(owner.clone());
        }
        let owner = match tx.namespaces().record(id)? {
            None => None,
            Some(record) => {
                let (is_user, seed) = match record.kind {
                    NamespaceKind::User(user) => (true, self.email(tx, user)?),
                    NamespaceKind::Organization | NamespaceKind::Cache => (false, None),
                };
                let seed = seed.unwrap_or_else(|| record.avatar_seed().to_owned());
                Some(Owner {
                    name: record.name,
                    is_user,
                    seed,
                })
            }
        };
        self.owners.insert(id, owner.clone());
        Ok(owner)
    }
}
