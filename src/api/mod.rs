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
mod pages;
mod query;
mod routes;
mod state;
mod v2;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::http::StatusCode;
use arc_swap::ArcSwap;

use crate::accounts::Accounts;
use crate::auth::Auth;
use crate::http::{self, Exchange, Handler, Match, Operation, Request, Response, Router, response};
use crate::model::NamespaceName;
use crate::proxy::Proxy;
use crate::registry::Registry;
use crate::telemetry::Metrics;
use routes::Door;
use state::State;

pub use state::{Entrance, MirrorAddress, Pushes, Site};

/// All doors.
pub struct Api {
    state: State,
    /// The route table of an entrance that shows everything, and of that for metrics.
    site: Router<Door>,
    probes: Router<Door>,
}

/// What the doors are built from.
pub struct Parts {
    pub proxy: Proxy,
    pub registry: Registry,
    pub metrics: Metrics,
    /// What each listener is for, by its place in the server's list.
    pub entrances: Vec<Entrance>,
    pub site: Site,
    /// `FEATURE_PUBLIC_CATALOG`
    pub public_catalog: bool,
    pub accounts: Accounts,
    pub auth: Auth,
    pub pushes: Pushes,
    /// `LIBRARY_NAMESPACE`, where references without a namespace are taken.
    pub library: Option<NamespaceName>,
    /// `FEATURE_REFERRERS_API`
    pub referrers: bool,
}

impl Api {
    /// # Errors
    /// If two rows of a route table answer the same request, which is a bug.
    pub fn new(parts: Parts) -> Result<Self, http::Error> {
        let Parts {
            proxy,
            registry,
            metrics,
            entrances,
            site,
            public_catalog,
            accounts,
            auth,
            pushes,
            library,
            referrers,
        } = parts;
        Ok(Self {
            site: routes::site()?,
            probes: routes::probes()?,
            state: State {
                proxy,
                registry,
                metrics,
                site: ArcSwap::from_pointee(site),
                entrances,
                public_catalog: AtomicBool::new(public_catalog),
                draining: AtomicBool::new(false),
                accounts,
                auth,
                pushes: ArcSwap::from_pointee(pushes),
                library: ArcSwap::from_pointee(library),
                referrers,
            },
        })
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
        let is_v2 = path == "/v2" || path.starts_with("/v2/");
        let entrance = self.state.entrances.get(exchange.listener);
        match entrance.unwrap_or(&Entrance::Site) {
            Entrance::Metrics => self.by_table(&self.probes, &exchange, &request).await,
            _ if !is_v2 => self.by_table(&self.site, &exchange, &request).await,
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
        request: &Request,
    ) -> Response {
        match table.find(request.method(), request.uri().path()) {
            Match::Found(route, _) => {
                let mut answer = routes::open(route.handler, &self.state, exchange).await;
                answer.extensions_mut().insert(Operation(route.operation));
                answer
            }
            Match::MethodNotAllowed(allow) => {
                let mut answer =
                    response::text(StatusCode::METHOD_NOT_ALLOWED, "This is only read.\n");
                answer.headers_mut().insert(::http::header::ALLOW, allow);
                answer
            }
            Match::NotFound => routes::not_found(request),
        }
    }
}

impl Handler for Api {
    async fn handle(self: Arc<Self>, request: Request) -> Response {
        let mut answer = self.answer(request).await;
        headers::secure(answer.headers_mut());
        answer
    }
}
