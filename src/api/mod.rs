//! Every HTTP door: the registry protocol, health, metrics, and the page for people.
//!
//! Called by `http::Server`, one call a request. The order of a request: which listener it came in by,
//! then `/v2/` (split from the right by hand, because names hold slashes) or the route table, then the
//! headers that every answer carries. Doors talk to services and know no table and no file; whatever
//! fails below is put into words here and nowhere else.
//!
//! `http` has named the request before and logs and counts it afterwards, by the operation told here.

mod headers;
mod page;
mod page_token;
mod pages;
mod query;
mod routes;
mod searches;
mod state;
mod v1;
mod v2;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::http::StatusCode;
use arc_swap::ArcSwap;

use crate::accounts::Accounts;
use crate::auth::Auth;
use crate::config::{Features, PeopleConfig, WebConfig};
use crate::http::{self, Exchange, Handler, Match, Operation, Request, Response, Router, response};
use crate::mirror::Mirror;
use crate::model::{Clock, NamespaceName};
use crate::notify::{Audit, Inbox, Messages};
use crate::proxy::Proxy;
use crate::registry::Registry;
use crate::telemetry::Metrics;
use routes::Door;
use searches::Searches;
use state::State;

pub use state::{Entrance, MirrorAddress, Pushes, Site};

/// All doors.
pub struct Api {
    state: Arc<State>,
    /// The rows of `/api/v1` and of the web, by their place.
    rows: Vec<v1::ApiRow>,
    /// The route table of an entrance that shows everything, and of that for metrics.
    site: Router<Door>,
    probes: Router<Door>,
}

/// What the doors are built from.
pub struct Parts {
    pub proxy: Proxy,
    pub registry: Registry,
    pub mirror: Mirror,
    pub metrics: Metrics,
    /// What each listener is for, by its place in the server's list.
    pub entrances: Vec<Entrance>,
    pub site: Site,
    /// `FEATURE_PUBLIC_CATALOG`
    pub public_catalog: bool,
    pub accounts: Accounts,
    pub auth: Auth,
    pub audit: Audit,
    pub inbox: Inbox,
    pub messages: Messages,
    pub pushes: Pushes,
    /// `LIBRARY_NAMESPACE`, where references without a namespace are taken.
    pub library: Option<NamespaceName>,
    /// `FEATURE_REFERRERS_API`
    pub referrers: bool,
    pub clock: Clock,
    pub features: Features,
    pub web: WebConfig,
    pub people: PeopleConfig,
    /// `SUPER_USERS`
    pub super_users: Vec<NamespaceName>,
    /// `TAG_EXPIRATION_OPTIONS`
    pub tag_expirations: Vec<Duration>,
    /// What the operator said, secrets masked.
    pub given: Vec<(String, serde_json::Value)>,
}

impl Api {
    /// # Errors
    /// If two rows of a route table answer the same request, which is a bug.
    pub fn new(parts: Parts) -> Result<Self, http::Error> {
        let Parts {
            proxy,
            registry,
            mirror,
            metrics,
            entrances,
            site,
            public_catalog,
            accounts,
            auth,
            audit,
            inbox,
            messages,
            pushes,
            library,
            referrers,
            clock,
            features,
            web,
            people,
            super_users,
            tag_expirations,
            given,
        } = parts;
        let mut rows = v1::rows();
        v1::show_tokens_at(&mut rows, &people.local_oauth_handler);
        Ok(Self {
            site: routes::site(&rows)?,
            probes: routes::probes()?,
            state: Arc::new(State {
                description: v1::Description::of(&rows),
                proxy,
                registry,
                mirror,
                metrics,
                site: ArcSwap::from_pointee(site),
                entrances,
                public_catalog: AtomicBool::new(public_catalog),
                draining: AtomicBool::new(false),
                searches: Searches::default(),
                end_asked: tokio::sync::Notify::new(),
                accounts,
                auth,
                audit,
                inbox,
                messages,
                pushes: ArcSwap::from_pointee(pushes),
                library: ArcSwap::from_pointee(library),
                referrers,
                clock,
                features,
                given,
                web,
                people,
                super_users,
                tag_expirations,
            }),
            rows,
        })
    }

    /// Returns once a superuser has asked for the end of the process; at once if that was before.
    pub async fn end_asked(&self) {
        self.state.end_asked.notified().await;
    }

    /// From here on `/readyz` says that the process is ending.
    pub fn drain(&self) {
        self.state.draining.store(true, Ordering::Relaxed);
    }

    /// Takes over what a changed configuration says of the site.
    pub fn set_site(&self, site: Site) {
        self.state.site.store(Arc::new(site));
    }

    /// Takes over what a changed configuration says of pushes.
    pub fn set_pushes(&self, pushes: Pushes) {
        self.state.pushes.store(Arc::new(pushes));
    }

    async fn answer(&self, request: Request) -> Response {
        let Some(exchange) = request.extensions().get::<Exchange>().cloned() else {
            // The server puts one into every request.
            return response::empty(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let path = request.uri().path();
        let entrance = self.state.entrances.get(exchange.listener);
        let entrance = entrance.unwrap_or(&Entrance::Site);
        let is_redirect = *entrance == Entrance::Redirect;
        if request.method() == ::http::Method::OPTIONS && path.starts_with("/api/") && !is_redirect
        {
            return v1::options(&self.state, request.headers());
        }
        let is_v2 = path == "/v2" || path.starts_with("/v2/");
        match entrance {
            Entrance::Redirect => pages::redirect(&self.state, request.uri()),
            Entrance::Metrics => self.by_table(&self.probes, &exchange, request).await,
            _ if !is_v2 => self.by_table(&self.site, &exchange, request).await,
            Entrance::Site => v2::answer(&self.state, &exchange, None, request).await,
            Entrance::Mirror(organization) => {
                v2::answer(&self.state, &exchange, Some(organization), request).await
            }
        }
    }

    async fn by_table(
        &self,
        table: &Router<Door>,
        exchange: &Exchange,
        request: Request,
    ) -> Response {
        let path = request.uri().path().to_owned();
        match table.find(request.method(), &path) {
            Match::Found(route, values) => {
                let mut answer = match route.handler {
                    Door::Page(page) => {
                        routes::open(page, &self.state, exchange, request.headers()).await
                    }
                    Door::Row(place) => {
                        let Some(values) = values.decoded() else {
                            return routes::not_found(&request, &self.state.url(exchange));
                        };
                        let row = &self.rows[place];
                        v1::answer(&self.state, exchange, row, values, request).await
                    }
                };
                answer.extensions_mut().insert(Operation(route.operation));
                answer
            }
            Match::MethodNotAllowed(allow) => {
                let mut answer = routes::method_not_allowed(&request);
                answer.headers_mut().insert(::http::header::ALLOW, allow);
                answer
            }
            Match::NotFound => routes::not_found(&request, &self.state.url(exchange)),
        }
    }
}

impl Handler for Api {
    async fn handle(self: Arc<Self>, request: Request) -> Response {
        let is_secure = request
            .extensions()
            .get()
            .is_some_and(|exchange: &Exchange| exchange.secure);
        let mut answer = self.answer(request).await;
        headers::secure(answer.headers_mut());
        if let (true, Some(age)) = (is_secure, self.state.site.load().hsts) {
            headers::stay_secure(answer.headers_mut(), age);
        }
        answer
    }
}
