//! `GET /v2/_catalog`: the repositories that the caller may pull from.
//!
//! Not part of the distribution specification, but crane, skopeo and web pages ask for it. Who is logged
//! in sees his own, those granted to him and those that are public, in the byte order of their full
//! names; who is not sees the public ones, and as in Quay those only if `FEATURE_PUBLIC_CATALOG` is on. A
//! token names its holder here, whatever repositories it is for, as in Quay. A mirror listener shows its
//! own organisation's, by the names that it serves them under.
//!
//! A request looks at a bounded number of repositories. If it has not filled its page by then, the `Link`
//! goes on behind what it looked at, in a sealed `next`: the last name looked at may be one that the
//! caller must not learn (AZ-10).

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::error::Failure;
use super::{Visit, json_listing};
use crate::accounts::SealKey;
use crate::api::headers;
use crate::api::page::{PageRequest, next_link};
use crate::auth::{Identity, Target};
use crate::http::{Response, response};
use crate::model::Sealed;
use crate::registry::Catalogued;

const PATH: &str = "/v2/_catalog";

/// Rows that one request looks at, at most.
const LOOKED_AT: usize = 10_000;

/// Rows read in one go, at least and at most.
const AT_ONCE: (usize, usize) = (32, 500);

/// What a sealed position is bound to.
const CONTEXT: &[u8] = b"catalogue.v1";

/// A sealed position tells nothing of the length of the name in it.
const PADDED_TO: usize = 512;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

/// What one request found.
#[derive(Default)]
struct Found {
    names: Vec<String>,
    /// More may follow; behind this text, unless a name of the page says it.
    goes_on: Option<Option<String>>,
}

/// Answers with a page of the repositories.
pub(super) async fn list_repositories(visit: &Visit<'_>) -> Result<Response, Failure> {
    let page = PageRequest::of(visit.query)?;
    let identity = visit.cataloguer().await?;
    let is_shown = !identity.is_anonymous() || visit.api.public_catalog.load(Ordering::Relaxed);
    let found = match is_shown && page.limit() > 0 {
        true => collect(visit, &identity, &page).await?,
        false => Found::default(),
    };
    let n = page.limit().to_string();
    let link = found.goes_on.and_then(|behind| {
        let sealed = behind.map(|behind| seal(visit.api.accounts.seal_key(), &behind));
        let last = found.names.last().filter(|_| sealed.is_none());
        let parameters = [
            ("last", last.map(String::as_str)),
            ("next", sealed.as_deref()),
            ("n", Some(n.as_str())),
        ];
        (last.is_some() || sealed.is_some()).then(|| headers::plain(next_link(PATH, &parameters)))
    });
    let repositories = found.names;
    Ok(json_listing(&Catalog { repositories }, response::JSON, link, None).response)
}

async fn collect(
    visit: &Visit<'_>,
    identity: &Identity,
    page: &PageRequest<'_>,
) -> Result<Found, Failure> {
    let limit = page.limit();
    let mut found = Found::default();
    let mut after = visit.position(page);
    let mut looked_at = 0;
    loop {
        // One more than the page, which tells whether there is more.
        let rows = (limit + 1 - found.names.len()).clamp(AT_ONCE.0, AT_ONCE.1);
        let piece = visit.api.registry.catalogue(&after, rows).await?;
        looked_at += rows;
        for entry in piece.repositories {
            let Some(name) = visit.served_as(&entry) else {
                return Ok(found);
            };
            let target = Target::new(
                entry.namespace,
                &entry.owner,
                Some((entry.repository, &entry.record)),
            );
            if !visit.api.auth.rights(identity, &target).await?.pull {
                continue;
            }
            if found.names.len() == limit {
                found.goes_on = Some(None);
                return Ok(found);
            }
            found.names.push(name);
        }
        let Some(next) = piece.next else {
            return Ok(found);
        };
        if looked_at >= LOOKED_AT {
            let rest = visit.api.registry.catalogue(&next, 1).await?;
            let has_ended = rest.repositories.is_empty() && rest.next.is_none();
            found.goes_on = (!has_ended).then_some(Some(next));
            return Ok(found);
        }
        after = next;
    }
}

impl Visit<'_> {
    /// Who asks. Nobody has to be somebody here, and what a mirror's client sends is another's password.
    async fn cataloguer(&self) -> Result<Identity, Failure> {
        if !self.api.accounts.has_users() {
            return Ok(Identity::Anonymous);
        }
        match (self.caller().await, self.listener) {
            (Ok(caller), _) => Ok(caller.identity),
            (Err(_), Some(_)) => Ok(Identity::Anonymous),
            (Err(failure), None) => Err(failure),
        }
    }

    /// The text behind which the page begins.
    fn position(&self, page: &PageRequest<'_>) -> String {
        let sealed = self.query.value("next");
        if let Some(position) = sealed.and_then(|it| open(self.api.accounts.seal_key(), &it)) {
            return position;
        }
        let last = page.last.as_deref().unwrap_or("");
        match self.listener {
            Some(organization) => format!("{organization}/{last}"),
            None => last.to_owned(),
        }
    }

    /// The name of a repository at this entrance; `None` for what lies behind all that it serves.
    fn served_as(&self, entry: &Catalogued) -> Option<String> {
        match self.listener {
            None => Some(entry.full_name()),
            Some(organization) if entry.owner.name == *organization => {
                Some(entry.record.name.to_string())
            }
            Some(_) => None,
        }
    }
}

fn seal(key: &SealKey, position: &str) -> String {
    let mut padded = position.as_bytes().to_vec();
    padded.resize(padded.len().next_multiple_of(PADDED_TO), b' ');
    URL_SAFE_NO_PAD.encode(key.seal(&padded, CONTEXT).0)
}

fn open(key: &SealKey, text: &str) -> Option<String> {
    let sealed = Sealed(URL_SAFE_NO_PAD.decode(text).ok()?);
    let opened = key.open(&sealed, CONTEXT)?;
    let position = std::str::from_utf8(&opened).ok()?;
    Some(position.trim_end_matches(' ').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AZ-10: neither the name nor its length can be read out of a position.
    #[test]
    fn a_position_is_read_by_who_wrote_it() {
        let key = SealKey::from_bytes(&[7; 32]);
        let positions = ["", "a/b", "acme/~", &"x".repeat(300)];
        let sealed = positions.map(|position| seal(&key, position));
        for (position, sealed) in positions.into_iter().zip(&sealed) {
            assert_eq!(open(&key, sealed).as_deref(), Some(position));
            assert_eq!(open(&SealKey::from_bytes(&[8; 32]), sealed), None);
        }
        assert_eq!(sealed[1].len(), sealed[3].len());
        for text in ["", "x", "acme/app", &sealed[1][1..]] {
            assert_eq!(open(&key, text), None, "{text}");
        }
    }
}
