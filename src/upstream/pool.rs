//! The HTTP clients of one upstream.

use super::Error;
use crate::model::{ProxyChoice, UpstreamRule};
use crate::outbound::{AddressPolicy, Client, ClientSpec, Outbound};

/// Two sets of connections: one under the trust that the rule has, one that calls public addresses only.
pub(super) struct Pool {
    trusted: Client,
    guarded: Client,
}

impl Pool {
    pub(super) fn new(
        rule: &UpstreamRule,
        trust: AddressPolicy,
        outbound: &Outbound,
    ) -> Result<Self, Error> {
        let client = |trust| {
            outbound.client(&ClientSpec {
                ca_file: rule.ca_file.clone(),
                proxy: rule.proxy.clone(),
                trust,
                idle_connections: rule.max_connections,
            })
        };
        let trusted = client(trust)?;
        let guarded = match (trust, &rule.proxy) {
            (AddressPolicy::PublicOrAllowed, _) => trusted.clone(),
            // The operator's own proxy may be anywhere, and where it leads is its business.
            (AddressPolicy::Any, ProxyChoice::Url(_)) => trusted.clone(),
            (AddressPolicy::Any, _) => client(AddressPolicy::PublicOrAllowed)?,
        };
        Ok(Self { trusted, guarded })
    }

    pub(super) const fn client(&self, guarded: bool) -> &Client {
        if guarded {
            &self.guarded
        } else {
            &self.trusted
        }
    }
}
