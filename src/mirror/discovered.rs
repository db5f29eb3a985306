//! What was found at the sources of mirrored organisations: told, and let go with the organisation's mirror.
//!
//! Called by the doors of `api`. What the looks find is written by `discovery`.

use serde_json::json;

use super::fault::OrgSettingsError;
use super::organizations::reference_of;
use super::{Error, Mirror};
use crate::model::{
    DiscoveredRecord, LogEntry, LogKind, MirrorStatus, NamespaceId, Performer, RepositoryState,
    SyncState,
};
use crate::oci::RepositoryName;
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// Repositories that one transaction lets go.
const AT_ONCE: usize = 100;

/// A page of what was found.
#[derive(Clone, Debug, Default)]
pub struct DiscoveredPage {
    pub found: Vec<(RepositoryName, DiscoveredRecord)>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Mirror {
    /// What was found at an organisation's source, by name: `limit` behind the first `skip`, of those in one state
    /// if one is asked for. Repositories that were deleted here are left out (Quay).
    ///
    /// # Errors
    /// The store's.
    pub async fn discovered(
        &self,
        namespace: NamespaceId,
        state: Option<SyncState>,
        (skip, limit): (u64, usize),
    ) -> Result<DiscoveredPage, Error> {
        let (mut page, mut after) = (DiscoveredPage::default(), None);
        loop {
            let behind = after.clone();
            let read = move |tx: &ReadTx| rows(tx, namespace, behind.as_ref());
            let (rows, last) = self.store().scan(read).await?;
            for (name, record) in rows {
                if state.is_some_and(|state| state != record.status.state) {
                    continue;
                }
                if page.total >= skip && page.found.len() < limit {
                    page.found.push((name, record));
                }
                page.total += 1;
            }
            if last.is_none() {
                return Ok(page);
            }
            after = last;
        }
    }

    /// How many of what was found stands how, by the names of the states.
    ///
    /// # Errors
    /// The store's.
    pub async fn discovered_counts(
        &self,
        namespace: NamespaceId,
    ) -> Result<Vec<(SyncState, u64)>, Error> {
        let mut counts = SyncState::ALL.map(|state| (state, 0_u64));
        let mut after = None;
        loop {
            let behind = after.clone();
            let read = move |tx: &ReadTx| rows(tx, namespace, behind.as_ref());
            let (rows, last) = self.store().scan(read).await?;
            for (_, record) in rows {
                let count = counts.iter_mut().find(|(it, _)| *it == record.status.state);
                if let Some((_, count)) = count {
                    *count += 1;
                }
            }
            if last.is_none() {
                return Ok(counts.into_iter().filter(|(_, count)| *count > 0).collect());
            }
            after = last;
        }
    }

    /// Has an organisation be no mirror any more. Its repositories stay, and are ordinary ones from then on.
    ///
    /// # Errors
    /// [`OrgSettingsError::Absent`].
    pub async fn delete_organization_mirror(
        &self,
        namespace: NamespaceId,
        by: &Performer,
    ) -> Result<(), OrgSettingsError> {
        let (by, now) = (by.clone(), self.now());
        let delete = move |tx: &mut WriteTx<'_>| {
            let record = tx.mirrors().of_organization(namespace)?;
            let record = record.ok_or(OrgSettingsError::Absent)?;
            tx.mirrors().remove_organization(namespace, 0)?;
            let name = tx.namespaces().record(namespace)?.map(|it| it.name);
            let told = json!({
                "namespace": name,
                "external_reference": reference_of(&record),
            });
            let line = LogEntry::new(LogKind::OrgMirrorDisabled, now, &by);
            tx.logs().append(&line.within(namespace).with(told))?;
            Ok::<_, OrgSettingsError>(())
        };
        self.store().write(delete).await?;
        while self.let_some_go(namespace).await? {}
        Ok(())
    }

    /// Has it stand otherwise with what was found, as far as `change` says so: what is wanted of an organisation is
    /// wanted of its repositories (Quay). A few at a time; who looks in between sees some of them changed.
    pub(super) async fn spread(
        &self,
        namespace: NamespaceId,
        change: impl Fn(MirrorStatus) -> Option<MirrorStatus> + Clone + Send + 'static,
    ) -> Result<(), OrgSettingsError> {
        let mut after = None::<RepositoryName>;
        loop {
            let (behind, change) = (after.clone(), change.clone());
            let spread = move |tx: &mut WriteTx<'_>| {
                let mirrors = tx.mirrors();
                let page = mirrors.all_discovered(namespace, behind.as_ref(), AT_ONCE)?;
                let last = page.last().map(|(name, _)| name.clone());
                for (name, record) in page {
                    let Some(status) = change(record.status.clone()) else {
                        continue;
                    };
                    let record = DiscoveredRecord { status, ..record };
                    tx.mirrors().put_discovered(namespace, &name, &record)?;
                }
                Ok::<_, OrgSettingsError>(last)
            };
            after = self.store().write(spread).await?;
            if after.is_none() {
                self.wake();
                return Ok(());
            }
        }
    }

    /// Forgets some of what was found; whether there is more. Stops if the organisation is a mirror again.
    async fn let_some_go(&self, namespace: NamespaceId) -> Result<bool, OrgSettingsError> {
        let mirror = self.clone();
        let let_go = move |tx: &mut WriteTx<'_>| {
            if tx.mirrors().of_organization(namespace)?.is_some() {
                return Ok(false);
            }
            let found = tx.mirrors().all_discovered(namespace, None, AT_ONCE)?;
            for (_, record) in &found {
                let Some(id) = record.repository else {
                    continue;
                };
                let repository = tx.repositories().record(id)?;
                let state = repository.map(|repository| repository.state);
                if state == Some(RepositoryState::OrgMirror) {
                    mirror
                        .registry()
                        .put_state(tx, id, RepositoryState::Normal)?;
                }
            }
            tx.mirrors().remove_organization(namespace, AT_ONCE)?;
            Ok::<_, OrgSettingsError>(found.len() == AT_ONCE)
        };
        self.store().write(let_go).await
    }
}

type Row = (RepositoryName, DiscoveredRecord);

/// A page of rows behind `after`, and the last that was looked at.
fn rows(
    tx: &ReadTx,
    namespace: NamespaceId,
    after: Option<&RepositoryName>,
) -> Result<(Vec<Row>, Option<RepositoryName>), Error> {
    let page = tx.mirrors().all_discovered(namespace, after, PAGE_ROWS)?;
    let last = page.last().map(|(name, _)| name.clone());
    let mut rows = Vec::with_capacity(page.len());
    for (name, record) in page {
        let is_gone = match record.repository {
            Some(id) => tx.repositories().record(id)?.is_none(),
            None => false,
        };
        if !is_gone {
            rows.push((name, record));
        }
    }
    Ok((rows, last))
}
