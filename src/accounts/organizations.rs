//! Organisations: namespaces that teams own.

use super::name::check_name;
use super::users::check_free;
use super::{Accounts, Error, Noun};
use crate::model::{
    Member, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord, TeamRecord, TeamRole,
    Timestamp, UserId,
};
use crate::store::WriteTx;

/// The team that an organisation begins with (Quay).
const OWNERS: &str = "owners";

impl Accounts {
    /// Makes an organisation with the team `owners`, whose role is admin and whose member is `owner`.
    ///
    /// # Errors
    /// [`Error::NameTaken`], by whatever kind of namespace; [`Error::Invalid`]; [`Error::Unknown`]
    /// without such an owner.
    pub async fn create_organization(
        &self,
        name: &NamespaceName,
        owner: Option<UserId>,
    ) -> Result<NamespaceId, Error> {
        check_name("the organisation's name", name.as_str())?;
        let now = self.inner.clock.now();
        let wanted = name.clone();
        let create = move |tx: &mut WriteTx<'_>| create(tx, &wanted, owner, now);
        let id = self.change(create).await?;
        tracing::info!(namespace.id = %id, namespace.name = %name, "an organisation was made");
        Ok(id)
    }
}

fn create(
    tx: &mut WriteTx<'_>,
    name: &NamespaceName,
    owner: Option<UserId>,
    now: Timestamp,
) -> Result<NamespaceId, Error> {
    check_free(tx, name)?;
    let record = NamespaceRecord::new(name.clone(), NamespaceKind::Organization, now);
    let namespace = tx.namespaces().create(&record)?;
    let owners = tx.teams().create(&TeamRecord {
        namespace,
        name: OWNERS.to_owned(),
        role: TeamRole::Admin,
        description: String::new(),
    })?;
    if let Some(owner) = owner {
        let known = tx.users().record(owner)?.is_some();
        known
            .then_some(())
            .ok_or(Error::Unknown { noun: Noun::User })?;
        tx.teams().add_member(owners, Member::User(owner))?;
    }
    Ok(namespace)
}
