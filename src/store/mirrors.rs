//! Repositories and organisations that copy those of another registry: what was decided of them, how it stands
//! with their runs, and what the last run came to with single tags.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{
    DiscoveredRecord, MirrorRecord, MirrorStatus, MirrorTagRecord, NamespaceId, OrgMirrorRecord,
    RepositoryId,
};
use crate::oci::{RepositoryName, Tag};

/// Mirrors as a transaction sees them.
pub struct Mirrors<S>(pub(super) S);

impl<S: Reads> Mirrors<S> {
    /// What was decided of a repository, if it is a mirror or has been one.
    pub fn record(&self, repository: RepositoryId) -> Result<Option<MirrorRecord>, Error> {
        let key = keys::repository(repository);
        self.0.tx().record(Table::Mirrors, &key)
    }

    /// How it stands with the runs of a mirror.
    pub fn status(&self, repository: RepositoryId) -> Result<Option<MirrorStatus>, Error> {
        let key = keys::repository(repository);
        self.0.tx().record(Table::MirrorStatuses, &key)
    }

    /// Up to `limit` mirrors behind `after`, the oldest repositories first.
    pub fn list(
        &self,
        after: Option<RepositoryId>,
        limit: usize,
    ) -> Result<Vec<(RepositoryId, MirrorStatus)>, Error> {
        let span = Span::ALL.after(after.map(keys::repository));
        let read = |key: &[u8]| keys::read_number(key).map(RepositoryId);
        let table = Table::MirrorStatuses;
        self.0.tx().records(table, &span, limit, read)
    }

    /// What a run last came to with a tag, if it was copied or failed since the mirror was made.
    pub fn tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<MirrorTagRecord>, Error> {
        let key = keys::tag(repository, tag);
        self.0.tx().record(Table::MirrorTags, &key)
    }

    /// Up to `limit` of these behind the tag `after`, in the order of the tags.
    pub fn tags(
        &self,
        repository: RepositoryId,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<(Tag, MirrorTagRecord)>, Error> {
        let after = after.map(|tag| keys::tag(repository, tag));
        let span = Span::under(keys::repository(repository)).after(after);
        let (table, read) = (Table::MirrorTags, keys::read_tag);
        self.0.tx().records(table, &span, limit, read)
    }

    /// What was decided of an organisation, if it is a mirror as a whole.
    pub fn of_organization(
        &self,
        namespace: NamespaceId,
    ) -> Result<Option<OrgMirrorRecord>, Error> {
        let key = keys::namespace(namespace);
        self.0.tx().record(Table::OrgMirrors, &key)
    }

    /// How it stands with the looks at what such an organisation's source has.
    pub fn discovery(&self, namespace: NamespaceId) -> Result<Option<MirrorStatus>, Error> {
        let key = keys::namespace(namespace);
        self.0.tx().record(Table::OrgMirrorStatuses, &key)
    }

    /// Up to `limit` organisations behind `after` that are mirrors as a whole, the oldest first.
    pub fn organizations(
        &self,
        after: Option<NamespaceId>,
        limit: usize,
    ) -> Result<Vec<(NamespaceId, MirrorStatus)>, Error> {
        let span = Span::ALL.after(after.map(keys::namespace));
        let read = |key: &[u8]| keys::read_number(key).map(NamespaceId);
        let table = Table::OrgMirrorStatuses;
        self.0.tx().records(table, &span, limit, read)
    }

    /// A repository that was found at the source of an organisation, by its name there.
    pub fn discovered(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
    ) -> Result<Option<DiscoveredRecord>, Error> {
        let key = keys::repository_name(namespace, name);
        self.0.tx().record(Table::Discovered, &key)
    }

    /// Up to `limit` of these behind the name `after`, by name.
    pub fn all_discovered(
        &self,
        namespace: NamespaceId,
        after: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Vec<(RepositoryName, DiscoveredRecord)>, Error> {
        let after = after.map(|name| keys::repository_name(namespace, name));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let (table, read) = (Table::Discovered, keys::read_repository_name);
        self.0.tx().records(table, &span, limit, read)
    }
}

impl Mirrors<&mut WriteTx<'_>> {
    /// Decides of a repository, in place of what was decided before.
    pub fn put(&mut self, repository: RepositoryId, record: &MirrorRecord) -> Result<(), Error> {
        let key = keys::repository(repository);
        self.0.put_record(Table::Mirrors, key, record);
        Ok(())
    }

    /// Says how it stands with the runs of a mirror.
    pub fn put_status(
        &mut self,
        repository: RepositoryId,
        status: &MirrorStatus,
    ) -> Result<(), Error> {
        let key = keys::repository(repository);
        self.0.put_record(Table::MirrorStatuses, key, status);
        Ok(())
    }

    /// Says what a run came to with a tag.
    pub fn put_tag(
        &mut self,
        repository: RepositoryId,
        tag: &Tag,
        record: &MirrorTagRecord,
    ) -> Result<(), Error> {
        let key = keys::tag(repository, tag);
        self.0.put_record(Table::MirrorTags, key, record);
        Ok(())
    }

    /// Forgets what a run came to with a tag; nothing happens if nothing is known.
    pub fn remove_tag(&mut self, repository: RepositoryId, tag: &Tag) -> Result<(), Error> {
        self.0.remove(Table::MirrorTags, keys::tag(repository, tag));
        Ok(())
    }

    /// Has a repository be no mirror. What is known of up to `limit` single tags goes with it; returns how many
    /// went.
    pub fn remove(&mut self, repository: RepositoryId, limit: usize) -> Result<usize, Error> {
        let key = keys::repository(repository);
        self.0.remove(Table::Mirrors, key.clone());
        self.0.remove(Table::MirrorStatuses, key);
        let tags = self.tags(repository, None, limit)?;
        for (tag, _) in &tags {
            self.remove_tag(repository, tag)?;
        }
        Ok(tags.len())
    }

    /// Decides of an organisation, in place of what was decided before.
    pub fn put_organization(
        &mut self,
        namespace: NamespaceId,
        record: &OrgMirrorRecord,
    ) -> Result<(), Error> {
        let key = keys::namespace(namespace);
        self.0.put_record(Table::OrgMirrors, key, record);
        Ok(())
    }

    /// Says how it stands with the looks at an organisation's source.
    pub fn put_discovery(
        &mut self,
        namespace: NamespaceId,
        status: &MirrorStatus,
    ) -> Result<(), Error> {
        let key = keys::namespace(namespace);
        self.0.put_record(Table::OrgMirrorStatuses, key, status);
        Ok(())
    }

    /// Says what was found at an organisation's source.
    pub fn put_discovered(
        &mut self,
        namespace: NamespaceId,
        name: &RepositoryName,
        record: &DiscoveredRecord,
    ) -> Result<(), Error> {
        let key = keys::repository_name(namespace, name);
        self.0.put_record(Table::Discovered, key, record);
        Ok(())
    }

    /// Has an organisation be no mirror. Up to `limit` of what was found at its source go with it; returns how
    /// many went.
    pub fn remove_organization(
        &mut self,
        namespace: NamespaceId,
        limit: usize,
    ) -> Result<usize, Error> {
        let key = keys::namespace(namespace);
        self.0.remove(Table::OrgMirrors, key.clone());
        self.0.remove(Table::OrgMirrorStatuses, key);
        let found = self.all_discovered(namespace, None, limit)?;
        for (name, _) in &found {
            let key = keys::repository_name(namespace, name);
            self.0.remove(Table::Discovered, key);
        }
        Ok(found.len())
    }
}
