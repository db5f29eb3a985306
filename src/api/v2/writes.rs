//! What stands before every push and deletion: caches and closed registries refuse it with
//! `405 UNSUPPORTED`, before any byte of the body is read, and a push makes what is missing.
//!
//! 405 on the first request of a push makes every client give up at once and show the message.

use ::http::{HeaderValue, StatusCode, header};

use super::access::Admitted;
use super::error::Failure;
use super::{READ, Visit};
use crate::accounts::{self, NewOrganization};
use crate::auth::Identity;
use crate::config::Closed;
use crate::model::{Actor, NamespaceName, Visibility};
use crate::oci::{Action, Endpoint, ErrorCode, RepositoryName};
use crate::proxy::{Route, Source};
use crate::registry::Placed;

/// Refuses a write where nobody writes: in caches, and while the registry is closed to it.
pub(super) async fn refuse_closed(
    visit: &Visit<'_>,
    endpoint: &Endpoint,
    source: &Source,
) -> Result<(), Failure> {
    if !source.is_local() {
        return Err(Failure::method(allow_reads(endpoint), is_cache(source)));
    }
    closed(visit, endpoint).await.map_or(Ok(()), Err)
}

/// What a registry that is closed to writes says to each, whatever it names: which namespaces there are
/// is not told by the answer (AZ-11). `None` from one that is open.
pub(super) async fn closed(visit: &Visit<'_>, endpoint: &Endpoint) -> Option<Failure> {
    if !visit.api.registry.store().takes_writes().await {
        return Some(Failure::read_only());
    }
    let message = match visit.api.pushes.load().closed? {
        Closed::PushesDisabled => "pushes are switched off (DISABLE_PUSHES)",
        Closed::ReadOnly => "the registry is read-only (REGISTRY_STATE)",
    };
    Some(Failure::method(allow_reads(endpoint), message))
}

/// An upload session can neither be begun nor asked for where nothing is written.
const fn allow_reads(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Uploads { .. } | Endpoint::Upload { .. } => "",
        _ => READ,
    }
}

/// DO-04: what is pushed is taken as it comes, so a body that must be decoded first is refused; the
/// digest would be over other bytes than those that came.
pub(super) fn refuse_encoded(visit: &Visit<'_>) -> Result<(), Failure> {
    let codings = visit.headers.get_all(header::CONTENT_ENCODING);
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if codings.iter().all(is_plain) {
        return Ok(());
    }
    let text = "a body with a Content-Encoding is not taken; send the bytes as they are";
    let failure = Failure::new(ErrorCode::Unsupported, text);
    // RFC 9110 §15.5.16: which codings would have been taken.
    let accepted = HeaderValue::from_static("identity");
    Err(failure
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .with_header(header::ACCEPT_ENCODING, accepted))
}

fn is_cache(source: &Source) -> String {
    let organization = source.organization();
    match source.is_cache() {
        true => format!("{organization} is a cache of another registry; push there instead"),
        false => format!("{organization} is read-only: it was a cache of another registry"),
    }
}

/// The methods of an endpoint that is pushed to.
pub(super) const fn allow(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Uploads { .. } => "POST",
        Endpoint::Upload { .. } => "GET, HEAD, PATCH, PUT, DELETE",
        Endpoint::Manifest { .. } => "GET, HEAD, PUT, DELETE",
        Endpoint::Blob { .. } => "GET, HEAD, DELETE",
        Endpoint::Ping
        | Endpoint::Token
        | Endpoint::Catalog
        | Endpoint::Tags { .. }
        | Endpoint::Referrers { .. } => READ,
    }
}

impl Visit<'_> {
    /// The repository that a write means; its namespace is made by a push if that is configured.
    ///
    /// # Errors
    /// As [`Visit::find`].
    pub(super) async fn find_to_write(
        &self,
        name: &RepositoryName,
        action: Action,
    ) -> Result<Source, Failure> {
        if let Route::UnknownNamespace(missing) = self.route(name).await?
            && self.method == ::http::Method::POST
        {
            self.make_namespace(&missing, name).await?;
        }
        self.find(name, action).await
    }

    /// Makes a namespace for who may, and by a token that is for a push there: less makes nothing
    /// (AZ-14). A registry that takes no pushes takes no namespaces either.
    async fn make_namespace(
        &self,
        missing: &NamespaceName,
        name: &RepositoryName,
    ) -> Result<(), Failure> {
        let pushes = self.api.pushes.load_full();
        if !pushes.create_namespace || pushes.closed.is_some() {
            return Ok(());
        }
        let caller = self.caller().await?;
        let Identity::User { id, .. } = caller.identity else {
            return Ok(());
        };
        if !caller.identity.may_make_namespaces() {
            return Ok(());
        }
        if !caller.is_granted(name, Action::Push) {
            return Err(self.insufficient(name, Action::Push));
        }
        let accounts = &self.api.accounts;
        let new = NewOrganization {
            by: caller.identity.actor().into(),
            ..NewOrganization::named(missing, Some(id))
        };
        match accounts.create_organization(new).await {
            // Another push was first, or no organisation can have that name.
            Ok(_)
            | Err(accounts::Error::NameTaken { .. } | accounts::Error::InvalidName { .. }) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where a push of somebody admitted goes: the repository, made if it is missing.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn place(
        &self,
        source: &Source,
        admitted: &Admitted,
    ) -> Result<Placed, Failure> {
        if let Some((repository, _)) = &admitted.repository {
            return Ok(Placed {
                namespace: source.organization_id(),
                repository: *repository,
            });
        }
        let by = admitted.identity.actor();
        let performer = self.performer(&admitted.identity).await;
        let is_open = matches!(by, Actor::Anonymous)
            || self
                .api
                .pushes
                .load()
                .anonymous
                .contains(source.organization());
        // Nobody could grant a right on what nobody in particular has made.
        let visibility = match is_open || !self.api.pushes.load().create_private {
            true => Visibility::Public,
            false => Visibility::Private,
        };
        let (namespace, name) = (source.organization_id(), source.name());
        let registry = &self.api.registry;
        Ok(registry
            .create_repository(namespace, name, visibility, &performer)
            .await?)
    }

    /// What of `asked` somebody may do in a repository whose namespace does not exist.
    pub(super) fn allowed_in_missing(
        &self,
        identity: &Identity,
        asked: crate::oci::Actions,
    ) -> crate::oci::Actions {
        let may_make = self.api.pushes.load().create_namespace && identity.may_make_namespaces();
        let actions = asked
            .iter()
            .filter(|action| may_make && matches!(action, Action::Pull | Action::Push));
        actions.collect()
    }
}

impl From<accounts::Error> for Failure {
    fn from(error: accounts::Error) -> Self {
        tracing::error!(%error, "an account could not be looked at or changed");
        Self::new(ErrorCode::Unavailable, "accounts cannot be looked at")
    }
}
