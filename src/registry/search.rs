//! Search of repositories by parts of their names.
//!
//! Called by `/api/v1`, which leaves out what the caller may not see. A call looks at up to [`NAMES`] names,
//! and says where to go on; it reads no record of what does not match.

use super::listing::catalogued;
use super::{Catalogued, Error, Registry};
use crate::model::NamespaceName;
use crate::store::{self, ReadTx};

/// Names looked at in one call.
const NAMES: usize = 10_000;

/// Repositories of a namespace that is meant by its whole name.
const OF_NAMESPACE: usize = 100;

/// How far a search has come; at first, nowhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Searched(Option<Vec<u8>>);

impl Registry {
    /// Repositories among the next names that hold `text`, and how to go on; `None` at the end. A text with
    /// a slash means the namespaces whose names begin before it and the repositories behind it.
    ///
    /// # Errors
    /// The store's.
    pub async fn search_repositories(
        &self,
        text: &str,
        from: Searched,
    ) -> Result<(Vec<Catalogued>, Option<Searched>), Error> {
        let (owner, part) = match text.split_once('/') {
            Some((owner, part)) => (Some(owner.to_owned()), part.to_owned()),
            None => (None, text.to_owned()),
        };
        let read = move |tx: &ReadTx| {
            let (found, last) = tx.repositories().containing(&part, from.0, NAMES)?;
            let ids: Vec<_> = found.into_iter().map(|(_, _, id)| id).collect();
            let mut found = catalogued(tx, &ids)?;
            if let Some(owner) = &owner {
                found.retain(|entry| entry.owner.name.as_str().starts_with(owner));
            }
            Ok::<_, store::Error>((found, last.map(|last| Searched(Some(last)))))
        };
        Ok(self.inner.store.scan(read).await?)
    }

    /// Repositories of the namespace of that name: who searches for it means them as well.
    ///
    /// # Errors
    /// The store's.
    pub async fn repositories_of_name(
        &self,
        name: &NamespaceName,
    ) -> Result<Vec<Catalogued>, Error> {
        match self.namespace(name).await? {
            Some((id, _)) => Ok(self.repositories_of(id, "", OF_NAMESPACE).await?.0),
            None => Ok(Vec::new()),
        }
    }
}
