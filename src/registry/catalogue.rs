//! The repositories of every namespace in the byte order of their full names, for `GET /v2/_catalog`.
//!
//! Called by the `/v2/` doors, which leave out what the caller may not see. Each call looks at a bounded
//! number of rows and says where to go on. A name that another extends comes late: `a/x` stands behind
//! `a-b/x`, because `-` and `.` sort before `/`; so namespaces are not walked in the order of their own
//! names.

use super::{Error, Registry};
use crate::model::{NamespaceId, NamespaceName, NamespaceRecord, RepositoryId, RepositoryRecord};
use crate::store::{self, ReadTx};

/// Namespaces read in one go.
const NAMESPACES: usize = 64;

/// Comes behind every repository of a namespace: no name has this character.
const BEHIND_ALL: char = '~';

/// A repository, with what decides about who sees it.
#[derive(Clone, Debug)]
pub struct Catalogued {
    pub namespace: NamespaceId,
    pub owner: NamespaceRecord,
    pub repository: RepositoryId,
    pub record: RepositoryRecord,
}

impl Catalogued {
    /// The name by which clients know it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner.name, self.record.name)
    }
}

/// A piece of the catalogue.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub repositories: Vec<Catalogued>,
    /// The text behind which the next piece begins; `None` at the end.
    pub next: Option<String>,
}

impl Registry {
    /// Lists repositories whose full names come strictly behind the text `after`, from at most `rows`
    /// rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn catalogue(&self, after: &str, rows: usize) -> Result<Catalogue, Error> {
        let after = after.to_owned();
        let walk = move |tx: &ReadTx| Walk::new(tx, &after)?.take(rows.max(1));
        Ok(self.inner.store.scan(walk).await?)
    }
}

type Named = (NamespaceName, NamespaceId);

/// One read's way through the catalogue.
struct Walk<'tx> {
    tx: &'tx ReadTx,
    after: String,
    /// Namespaces whose turn has not come, each of which begins with the one below it.
    waiting: Vec<Named>,
    /// What was read in the order of names and not looked at.
    read: std::vec::IntoIter<Named>,
    /// The text behind which more names are to be read; `None` if all were.
    unread: Option<String>,
}

impl<'tx> Walk<'tx> {
    fn new(tx: &'tx ReadTx, after: &str) -> Result<Self, store::Error> {
        let (name, unread) = match after.split_once('/') {
            // What extends the name by `-` or `.` comes before its repositories.
            Some((name, _)) => (name, format!("{name}/")),
            None => (after, after.to_owned()),
        };
        let ends = name.bytes().enumerate();
        let ends = ends.filter(|(_, byte)| b"-.".contains(byte));
        let mut waiting = Vec::new();
        for end in ends.map(|(at, _)| at).chain([name.len()]) {
            let Some(Ok(prefix)) = name.get(..end).map(str::parse) else {
                continue;
            };
            if let Some((id, record)) = tx.namespaces().by_name(&prefix)? {
                waiting.push((record.name, id));
            }
        }
        Ok(Self {
            tx,
            after: after.to_owned(),
            waiting,
            read: Vec::new().into_iter(),
            unread: Some(unread),
        })
    }

    /// The namespace whose repositories come next.
    fn next_namespace(&mut self) -> Result<Option<Named>, store::Error> {
        loop {
            let Some(coming) = self.coming()? else {
                return Ok(self.waiting.pop());
            };
            if let Some((top, _)) = self.waiting.last()
                && precedes(top, &coming.0)
            {
                return Ok(self.waiting.pop());
            }
            self.waiting.push(coming);
            self.read.next();
        }
    }

    /// The next namespace in the order of names, left where it is.
    fn coming(&mut self) -> Result<Option<Named>, store::Error> {
        if self.read.as_slice().is_empty()
            && let Some(unread) = self.unread.take()
        {
            let names = self.tx.namespaces().names(Some(&unread), NAMESPACES)?;
            self.unread = names.last().map(|(name, _)| name.to_string());
            self.read = names.into_iter();
        }
        Ok(self.read.as_slice().first().cloned())
    }

    fn take(mut self, rows: usize) -> Result<Catalogue, store::Error> {
        let mut repositories = Vec::new();
        let mut left = rows;
        while let Some((name, id)) = self.next_namespace()? {
            let own = self.after.strip_prefix(name.as_str());
            let after = own.and_then(|rest| rest.strip_prefix('/')).unwrap_or("");
            let Some(owner) = self.tx.namespaces().record(id)? else {
                continue;
            };
            let page = self.tx.repositories().list_behind(id, after, left)?;
            left = left.saturating_sub(page.len());
            let last = page.last().map(|(last, _)| last.to_string());
            for (_, repository) in page {
                if let Some(record) = self.tx.repositories().record(repository)? {
                    repositories.push(Catalogued {
                        namespace: id,
                        owner: owner.clone(),
                        repository,
                        record,
                    });
                }
            }
            if left == 0 {
                let last = last.unwrap_or_else(|| BEHIND_ALL.to_string());
                let next = Some(format!("{name}/{last}"));
                return Ok(Catalogue { repositories, next });
            }
            // A namespace is a row, too: a thousand empty ones are work.
            left -= 1;
            if left == 0 {
                let next = Some(format!("{name}/{BEHIND_ALL}"));
                return Ok(Catalogue { repositories, next });
            }
        }
        Ok(Catalogue {
            repositories,
            next: None,
        })
    }
}

/// Whether the repositories of one namespace come before those of another.
fn precedes(one: &NamespaceName, other: &NamespaceName) -> bool {
    let of = |name: &NamespaceName| [name.as_str().as_bytes(), b"/"].concat();
    of(one) < of(other)
}
