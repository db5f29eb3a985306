//! Resolves names once and hands on only the addresses that may be called.
//!
//! The connection goes to exactly the addresses returned here, so a name that changes its answer between
//! check and connection gains nothing (UP-04). When the name service fails, the addresses that worked last
//! are used, checked again (CA-16).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Name, Resolve, Resolving};

use super::{AddressPolicy, AllowedHosts, Error, Names};

/// Most names remembered.
const REMEMBERED: usize = 256;

/// The addresses a name had when it was last resolved, for all clients.
#[derive(Debug, Default)]
pub(super) struct LastGood(Mutex<HashMap<String, Vec<IpAddr>>>);

impl LastGood {
    fn remember(&self, host: &str, addresses: &[IpAddr]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(host) {
            known.clear();
        }
        known.insert(host.to_owned(), addresses.to_vec());
    }

    fn recall(&self, host: &str) -> Option<Vec<IpAddr>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(host).cloned()
    }
}

/// The resolver of one client.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) policy: AddressPolicy,
    pub(super) allowed: Arc<AllowedHosts>,
    /// Hosts of proxies that the operator configured: their address may be any.
    pub(super) proxies: Arc<[String]>,
    pub(super) last_good: Arc<LastGood>,
    pub(super) names: Names,
    pub(super) deadline: Duration,
}

impl Resolver {
    /// The addresses of a name in lower case that may be called.
    pub(super) async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let addresses = match self.look_up(host).await {
            Ok(addresses) => {
                self.last_good.remember(host, &addresses);
                addresses
            }
            Err(error) => match self.last_good.recall(host) {
                Some(addresses) => {
                    tracing::warn!(host, %error, "name service failed, using the last good addresses");
                    addresses
                }
                None => return Err(error),
            },
        };
        let permitted = self.permitted(host, addresses);
        if permitted.is_empty() {
            return Err(Error::Refused { host: host.into() });
        }
        Ok(permitted)
    }

    /// Of `addresses` those that may be called. A name with public and private answers keeps the public.
    fn permitted(&self, host: &str, mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let free = self.policy == AddressPolicy::Any
            || self.allowed.allows_name(host)
            || self
                .proxies
                .iter()
                .any(|proxy| proxy.eq_ignore_ascii_case(host));
        if !free {
            addresses.retain(|address| self.allowed.allows_address(*address));
        }
        addresses
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let fail = |reason: String| Error::Dns {
            host: host.into(),
            reason: reason.into(),
        };
        let addresses: Vec<IpAddr> = match &self.names {
            Names::Table(table) => {
                let table = table.read().unwrap_or_else(PoisonError::into_inner);
                table.get(host).cloned().unwrap_or_default()
            }
            Names::System => tokio::time::timeout(self.deadline, system(host))
                .await
                .map_err(|_| fail("no answer in time".to_owned()))?
                .map_err(|error| fail(error.to_string()))?,
        };
        if addresses.is_empty() {
            return Err(fail("no such name".to_owned()));
        }
        Ok(addresses)
    }
}

async fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = Self::resolve(&resolver, &name.as_str().to_ascii_lowercase()).await?;
            // Port 0 is replaced by the URL's.
            let addresses = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use super::*;

    fn resolver(
        policy: AddressPolicy,
        table: &Arc<RwLock<HashMap<String, Vec<IpAddr>>>>,
    ) -> Resolver {
        let allowed = vec![".lan".parse().unwrap(), "10.1.0.0/16".parse().unwrap()];
        Resolver {
            policy,
            allowed: Arc::new(AllowedHosts::new(allowed)),
            proxies: Arc::new(["proxy.corp".to_owned()]),
            last_good: Arc::default(),
            names: Names::Table(Arc::clone(table)),
            deadline: Duration::from_secs(1),
        }
    }

    fn table(rows: &[(&str, &[&str])]) -> Arc<RwLock<HashMap<String, Vec<IpAddr>>>> {
        let row = |&(name, addresses): &(&str, &[&str])| {
            let addresses = addresses.iter().map(|text| text.parse().unwrap());
            (name.to_owned(), addresses.collect())
        };
        Arc::new(RwLock::new(rows.iter().map(row).collect()))
    }

    fn texts(addresses: Result<Vec<IpAddr>, Error>) -> Vec<String> {
        addresses.unwrap().iter().map(ToString::to_string).collect()
    }

    /// UP-04: resolved address, multi-answer DNS, names and networks that the operator allowed.
    #[tokio::test]
    async fn only_permitted_addresses_are_handed_on() {
        let table = table(&[
            ("mixed.test", &["127.0.0.1", "8.8.8.8", "::1"]),
            ("inside.test", &["10.0.0.1", "169.254.169.254"]),
            ("site.test", &["10.1.2.3", "10.2.2.3"]),
            ("nas.lan", &["192.168.1.2"]),
            ("proxy.corp", &["10.9.9.9"]),
        ]);
        let guarded = resolver(AddressPolicy::PublicOrAllowed, &table);
        assert_eq!(texts(guarded.resolve("mixed.test").await), ["8.8.8.8"]);
        assert_eq!(texts(guarded.resolve("site.test").await), ["10.1.2.3"]);
        assert_eq!(texts(guarded.resolve("nas.lan").await), ["192.168.1.2"]);
        assert_eq!(texts(guarded.resolve("proxy.corp").await), ["10.9.9.9"]);
        let refused = guarded.resolve("inside.test").await;
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
        let open = resolver(AddressPolicy::Any, &table);
        assert_eq!(open.resolve("inside.test").await.unwrap().len(), 2);
    }

    /// UP-04: an answer that changes is judged anew each time. CA-16: a lost name keeps its addresses.
    #[tokio::test]
    async fn rebinding_is_refused_and_a_lost_name_remembered() {
        let names = table(&[("a.test", &["8.8.8.8"])]);
        let guarded = resolver(AddressPolicy::PublicOrAllowed, &names);
        assert_eq!(texts(guarded.resolve("a.test").await), ["8.8.8.8"]);
        names.write().unwrap().clear();
        assert_eq!(texts(guarded.resolve("a.test").await), ["8.8.8.8"]);
        let rebound = vec!["127.0.0.1".parse().unwrap()];
        names.write().unwrap().insert("a.test".to_owned(), rebound);
        assert!(matches!(
            guarded.resolve("a.test").await,
            Err(Error::Refused { .. })
        ));
        assert!(matches!(
            guarded.resolve("b.test").await,
            Err(Error::Dns { .. })
        ));
    }
}
