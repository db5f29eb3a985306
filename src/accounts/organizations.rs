//! Organisations: namespaces that teams own. Made, found, changed.

use serde_json::{Value, json};

use super::name::{check_email, check_name};
use super::users::check_free;
use super::{Accounts, Error, Noun, secret};
use crate::model::{
    LogEntry, LogKind, Member, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord,
    Performer, TeamRecord, TeamRole, Timestamp, UserId,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// The team that an organisation begins with (Quay).
const OWNERS: &str = "owners";

/// An organisation that is to be made.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    pub name: NamespaceName,
    /// Where it can be written to; no user's address.
    pub email: Option<String>,
    /// The first member of its team `owners`.
    pub owner: Option<UserId>,
    pub by: Performer,
}

impl NewOrganization {
    /// One without an address, made by the server itself.
    pub fn named(name: &NamespaceName, owner: Option<UserId>) -> Self {
        Self {
            name: name.clone(),
            email: None,
            owner,
            by: Performer::SYSTEM,
        }
    }
}

/// What is to be changed about an organisation; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct OrganizationChange {
    pub email: Option<Option<String>>,
    pub invoice_email: Option<bool>,
    pub invoice_email_address: Option<Option<String>>,
    /// The caller has checked that the operator allows it.
    pub tag_expiration_s: Option<u64>,
}

impl Accounts {
    /// Makes an organisation with the team `owners`, whose role is admin and whose member is the owner.
    ///
    /// # Errors
    /// [`Error::NameTaken`], by whatever kind of namespace; [`Error::InvalidName`], [`Error::Invalid`];
    /// [`Error::Exists`] if the address is a user's; [`Error::Unknown`] without such an owner.
    pub async fn create_organization(&self, new: NewOrganization) -> Result<NamespaceId, Error> {
        check_name(Noun::Organization, new.name.as_str())?;
        if let Some(email) = &new.email {
            check_email(email)?;
        }
        let (now, uuid) = (self.inner.clock.now(), secret::new_uuid());
        let wanted = new.clone();
        let create = move |tx: &mut WriteTx<'_>| create(tx, &wanted, &uuid, now);
        let id = self.change(create).await?;
        let (name, by) = (&new.name, &new.by);
        tracing::info!(namespace.id = %id, namespace.name = %name, %by, "an organisation was made");
        Ok(id)
    }

    /// The organisation of this name, a cache included, if there is one.
    pub async fn organization(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<(NamespaceId, NamespaceRecord)>, Error> {
        let found = self.namespace(name).await?;
        Ok(found.filter(|(_, record)| !matches!(record.kind, NamespaceKind::User(_))))
    }

    /// Up to `limit` organisations whose ids are greater than `after`, caches included, in the order of their
    /// ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_organizations(
        &self,
        after: Option<NamespaceId>,
        limit: usize,
    ) -> Result<Vec<(NamespaceId, NamespaceRecord)>, Error> {
        let (mut after, mut found) = (after, Vec::new());
        while found.len() < limit {
            let list = move |tx: &ReadTx| tx.namespaces().list_after(after, PAGE_ROWS);
            let page = self.inner.store.scan(list).await.map_err(Error::Store)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let of_teams = page
                .into_iter()
                .filter(|(_, record)| !matches!(record.kind, NamespaceKind::User(_)));
            found.extend(of_teams.take(limit - found.len()));
        }
        Ok(found)
    }

    /// The namespace of this name, if there is one.
    pub async fn namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<(NamespaceId, NamespaceRecord)>, Error> {
        let found = self.inner.store.read(|tx| tx.namespaces().by_name(name));
        found.await.map_err(Error::Store)
    }

    /// The record of a namespace, if there is one that is not deleted.
    pub async fn namespace_record(
        &self,
        id: NamespaceId,
    ) -> Result<Option<NamespaceRecord>, Error> {
        let record = self.inner.store.read(|tx| tx.namespaces().record(id));
        let record = record.await.map_err(Error::Store)?;
        Ok(record.filter(|record| record.deleted.is_none()))
    }

    /// Changes what is told of an organisation.
    ///
    /// # Errors
    /// [`Error::Exists`] if the address is a user's; [`Error::Invalid`]; [`Error::Unknown`].
    pub async fn change_organization(
        &self,
        id: NamespaceId,
        change: &OrganizationChange,
        by: &Performer,
    ) -> Result<NamespaceRecord, Error> {
        let addresses = [&change.email, &change.invoice_email_address];
        for address in addresses.into_iter().flatten().flatten() {
            check_email(address)?;
        }
        let (change, by, now) = (change.clone(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let mut record = load(tx, id)?;
            let told = apply(tx, &mut record, &change)?;
            tx.namespaces().put(id, &record)?;
            for (kind, mut metadata) in told {
                metadata["namespace"] = json!(record.name);
                let line = LogEntry::new(kind, now, &by).within(id).with(metadata);
                tx.logs().append(&line)?;
            }
            Ok(record)
        })
        .await
    }
}

fn create(
    tx: &mut WriteTx<'_>,
    new: &NewOrganization,
    uuid: &str,
    now: Timestamp,
) -> Result<NamespaceId, Error> {
    check_free(tx, &new.name)?;
    if let Some(email) = &new.email {
        check_unused(tx, email)?;
    }
    let record = NamespaceRecord {
        email: new.email.clone(),
        uuid: uuid.to_owned(),
        ..NamespaceRecord::new(new.name.clone(), NamespaceKind::Organization, now)
    };
    let namespace = tx.namespaces().create(&record)?;
    let metadata = json!({"email": new.email, "namespace": new.name});
    let line = LogEntry::new(LogKind::OrgCreate, now, &new.by).within(namespace);
    tx.logs().append(&line.with(metadata))?;
    found(tx, namespace, new.owner)?;
    Ok(namespace)
}

/// Gives a namespace the team that rules it.
pub(super) fn found(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    owner: Option<UserId>,
) -> Result<(), Error> {
    let owners = TeamRecord::new(namespace, OWNERS.to_owned(), TeamRole::Admin);
    let owners = tx.teams().create(&owners)?;
    if let Some(owner) = owner {
        let known = tx.users().record(owner)?.is_some();
        known
            .then_some(())
            .ok_or(Error::Unknown { noun: Noun::User })?;
        tx.teams().add_member(owners, Member::User(owner))?;
    }
    Ok(())
}

/// The organisation of this id.
pub(super) fn load(tx: &ReadTx, id: NamespaceId) -> Result<NamespaceRecord, Error> {
    let record = tx.namespaces().record(id)?;
    let living = record.filter(|it| it.deleted.is_none());
    living
        .filter(|it| !matches!(it.kind, NamespaceKind::User(_)))
        .ok_or(Error::unknown(Noun::Organization))
}

/// Organisations may share an address with each other, but not with a user (Quay).
fn check_unused(tx: &ReadTx, email: &str) -> Result<(), Error> {
    match tx.users().by_email(email)? {
        None => Ok(()),
        Some(_) => Err(Error::Exists {
            noun: Noun::Email,
            name: email.to_owned(),
        }),
    }
}

/// Changes the record; returns what the log tells of it.
fn apply(
    tx: &ReadTx,
    record: &mut NamespaceRecord,
    change: &OrganizationChange,
) -> Result<Vec<(LogKind, Value)>, Error> {
    let mut told = Vec::new();
    if let Some(wanted) = change.invoice_email {
        record.invoice_email = wanted;
        told.push((
            LogKind::OrgChangeInvoicing,
            json!({"invoice_email": wanted}),
        ));
    }
    if let Some(address) = &change.invoice_email_address
        && *address != record.invoice_email_address
    {
        record.invoice_email_address.clone_from(address);
        let metadata = json!({"invoice_email_address": address});
        told.push((LogKind::OrgChangeInvoicing, metadata));
    }
    if let Some(email) = &change.email
        && *email != record.email
    {
        if let Some(email) = email {
            check_unused(tx, email)?;
        }
        let metadata = json!({"email": email, "old_email": record.email});
        record.email.clone_from(email);
        told.push((LogKind::OrgChangeEmail, metadata));
    }
    if let Some(seconds) = change.tag_expiration_s {
        record.tag_expiration_s = Some(seconds);
        let metadata = json!({"tag_expiration": seconds});
        told.push((LogKind::OrgChangeTagExpiration, metadata));
    }
    Ok(told)
}
