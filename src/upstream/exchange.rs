//! One question to an upstream: limits, authentication, redirects, repetition.

use std::sync::atomic::Ordering;

use ::http::header::{ACCEPT, AUTHORIZATION, RANGE};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::challenge::Challenge;
use super::limit::{Place, announced_rate};
use super::metrics::Operation;
use super::redirect::{Hop, MOST_HOPS};
use super::token::Key;
use super::{Error, Refusal, Remote, document, retry};
use crate::oci::RepositoryName;
use crate::outbound::Response;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    /// Offset of the first byte wanted.
    pub(super) from: u64,
    /// The repository to be pulled from, which tokens are for.
    pub(super) repository: Option<RepositoryName>,
}

impl Ask {
    pub(super) fn get(operation: Operation, url: Url, repository: Option<&RepositoryName>) -> Self {
        Self {
            operation,
            method: Method::GET,
            url,
            accept: "*/*",
            from: 0,
            repository: repository.cloned(),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(self.accept));
        if self.from > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.from));
            headers.insert(RANGE, range.expect("digits are visible ASCII"));
        }
        headers
    }

    /// Tries after the first: the caller of a blob resumes by itself.
    fn more_tries(&self) -> u32 {
        if self.operation == Operation::Blob {
            0
        } else {
            retry::MORE_TRIES
        }
    }
}

/// An answer of 2xx, and the place it holds among the requests in flight.
pub(super) struct Answer<'a> {
    pub(super) remote: &'a Remote,
    pub(super) response: Response,
    pub(super) place: Place,
}

/// Whose health a request tells about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Endpoint,
    /// Without tokens the endpoint is of no use, so outages count; answers say nothing about it.
    Token,
    /// A CDN: its troubles are not the endpoint's.
    Elsewhere,
}

/// One request as it goes out.
pub(super) struct Call<'a> {
    pub(super) hop: &'a Hop,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) role: Role,
    pub(super) deadline: Instant,
    pub(super) more_tries: u32,
}

impl Remote {
    /// Whether it would be asked now.
    ///
    /// # Errors
    /// [`Error::RateLimited`] while it has told us to wait, [`Error::BreakerOpen`] while it is shunned.
    fn check(&self) -> Result<(), Error> {
        self.rate_checked()?;
        let shunned = |retry_after| Error::BreakerOpen { retry_after };
        self.breaker.check().map_err(shunned)
    }

    /// Asks, and returns an answer of 2xx.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer<'_>, Error> {
        // Before queueing: nobody waits for a place at an upstream that is not asked.
        self.check()?;
        self.spared(ask.operation)?;
        let place = match ask.operation {
            Operation::Blob => self.connections.body_place().await,
            _ => self.connections.place().await,
        };
        self.rate_checked()?;
        let admission = self.breaker.admit();
        let _admission = admission.map_err(|retry_after| Error::BreakerOpen { retry_after })?;
        let deadline = Instant::now() + self.deadlines.headers;
        let mut response = self.follow(ask, deadline).await?;
        if is_refused_elsewhere(&response, self) {
            // A presigned URL may have expired on the way: the registry makes another.
            document::drain(response).await;
            response = self.follow(ask, deadline).await?;
        }
        check_status(&response)?;
        Ok(Answer {
            remote: self,
            response,
            place,
        })
    }

    fn rate_checked(&self) -> Result<(), Error> {
        let limit = self.host.rate.check();
        limit.map_err(|retry_after| Error::RateLimited { retry_after })
    }

    /// What counts at an upstream with a budget is left to pulls when little of it is left.
    fn spared(&self, operation: Operation) -> Result<(), Error> {
        if !self.is_background || operation != Operation::Manifest {
            return Ok(());
        }
        let spare = self.host.rate.check_spare();
        spare.map_err(|retry_after| Error::RateLimited { retry_after })
    }

    /// Sends `ask` and goes where redirects lead.
    async fn follow(&self, ask: &Ask, deadline: Instant) -> Result<Response, Error> {
        let home = self.is_home(&ask.url);
        let mut hop = Hop {
            url: ask.url.clone(),
            home,
            guarded: false,
        };
        for _ in 0..=MOST_HOPS {
            let response = self.authorised(&hop, ask, deadline).await?;
            match hop.next(&response, self.insecure)? {
                Some(next) => hop = next,
                None => return Ok(response),
            }
            document::drain(response).await;
        }
        Err(Error::Redirect("more than 5 hops"))
    }

    pub(super) fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Sends one hop with what authenticates us there, and takes up a challenge.
    ///
    /// A token that is refused is dropped and the dance begun anew without one, since an expired token may
    /// be answered with a realm of its own (nvcr.io); a second refusal is final.
    async fn authorised(&self, hop: &Hop, ask: &Ask, deadline: Instant) -> Result<Response, Error> {
        let key = Key::new(hop, ask.repository.as_ref());
        let slot = self.tokens.slot(&key);
        let mut authorization = slot.current(self, deadline).await?;
        let mut refused_before = false;
        loop {
            let response = self
                .send_hop(hop, ask, authorization.clone(), deadline)
                .await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            let challenge = Challenge::preferred(response.headers());
            let bearer = matches!(challenge, Some(Challenge::Bearer(_)));
            if !hop.home && authorization.is_none() && !bearer {
                return Ok(response);
            }
            let sender_is_public = response.peer().is_some_and(super::is_public);
            document::drain(response).await;
            authorization = match authorization {
                Some(_) if refused_before => {
                    return Err(Error::Unauthorized(Refusal::Rejected));
                }
                Some(refused) => {
                    slot.forget(&refused).await;
                    refused_before = true;
                    None
                }
                None => {
                    let challenge = challenge.ok_or(Error::Unauthorized(Refusal::NoChallenge))?;
                    let source = self.source(&key, challenge, hop, sender_is_public)?;
                    Some(slot.obtain(self, source, deadline).await?)
                }
            };
        }
    }

    async fn send_hop(
        &self,
        hop: &Hop,
        ask: &Ask,
        authorization: Option<HeaderValue>,
        deadline: Instant,
    ) -> Result<Response, Error> {
        let mut headers = ask.headers();
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let role = if self.is_home(&hop.url) {
            Role::Endpoint
        } else {
            Role::Elsewhere
        };
        self.send(&Call {
            hop,
            method: ask.method.clone(),
            headers,
            role,
            deadline,
            more_tries: ask.more_tries(),
        })
        .await
    }

    /// Sends one request, again if that may help.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response, Error> {
        let mut tried = 0;
        loop {
            let error = match self.send_once(call).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            tried += 1;
            let pause = retry::pause(self.deadlines.retry_pause, tried);
            let in_time = Instant::now() + pause < call.deadline;
            let asked = call.role == Role::Elsewhere || self.breaker.check().is_ok();
            if tried > call.more_tries || !retry::is_worth_it(&error) || !in_time || !asked {
                return Err(error);
            }
            tracing::debug!(%error, upstream = %self.name, "asking again");
            sleep(pause).await;
        }
    }

    /// Sends one request once. 5xx, 408 and 429 are errors here; everything else is for the caller.
    async fn send_once(&self, call: &Call<'_>) -> Result<Response, Error> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let client = self.pool.client(call.hop.guarded);
        let sent = client.send(call.method.clone(), &call.hop.url, call.headers.clone());
        let result = match timeout_at(call.deadline, sent).await {
            Ok(Ok(response)) => self.judge(response, call.role),
            Ok(Err(error)) => Err(Error::Outbound(error)),
            Err(_) if call.role == Role::Token => Err(Error::Timeout(self.deadlines.token)),
            Err(_) => Err(Error::Timeout(self.deadlines.headers)),
        };
        match (&result, call.role) {
            (_, Role::Elsewhere) | (Ok(_), Role::Token) => {}
            (Err(Error::RateLimited { .. }), Role::Token) => {}
            (Ok(_) | Err(Error::RateLimited { .. }), Role::Endpoint) => self.breaker.succeeded(),
            (Err(error), _) if error.is_outage() => self.breaker.failed(),
            // Ours: a refused address, a missing authority.
            (Err(_), _) => {}
        }
        result
    }

    fn judge(&self, response: Response, role: Role) -> Result<Response, Error> {
        let status = response.status();
        let headers = response.headers();
        if role == Role::Endpoint {
            let (limit, remaining) = announced_rate(headers);
            self.metrics.set_rate(limit, remaining);
            self.host.rate.announce(limit, remaining);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = match role {
                Role::Elsewhere => retry::retry_after(headers).unwrap_or(self.deadlines.headers),
                Role::Endpoint | Role::Token => self.host.rate.hit(headers),
            };
            return Err(Error::RateLimited { retry_after });
        }
        // 501 is what a registry says of an endpoint that it does not have.
        let failing = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if failing || status == StatusCode::REQUEST_TIMEOUT {
            let retry_after = retry::retry_after(headers);
            return Err(Error::Failing {
                status: status.as_u16(),
                retry_after,
            });
        }
        self.host.rate.passed();
        Ok(response)
    }
}

fn is_refused_elsewhere(response: &Response, remote: &Remote) -> bool {
    let refused = matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    refused && !remote.is_home(response.url())
}

fn check_status(response: &Response) -> Result<(), Error> {
    match response.status() {
        StatusCode::UNAUTHORIZED => Err(Error::Unauthorized(Refusal::NoChallenge)),
        StatusCode::FORBIDDEN => Err(Error::Denied),
        StatusCode::NOT_FOUND => Err(Error::NotFound),
        status if status.is_success() => Ok(()),
        status => Err(Error::Status {
            status: status.as_u16(),
        }),
    }
}
