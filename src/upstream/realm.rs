//! Which token endpoints may see an upstream's credentials (UP-01).
//!
//! An upstream names its realm freely, so a hostile one could collect the account we hold there. Credentials
//! follow only to the same host or the same site: equal registrable domains, told apart by a short list of
//! suffixes under which anyone may have a name. Where the list lacks one, names there count as one site;
//! where in doubt a longer domain is taken, so the error is on the safe side for the hosts that matter here.

use url::{Host, Url};

/// Suffixes of more than one label below which names belong to different people.
const SHARED_SUFFIXES: [&str; 44] = [
    "co.uk",
    "org.uk",
    "ac.uk",
    "gov.uk",
    "com.au",
    "net.au",
    "org.au",
    "co.nz",
    "co.jp",
    "ne.jp",
    "or.jp",
    "co.kr",
    "com.cn",
    "net.cn",
    "org.cn",
    "com.br",
    "com.tr",
    "com.mx",
    "com.sg",
    "com.hk",
    "com.tw",
    "co.in",
    "co.za",
    "com.ua",
    "com.pl",
    // Hosting, where each customer has a name of his own.
    "azurecr.io",
    "azurewebsites.net",
    "windows.net",
    "azurefd.net",
    "amazonaws.com",
    "cloudfront.net",
    "aliyuncs.com",
    "pkg.dev",
    "run.app",
    "appspot.com",
    "github.io",
    "gitlab.io",
    "herokuapp.com",
    "jfrog.io",
    "workers.dev",
    "pages.dev",
    "fly.dev",
    "vercel.app",
    "ngrok.io",
];

/// Whether credentials for `registry` may be sent to the token endpoint `realm`.
pub(super) fn may_see_credentials(registry: &Url, realm: &Url) -> bool {
    let (Some(registry), Some(realm)) = (registry.host(), realm.host()) else {
        return false;
    };
    match (registry, realm) {
        (Host::Domain(registry), Host::Domain(realm)) => is_same_site(registry, realm),
        (registry, realm) => registry == realm,
    }
}

fn is_same_site(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('.'), b.trim_end_matches('.'));
    a == b || site(a).is_some_and(|site_of_a| site(b) == Some(site_of_a))
}

/// The registrable domain of a host, if it has one: the last two labels, or one more than a shared suffix.
fn site(host: &str) -> Option<&str> {
    let labels = |count: usize| {
        let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
        match dots.nth(count - 1) {
            Some(dot) => Some(&host[dot + 1..]),
            None => (host.split('.').count() == count).then_some(host),
        }
    };
    let two = labels(2)?;
    if SHARED_SUFFIXES.contains(&two) {
        labels(3)
    } else {
        Some(two)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(registry: &str, realm: &str) -> bool {
        may_see_credentials(&Url::parse(registry).unwrap(), &Url::parse(realm).unwrap())
    }

    /// UP-01: the token endpoints that real registries name.
    #[test]
    fn real_realms_are_of_the_same_site() {
        for (registry, realm) in [
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io/token",
            ),
            ("https://quay.io", "https://quay.io/v2/auth"),
            ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("https://nvcr.io", "https://nvcr.io/proxy_auth"),
            (
                "https://team.azurecr.io",
                "https://team.azurecr.io/oauth2/token",
            ),
            (
                "https://europe-docker.pkg.dev",
                "https://europe-docker.pkg.dev/v2/token",
            ),
            (
                "https://registry.cn-x.aliyuncs.com",
                "https://dockerauth.cn-x.aliyuncs.com/auth",
            ),
            ("https://r.example.co.uk", "https://auth.example.co.uk/t"),
            (
                "https://registry.lan:5000",
                "https://registry.lan:5001/auth",
            ),
            ("http://localhost:5000", "http://localhost:5001/auth"),
            ("https://10.0.0.1", "https://10.0.0.1:8443/auth"),
        ] {
            assert!(may(registry, realm), "{registry} {realm}");
        }
    }

    /// UP-01: everywhere else gets nothing.
    #[test]
    fn realms_of_others_see_nothing() {
        for (registry, realm) in [
            (
                "https://registry-1.docker.io",
                "https://docker.io.evil.test/token",
            ),
            (
                "https://registry-1.docker.io",
                "https://evildocker.io/token",
            ),
            (
                "https://victim.azurecr.io",
                "https://evil.azurecr.io/oauth2/token",
            ),
            ("https://victim.jfrog.io", "https://jfrog.io/token"),
            ("https://a.example.co.uk", "https://b.other.co.uk/t"),
            ("https://example.co.uk", "https://co.uk/t"),
            ("https://registry.lan", "https://lan/t"),
            ("https://10.0.0.1", "https://11.0.0.1/t"),
            ("https://10.0.0.1", "https://x.0.0.1.test/t"),
            ("http://localhost", "http://127.0.0.1/t"),
            ("https://nvcr.io", "https://authn.nvidia.com/token"),
            ("https://one", "https://two/t"),
        ] {
            assert!(!may(registry, realm), "{registry} {realm}");
        }
    }
}
