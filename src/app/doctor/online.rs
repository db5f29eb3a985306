//! Whether the upstreams of the caches answer, if somebody wants to know.

use std::time::Duration;

use ::http::{HeaderMap, Method};
use futures_util::StreamExt as _;
use url::Url;

use super::{Examination, Severity};
use crate::config::Config;
use crate::model::{Clock, UpstreamRule};
use crate::outbound::{AddressPolicy, ClientSpec, Names, Outbound};

/// How long one upstream may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Upstreams that are asked side by side.
const SIDE_BY_SIDE: usize = 8;

/// Asks each upstream for its `/v2/`, without logging in.
pub(in crate::app) async fn examine(found: &mut Examination, config: &Config) {
    found.look("upstreams");
    let outbound = Outbound::new(
        config.outbound.clone(),
        config.deadlines.connect,
        Names::System,
        Clock::System,
    );
    let outbound = match outbound {
        Ok(outbound) => outbound,
        Err(error) => {
            let then = "look at EXTRA_CA_CERTS and the proxy's variables";
            return found.tell(Severity::Repairable, error.to_string(), then);
        }
    };
    let outbound = &outbound;
    let answers = futures_util::stream::iter(&config.upstreams)
        .map(|rule| async move { (rule, ask(outbound, rule).await) })
        .buffered(SIDE_BY_SIDE);
    let answers: Vec<_> = answers.collect().await;
    for (rule, answer) in answers {
        if let Err(reason) = answer {
            let what = format!(
                "the upstream of {} does not answer: {reason}",
                rule.organization
            );
            let then = "look at the line, the name service, HTTPS_PROXY and `endpoint`; what is held is served \
                        meanwhile";
            found.tell(Severity::Repairable, what, then);
        }
    }
}

/// Any answer of a server will do: 401 is the usual one.
async fn ask(outbound: &Outbound, rule: &UpstreamRule) -> Result<(), String> {
    let mut base = match &rule.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => {
            let scheme = if rule.insecure { "http" } else { "https" };
            let text = format!("{scheme}://{}/", rule.upstream.api_host());
            Url::parse(&text).map_err(|error| error.to_string())?
        }
    };
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    let url = base.join("v2/").map_err(|error| error.to_string())?;
    let spec = ClientSpec {
        ca_file: rule.ca_file.clone(),
        proxy: rule.proxy.clone(),
        trust: AddressPolicy::Any,
        any_certificate: false,
        idle_connections: 0,
    };
    let client = outbound.client(&spec).map_err(|error| error.to_string())?;
    let asking = client.send(Method::GET, &url, HeaderMap::new());
    match tokio::time::timeout(DEADLINE, asking).await {
        Ok(Ok(answer)) if answer.status().is_server_error() => {
            Err(format!("{url} answers {}", answer.status()))
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("{url} took more than {} s", DEADLINE.as_secs())),
    }
}
