//! Who asks at these doors, and may they: decided before anything of a repository is looked at.
//!
//! Basic and bearer credentials both work everywhere. What everyone may pull is served without a look at
//! credentials: old engines send those of Docker Hub to every mirror, and a token that has just expired
//! is no reason to refuse what needs none. What is private and what does not exist are refused alike
//! (AZ-01, AZ-11); a failure to find out is no answer about rights (AZ-15).

use std::sync::Arc;

use ::http::{HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Visit;
use super::error::Failure;
use crate::api::headers;
use crate::auth::{self, Allowed, Bearer, Identity, Target};
use crate::model::{RepositoryId, RepositoryRecord, RepositoryState, Secret, Visibility};
use crate::oci::{Action, Actions, Digest, ErrorCode, RepositoryName, Resource, Scope};
use crate::proxy::Source;

/// Quay's words, which cosign's documentation quotes (SC-200).
pub(super) const NOT_AUTHORIZED: &str = "access to the requested resource is not authorized";

/// Who asks, and by what.
pub(super) struct Caller {
    pub(super) identity: Identity,
    bearer: Option<Bearer>,
}

/// Somebody who may do what was asked.
pub(super) struct Admitted {
    pub(super) identity: Identity,
    /// The repository, if it exists.
    pub(super) repository: Option<(RepositoryId, Arc<RepositoryRecord>)>,
    /// Whether everyone may pull from it.
    pub(super) is_public: bool,
}

/// Whether a mount may take from a repository.
pub(super) enum Pullable {
    Yes(RepositoryId),
    /// With a token that names the repository.
    WithScope(RepositoryId, RepositoryName),
    No,
}

impl Visit<'_> {
    /// Who asks.
    ///
    /// # Errors
    /// 401 if the credentials are wrong, 429 if there were too many such.
    pub(super) async fn caller(&self) -> Result<Caller, Failure> {
        let Some(value) = self.headers.get(header::AUTHORIZATION) else {
            return Ok(Caller {
                identity: Identity::Anonymous,
                bearer: None,
            });
        };
        let read = value.to_str().ok().and_then(Credentials::parse);
        let outcome = match read {
            Some(Credentials::Basic { user, password }) => {
                let source = self.exchange.client.ip();
                let identity = self.api.auth.basic(&user, &password, source).await;
                identity.map(|identity| Caller {
                    identity,
                    bearer: None,
                })
            }
            Some(Credentials::Bearer(token)) => {
                let bearer = self.api.auth.bearer(token).await;
                bearer.map(|bearer| Caller {
                    identity: bearer.identity.clone(),
                    bearer: Some(bearer),
                })
            }
            None => {
                let message = "the Authorization header is neither Basic nor Bearer";
                return Err(self.unauthorized(message, &[], Some("invalid_request")));
            }
        };
        outcome.map_err(|error| self.not_believed(error))
    }

    /// Who shows a token of ours, where nobody needs to: for the usage log, which may be told. A password
    /// would have to be hashed for that.
    pub(super) async fn bearer_identity(&self) -> Option<Identity> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let Credentials::Bearer(token) = Credentials::parse(value)? else {
            return None;
        };
        let bearer = self.api.auth.bearer(token).await.ok()?;
        Some(bearer.identity)
    }

    /// The user name of a name and a password, if such were sent.
    pub(super) fn username(&self) -> Option<String> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        match Credentials::parse(value)? {
            Credentials::Basic { user, .. } => Some(user),
            Credentials::Bearer(_) => None,
        }
    }

    /// Lets the caller in who may do `action`, or says why not.
    ///
    /// # Errors
    /// 401 with a challenge, or 403; the same for what is private and what does not exist.
    pub(super) async fn admit(&self, source: &Source, action: Action) -> Result<Admitted, Failure> {
        let is_open = self.api.auth.admits_anonymous();
        if action == Action::Pull && !source.is_local() && source.is_public() && is_open {
            return Ok(Admitted {
                identity: Identity::Anonymous,
                repository: None,
                is_public: true,
            });
        }
        let (target, repository) = self.target(source).await?;
        let everyone = self.api.auth.rights(&Identity::Anonymous, &target).await?;
        if may(everyone, action, repository.is_some()) {
            return self.admit_everyone(source, action, repository).await;
        }
        if !self.api.accounts.has_users() {
            let organization = source.organization();
            return Err(Failure::new(
                ErrorCode::Denied,
                format!(
                    "{organization} is open to accounts only, and there is none yet; \
                     entrepot user create makes one"
                ),
            ));
        }
        let caller = self.caller().await?;
        let allowed = self.api.auth.rights(&caller.identity, &target).await?;
        let may = may(allowed, action, repository.is_some());
        let scopes = || self.wanted_scopes(source.shown(), action);
        if caller.identity.is_anonymous() {
            return Err(self.unauthorized(NOT_AUTHORIZED, &scopes(), None));
        }
        if !may && self.is_kept_by_state(&caller, &target, action).await? {
            let message = "the repository is a mirror: only its runs write into it";
            return Err(Failure::method("", message));
        }
        if !caller.is_granted(source.shown(), action) {
            return Err(self.insufficient(source.shown(), action));
        }
        if !may {
            return Err(Failure::new(ErrorCode::Denied, NOT_AUTHORIZED));
        }
        let is_public = is_public(source, repository.as_ref());
        Ok(Admitted {
            identity: caller.identity,
            repository,
            is_public,
        })
    }

    /// Whether somebody could write into a repository, were it no mirror (SC-340): a client that is only asked for
    /// another token asks for ever.
    async fn is_kept_by_state(
        &self,
        caller: &Caller,
        target: &Target,
        action: Action,
    ) -> Result<bool, Failure> {
        let Some((id, visibility, RepositoryState::Mirror | RepositoryState::OrgMirror)) =
            target.repository
        else {
            return Ok(false);
        };
        let otherwise = Target {
            repository: Some((id, visibility, RepositoryState::Normal)),
            ..*target
        };
        let allowed = self.api.auth.rights(&caller.identity, &otherwise).await?;
        Ok(action != Action::Pull && may(allowed, action, true))
    }

    /// What everyone may do: a pull needs no name, a change is done in the name of who gives one.
    async fn admit_everyone(
        &self,
        source: &Source,
        action: Action,
        repository: Option<(RepositoryId, Arc<RepositoryRecord>)>,
    ) -> Result<Admitted, Failure> {
        let identity = match action {
            Action::Pull => Identity::Anonymous,
            Action::Push | Action::Delete | Action::All => self.caller().await?.identity,
        };
        let is_public = is_public(source, repository.as_ref());
        Ok(Admitted {
            identity,
            repository,
            is_public,
        })
    }

    /// Whether the caller may pull from a repository, for a mount; whatever stands in the way is no.
    ///
    /// Who may, but comes with a token that was not given for it, is asked for a wider one: a token
    /// is no way to what it does not name (AZ-14).
    pub(super) async fn may_pull(&self, source: &Source) -> Pullable {
        let Ok((target, repository)) = self.target(source).await else {
            return Pullable::No;
        };
        let Some((id, _)) = repository else {
            return Pullable::No;
        };
        let auth = &self.api.auth;
        let everyone = auth.rights(&Identity::Anonymous, &target).await;
        if everyone.is_ok_and(|everyone| everyone.pull) {
            return Pullable::Yes(id);
        }
        let Ok(caller) = self.caller().await else {
            return Pullable::No;
        };
        match auth.rights(&caller.identity, &target).await {
            Ok(allowed) if !allowed.pull => Pullable::No,
            Ok(_) if caller.is_granted(source.shown(), Action::Pull) => Pullable::Yes(id),
            Ok(_) => Pullable::WithScope(id, source.shown().clone()),
            Err(_) => Pullable::No,
        }
    }

    /// 401 that asks for a token to pull from `from` as well as to push to `to`.
    pub(super) fn wider_token(&self, to: &RepositoryName, from: RepositoryName) -> Failure {
        let scope = |name: RepositoryName, action| Scope {
            resource: Resource::Repository(name),
            actions: wanted(action),
        };
        let scopes = [scope(to.clone(), Action::Push), scope(from, Action::Pull)];
        self.unauthorized(NOT_AUTHORIZED, &scopes, Some("insufficient_scope"))
    }

    /// Has a blob be kept for the grace period if it is asked for by who may push: he is about to name
    /// it rather than send it. To be awaited before the look whether it is there (GC-01).
    pub(super) async fn keep_for_pusher(&self, source: &Source, digest: &Digest) {
        if !source.is_local() {
            return;
        }
        let admitted = self.admit(source, Action::Push).await.ok();
        let Some(admitted) = admitted else { return };
        if let Some((repository, _)) = &admitted.repository {
            let by = admitted.identity.actor();
            self.api
                .registry
                .touch_blob(*repository, *digest, &by)
                .await;
        }
    }

    /// What of `asked` the holder of an identity may do there now; a repository that is missing can be
    /// pushed to by who may make it.
    pub(super) async fn allowed(
        &self,
        identity: &Identity,
        source: &Source,
        asked: Actions,
    ) -> Result<Actions, Failure> {
        let (target, repository) = self.target(source).await?;
        let mut allowed = self.api.auth.rights(identity, &target).await?;
        if repository.is_none() && allowed.create {
            (allowed.pull, allowed.push) = (true, true);
        }
        Ok(allowed.within(asked))
    }

    async fn target(
        &self,
        source: &Source,
    ) -> Result<(Target, Option<(RepositoryId, Arc<RepositoryRecord>)>), Failure> {
        let registry = &self.api.registry;
        let namespace = source.organization_id();
        let id = registry.repository(namespace, source.name()).await?;
        let repository = match id {
            Some(id) => registry
                .repository_record(id)
                .await?
                .map(|record| (id, record)),
            None => None,
        };
        let target = Target {
            namespace,
            kind: source.kind(),
            anonymous_pull: source.is_public(),
            repository: repository
                .as_ref()
                .map(|(id, record)| (*id, record.visibility, record.state)),
            fetched: !source.is_local(),
        };
        Ok((target, repository))
    }

    /// What an anonymous caller is told of a name that means nothing here, and what others are: the
    /// first the same as of a namespace that there is (AZ-11).
    pub(super) async fn unknown_name(&self, name: &RepositoryName, action: Action) -> Failure {
        let unknown = || {
            Failure::new(
                ErrorCode::NameUnknown,
                "no namespace here has the name that the repository begins with",
            )
        };
        if self.listener.is_some() || !self.api.accounts.has_users() {
            return unknown();
        }
        match self.caller().await {
            Ok(caller) if caller.identity.is_anonymous() => {
                let scopes = self.wanted_scopes(name, action);
                self.unauthorized(NOT_AUTHORIZED, &scopes, None)
            }
            Ok(_) => unknown(),
            Err(failure) => failure,
        }
    }

    /// 401 with the way to a token (oci-registry 7.2): every value is quoted.
    pub(super) fn unauthorized(
        &self,
        message: impl Into<std::borrow::Cow<'static, str>>,
        scopes: &[Scope],
        error: Option<&'static str>,
    ) -> Failure {
        let failure = Failure::new(ErrorCode::Unauthorized, message);
        failure.with_header(header::WWW_AUTHENTICATE, self.challenge(scopes, error))
    }

    /// What a client is to ask a token for; of a mount, the source as well.
    fn wanted_scopes(&self, name: &RepositoryName, action: Action) -> Vec<Scope> {
        let scope = |name: RepositoryName, action| Scope {
            resource: Resource::Repository(name),
            actions: wanted(action),
        };
        let mounted_from = self.query.value("mount").and_then(|_| {
            let from = self.query.value("from")?;
            from.parse::<RepositoryName>().ok()
        });
        let source = mounted_from.map(|from| scope(from, Action::Pull));
        std::iter::once(scope(name.clone(), action))
            .chain(source)
            .collect()
    }

    /// 401 for a token that is not for this (RFC 6750 §3.1, with the status of the token specification).
    pub(super) fn insufficient(&self, name: &RepositoryName, action: Action) -> Failure {
        let scopes = self.wanted_scopes(name, action);
        self.unauthorized(NOT_AUTHORIZED, &scopes, Some("insufficient_scope"))
    }

    fn challenge(&self, scopes: &[Scope], error: Option<&'static str>) -> HeaderValue {
        let Some(realm) = self.realm() else {
            // Without a host there is no URL to send anybody to.
            return HeaderValue::from_static("Basic realm=\"entrepot\"");
        };
        let mut text = format!("Bearer realm=\"{realm}\",service=\"{}\"", super::SERVICE);
        if !scopes.is_empty() {
            let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            text.push_str(&format!(",scope=\"{}\"", scopes.join(" ")));
        }
        if let Some(error) = error {
            text.push_str(&format!(",error=\"{error}\""));
        }
        headers::plain(text)
    }

    /// Where tokens are to be had, as this client reaches it.
    fn realm(&self) -> Option<String> {
        let site = self.api.site.load();
        let secure = site.secure.unwrap_or(self.exchange.secure);
        let scheme = if secure { "https" } else { "http" };
        let host = match &site.hostname {
            Some(host) => host.clone(),
            None => self.exchange.host.as_ref()?.to_string(),
        };
        Some(format!("{scheme}://{host}/v2/auth"))
    }

    pub(super) fn not_believed(&self, error: auth::Error) -> Failure {
        match error {
            auth::Error::Throttled { retry_after } => {
                Failure::new(ErrorCode::TooManyRequests, error.to_string())
                    .retry_after(Some(retry_after))
            }
            auth::Error::Token(_) => {
                self.unauthorized(error.to_string(), &[], Some("invalid_token"))
            }
            error if error.is_refusal() => self.unauthorized(error.to_string(), &[], None),
            error => error.into(),
        }
    }
}

impl Caller {
    /// Whether the token, if it is one, was given for this.
    pub(super) fn is_granted(&self, name: &RepositoryName, action: Action) -> bool {
        let Some(bearer) = &self.bearer else {
            return true;
        };
        let granted = bearer.granted(name);
        // Quay: who may push may delete.
        granted.allows(action) || (action == Action::Delete && granted.allows(Action::Push))
    }
}

fn may(allowed: Allowed, action: Action, exists: bool) -> bool {
    match action {
        Action::Push if !exists => allowed.create || allowed.push,
        action => allowed.allows(action),
    }
}

/// What a client is to ask for: who pushes also looks at what is there.
fn wanted(action: Action) -> Actions {
    let actions: &[Action] = match action {
        Action::Pull => &[Action::Pull],
        Action::Push => &[Action::Pull, Action::Push],
        Action::Delete | Action::All => &[Action::Delete],
    };
    actions.iter().copied().collect()
}

fn is_public(source: &Source, repository: Option<&(RepositoryId, Arc<RepositoryRecord>)>) -> bool {
    match source.is_local() {
        true => repository.is_some_and(|(_, record)| record.visibility == Visibility::Public),
        false => source.is_public(),
    }
}

/// RFC 9110 §11.6.2, as far as it is taken.
enum Credentials<'a> {
    Basic { user: String, password: Secret },
    Bearer(&'a str),
}

impl<'a> Credentials<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(rest));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self::Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons() {
        let value = format!("basic {}", STANDARD.encode("a|b:c:d"));
        match Credentials::parse(&value) {
            Some(Credentials::Basic { user, password }) => {
                assert_eq!((user.as_str(), password.expose()), ("a|b", "c:d"));
            }
            _ => panic!("these are credentials"),
        }
        for bad in ["", "Basic", "Basic !", "Digest x", "Basic YQ=="] {
            assert!(Credentials::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn who_pushes_is_asked_for_both() {
        assert_eq!(wanted(Action::Push).to_string(), "pull,push");
        assert_eq!(wanted(Action::Delete).to_string(), "delete");
    }
}
