//! The token endpoint that a challenge names: whether our account may go there, and what it answers.

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::challenge::{BearerChallenge, Challenge};
use super::exchange::{Call, Role};
use super::metrics::Operation;
use super::redirect::{Hop, MOST_HOPS, check_scheme, strip};
use super::token::Key;
use super::{Error, Refusal, Remote, document, realm, retry};
use crate::outbound::Response;

/// Largest answer of a token endpoint.
const TOKEN_BYTES: usize = 64 * 1024;
/// Life in seconds of a token that does not say (distribution's token specification).
const DEFAULT_LIFE: u64 = 60;

/// How to authenticate, as a challenge told.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Basic,
    Bearer(Realm),
}

/// A token endpoint with its whole query.
#[derive(Clone, Debug)]
pub(super) struct Realm {
    hop: Hop,
    with_account: bool,
}

/// What token endpoints answer; other fields do not matter.
#[derive(Deserialize)]
struct TokenBody {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenBody {
    /// The header value, and when to replace it: after 80 % of its life.
    fn grant(self) -> Result<(HeaderValue, Instant), Error> {
        let token = self
            .token
            .filter(|text| !text.is_empty())
            .or(self.access_token);
        let token = token.filter(|text| !text.is_empty());
        let token = token.ok_or_else(|| Error::unexpected("a token answer without a token"))?;
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| Error::unexpected("a token of odd characters"))?;
        value.set_sensitive(true);
        let life = self
            .expires_in
            .filter(|life| *life > 0)
            .unwrap_or(DEFAULT_LIFE);
        let life = Duration::from_secs(life.min(24 * 60 * 60));
        Ok((value, Instant::now() + life.mul_f64(0.8)))
    }
}

impl Remote {
    /// The `Authorization` value for Basic.
    pub(super) async fn basic(&self) -> Result<HeaderValue, Error> {
        match &self.account {
            Some(account) => account.basic().await,
            None => Err(Error::Unauthorized(Refusal::NoCredentials)),
        }
    }

    /// What a challenge of `hop` asks for, and whether our account may go there (UP-01).
    pub(super) fn source(
        &self,
        key: &Key,
        challenge: Challenge,
        hop: &Hop,
        sender_is_public: bool,
    ) -> Result<Source, Error> {
        let challenge = match challenge {
            Challenge::Bearer(challenge) => challenge,
            Challenge::Basic if hop.home && self.account.is_some() => return Ok(Source::Basic),
            Challenge::Basic => return Err(Error::Unauthorized(Refusal::NoCredentials)),
        };
        let url = token_url(key, &challenge, &hop.url, self.insecure)?;
        let with_account = hop.home && self.account.is_some();
        if with_account && !realm::may_see_credentials(&self.base, &url) {
            let host = url.host_str().unwrap_or_default().to_owned();
            return Err(Error::Unauthorized(Refusal::ForeignRealm { host }));
        }
        let guarded = hop.guarded || (sender_is_public && url.origin() != hop.url.origin());
        let hop = Hop {
            url,
            home: true,
            guarded,
        };
        Ok(Source::Bearer(Realm { hop, with_account }))
    }

    pub(super) async fn fetch_token(
        &self,
        realm: &Realm,
        deadline: Instant,
    ) -> Result<(HeaderValue, Instant), Error> {
        let deadline = deadline.min(Instant::now() + self.deadlines.token);
        let work = async {
            let response = self.ask_realm(realm, deadline).await?;
            let body = document::read(response, "a token answer", TOKEN_BYTES, self.deadlines.idle);
            let body = timeout_at(deadline, body).await;
            let body = body.map_err(|_| Error::Timeout(self.deadlines.token))??;
            // The message of a JSON error may quote the token.
            let parsed: Result<TokenBody, _> = serde_json::from_slice(&body.bytes);
            parsed
                .map_err(|_| Error::unexpected("a token answer that is not JSON"))?
                .grant()
        };
        self.measured(Operation::Token, work).await
    }

    /// Asks a token endpoint; our account is left behind where a redirect leaves its origin (UP-02).
    async fn ask_realm(&self, realm: &Realm, deadline: Instant) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if realm.with_account {
            headers.insert(AUTHORIZATION, self.basic().await?);
        }
        let mut hop = realm.hop.clone();
        for _ in 0..=MOST_HOPS {
            if !hop.home {
                headers.remove(AUTHORIZATION);
            }
            let call = Call {
                hop: &hop,
                method: Method::GET,
                headers: headers.clone(),
                role: Role::Token,
                deadline,
                more_tries: retry::MORE_TRIES,
            };
            let response = self.send(&call).await?;
            match hop.next(&response, self.insecure)? {
                Some(next) => hop = next,
                None => return accepted(response),
            }
            document::drain(response).await;
        }
        Err(Error::Redirect("more than 5 hops"))
    }
}

/// A 404 of a token endpoint says nothing about content, hence no [`Error::NotFound`] here.
fn accepted(response: Response) -> Result<Response, Error> {
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::FORBIDDEN => Err(Error::Denied),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST) => {
            let status = status.as_u16();
            Err(Error::Unauthorized(Refusal::Token { status }))
        }
        status => Err(Error::unexpected(format!(
            "the token endpoint answered {}",
            status.as_u16()
        ))),
    }
}

/// The realm with `service` only if the challenge has one, and the challenge's scope or one to pull.
fn token_url(
    key: &Key,
    challenge: &BearerChallenge,
    challenger: &Url,
    insecure: bool,
) -> Result<Url, Error> {
    let joined = challenger.join(&challenge.realm);
    let mut url = joined.map_err(|_| Error::unexpected("a challenge whose realm is no URL"))?;
    check_scheme(&url, insecure)?;
    strip(&mut url).map_err(|()| Error::unexpected("a challenge whose realm has no host"))?;
    let built = key
        .repository
        .as_ref()
        .map(|name| format!("repository:{name}:pull"));
    let scope = challenge.scope.clone().or(built);
    if challenge.service.is_some() || scope.is_some() {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(challenge.service.iter().map(|service| ("service", service)));
        query.extend_pairs(scope.iter().map(|scope| ("scope", scope)));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(challenge: &BearerChallenge, repository: Option<&str>) -> String {
        let challenger = Url::parse("https://registry.test/v2/a/manifests/b").unwrap();
        let hop = Hop {
            url: challenger.clone(),
            home: true,
            guarded: false,
        };
        let repository = repository.map(|name| name.parse().unwrap());
        let key = Key::new(&hop, repository.as_ref());
        token_url(&key, challenge, &challenger, false)
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_token_url_keeps_the_realms_query_and_adds_only_what_is_there() {
        let mut challenge = BearerChallenge {
            realm: "https://u:p@auth.test/token?x=1#y".to_owned(),
            service: Some("s p".to_owned()),
            scope: Some("aws".to_owned()),
        };
        assert_eq!(
            url(&challenge, Some("a/b")),
            "https://auth.test/token?x=1&service=s+p&scope=aws"
        );
        challenge.service = None;
        challenge.scope = None;
        let built = "https://auth.test/token?x=1&scope=repository%3Aa%2Fb%3Apull";
        assert_eq!(url(&challenge, Some("a/b")), built);
        challenge.realm = "/token".to_owned();
        assert_eq!(url(&challenge, None), "https://registry.test/token");
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_live_for_four_fifths_of_what_they_say_or_of_a_minute() {
        for (body, seconds) in [
            (
                r#"{"token":"t","expires_in":300,"issued_at":"1999-01-01T00:00:00Z"}"#,
                240,
            ),
            (r#"{"access_token":"t"}"#, 48),
            (r#"{"token":"","access_token":"t","expires_in":0}"#, 48),
            (r#"{"token":"t","expires_in":18446744073709551615}"#, 69120),
        ] {
            let body: TokenBody = serde_json::from_str(body).unwrap();
            let (value, renew_at) = body.grant().unwrap();
            assert_eq!(value, "Bearer t");
            assert_eq!(renew_at - Instant::now(), Duration::from_secs(seconds));
        }
        for body in ["{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#] {
            let body: TokenBody = serde_json::from_str(body).unwrap();
            assert!(body.grant().is_err());
        }
    }
}
