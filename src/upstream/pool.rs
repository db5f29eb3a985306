//! The HTTP clients of one upstream.

use super::{Error, Terms};
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
        terms: &Terms,
        outbound: &Outbound,
    ) -> Result<Self, Error> {
        let client = |trust| {
            outbound.client(&ClientSpec {
                ca_file: rule.ca_file.clone(),
                proxy: rule.proxy.clone(),
                trust,
                any_certificate: terms.any_certificate,
                idle_connections: rule.max_connections,
            })
        };
        let trusted = client(terms.trust)?;
        let guarded = match (terms.trust, &rule.proxy) {
            (AddressPolicy::PublicOrAllowed, _) => trusted.clone(),
            // The operator's own proxy may be anywhere, and where it leads is its business.
            (AddressPolicy::Any, ProxyChoice::Url(_) | ProxyChoice::Given { .. }) => {
                trusted.clone()
            }
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
