//! `GET /`: what this is, whether it works, what it holds, and the lines to pull with.
//!
//! One page without scripts and without anything from elsewhere; its only style carries the nonce that
//! its policy names. It shows what anyone who can pull may know: names of caches and sums.

use std::sync::Arc;

use ::http::{HeaderValue, header};

use super::html::Html;
use super::snippets::{self, Place};
use crate::api::headers;
use crate::api::state::State;
use crate::http::{AccessLevel, Body, Exchange, Response};
use crate::model::{ByteSize, NamespaceName};
use crate::proxy::{Cache, Kind, Outcome};
use crate::registry::Holding;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.15rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;\
border-bottom:1px solid #8884}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
pre{background:#8882;padding:.7rem 1rem;border-radius:.4rem;overflow-x:auto}\
.good{color:#18794e}.bad{color:#c62a2f;font-weight:600}";

/// Everything the page shows.
struct Facts {
    healthy: bool,
    place: Place,
    disk: Option<(ByteSize, ByteSize)>,
    caches: Vec<CacheFacts>,
    /// URLs of the mirrors of docker.io.
    docker_mirrors: Vec<String>,
}

struct CacheFacts {
    cache: Arc<Cache>,
    held: ByteSize,
    limit: Option<ByteSize>,
    requests: u64,
    hits: u64,
    saved: ByteSize,
}

/// Answers with the page.
pub(in crate::api) async fn landing(state: &State, exchange: &Exchange) -> Response {
    let facts = gather(state, exchange).await;
    let nonce = nonce();
    let mut response = Response::new(Body::from(render(&facts, &nonce)));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'"
    );
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, headers::plain(policy));
    let content_type = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, headers::NO_STORE);
    response.extensions_mut().insert(AccessLevel::Quiet);
    response
}

fn nonce() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system has a source of randomness");
    format!("{:032x}", u128::from_ne_bytes(random))
}

async fn gather(state: &State, exchange: &Exchange) -> Facts {
    let site = state.site.load();
    let named = exchange.host.as_ref().map(|host| host.as_str().to_owned());
    let host = site
        .hostname
        .clone()
        .or(named)
        .unwrap_or_else(|| "localhost".to_owned());
    let known_as = exchange.host.as_ref().map(|host| host.host().to_owned());
    let known_as = known_as.unwrap_or_else(|| "localhost".to_owned());
    let holdings = state.registry.holdings().await;
    let healthy = !state.registry.store().failed() && holdings.is_ok();
    let holdings = holdings.unwrap_or_default();
    let caches = state.proxy.caches();
    let is_hub = |name: &NamespaceName| {
        caches.iter().any(|cache| {
            let rule = &cache.rule;
            rule.organization == *name
                && rule.upstream.host == "docker.io"
                && rule.upstream.namespace.is_none()
        })
    };
    let mirrors = site
        .mirrors
        .iter()
        .filter(|mirror| is_hub(&mirror.organization));
    Facts {
        healthy,
        place: Place {
            host,
            secure: site.secure.unwrap_or(exchange.secure),
        },
        disk: state
            .registry
            .blobs()
            .disk()
            .ok()
            .map(|disk| (ByteSize(disk.free_bytes), ByteSize(disk.total_bytes))),
        docker_mirrors: mirrors.map(|mirror| mirror.url(&known_as)).collect(),
        caches: caches
            .into_iter()
            .map(|cache| cache_facts(state, cache, &holdings))
            .collect(),
    }
}

fn cache_facts(state: &State, cache: Arc<Cache>, holdings: &[Holding]) -> CacheFacts {
    let holding = holdings
        .iter()
        .find(|holding| holding.namespace == cache.rule.organization);
    let counters = state.proxy.metrics().of(&cache.rule.organization);
    let (mut requests, mut hits) = (0, 0);
    if let Some(counters) = &counters {
        for kind in [Kind::Manifest, Kind::Blob] {
            for outcome in Outcome::ALL {
                let count = counters.requests(kind, outcome);
                requests += count;
                hits += if outcome.is_held() { count } else { 0 };
            }
        }
    }
    CacheFacts {
        held: ByteSize(holding.map_or(0, |holding| holding.held_bytes)),
        limit: holding
            .and_then(|holding| holding.limit_bytes)
            .map(ByteSize),
        saved: ByteSize(counters.map_or(0, |counters| counters.saved.get())),
        cache,
        requests,
        hits,
    }
}

fn render(facts: &Facts, nonce: &str) -> String {
    let mut html = Html::default();
    html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .markup("<meta name=\"viewport\" content=\"width=device-width\"><title>entrepot</title>")
        .within("<style nonce=\"", nonce, "\">")
        .markup(STYLE)
        .markup("</style></head><body><h1>entrepot</h1>");
    html.within(
        "<p>A cache of container registries, version ",
        env!("CARGO_PKG_VERSION"),
        ". ",
    );
    html.markup(match facts.healthy {
        true => "<span class=\"good\">It works.</span>",
        false => "<span class=\"bad\">Its store does not answer; see its log.</span>",
    });
    if let Some((free, total)) = facts.disk {
        html.within(" Its disk has ", free, " free")
            .within(" of ", total, ".");
    }
    html.markup("</p>");
    caches(&mut html, facts);
    pulls(&mut html, facts);
    mirrors(&mut html, facts);
    html.markup("</body></html>\n");
    html.finish()
}

fn caches(html: &mut Html, facts: &Facts) {
    html.markup("<h2>Caches</h2><table><tr><th>organization</th><th>upstream</th>")
        .markup("<th class=\"n\">held</th><th class=\"n\">quota</th><th class=\"n\">requests</th>")
        .markup("<th class=\"n\">from cache</th><th class=\"n\">traffic saved</th></tr>");
    for CacheFacts {
        cache,
        held,
        limit,
        requests,
        hits,
        saved,
    } in &facts.caches
    {
        html.within("<tr><td>", &cache.rule.organization, "</td>")
            .within("<td>", &cache.rule.upstream, "</td>")
            .within("<td class=\"n\">", held, "</td><td class=\"n\">");
        match limit {
            Some(limit) => html.text(limit),
            None => html.markup("\u{2013}"),
        };
        html.within("</td><td class=\"n\">", requests, "</td>")
            .within("<td class=\"n\">", hits, "</td>")
            .within("<td class=\"n\">", saved, "</td></tr>");
    }
    html.markup("</table><p>Requests and traffic are those since the start.</p>");
}

fn pulls(html: &mut Html, facts: &Facts) {
    html.markup("<h2>Pull</h2>");
    for CacheFacts { cache, .. } in &facts.caches {
        html.within(
            "<pre>",
            snippets::docker_pull(&facts.place, &cache.rule),
            "\n",
        )
        .within(
            "",
            snippets::podman_pull(&facts.place, &cache.rule),
            "</pre>",
        );
    }
}

fn mirrors(html: &mut Html, facts: &Facts) {
    if !facts.docker_mirrors.is_empty() {
        let urls: Vec<&str> = facts.docker_mirrors.iter().map(String::as_str).collect();
        html.markup(
            "<h2>Docker, for images of docker.io: <code>/etc/docker/daemon.json</code></h2>",
        )
        .within("<pre>", snippets::docker_mirrors(&urls), "</pre>");
    }
    html.markup("<h2>containerd: <code>/etc/containerd/certs.d/HOST/hosts.toml</code></h2>")
        .within("<pre>", snippets::containerd_hosts(&facts.place), "</pre>")
        .markup("<p>The same file for each of the upstreams above as HOST.</p>")
        .markup("<h2>Podman and CRI-O: <code>/etc/containers/registries.conf</code></h2><pre>");
    for CacheFacts { cache, .. } in &facts.caches {
        html.within("", snippets::podman_mirror(&facts.place, &cache.rule), "\n");
    }
    html.markup("</pre>");
}
