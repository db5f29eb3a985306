//! The lines that people copy: how Docker, Podman and containerd are pointed at this site.

use crate::model::UpstreamRule;

/// Where a client finds the site.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `registry.example` or `localhost:8080`.
    pub(super) host: String,
    pub(super) secure: bool,
}

impl Place {
    const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// An image that is known to be there, or a place to write one.
fn example(rule: &UpstreamRule) -> &'static str {
    let whole = rule.upstream.namespace.is_none();
    match rule.upstream.host.as_str() {
        "docker.io" if whole => "library/alpine",
        "quay.io" if whole => "podman/hello",
        "gcr.io" if whole => "distroless/static",
        "registry.k8s.io" if whole => "pause:3.10",
        "mcr.microsoft.com" if whole => "hello-world",
        "public.ecr.aws" if whole => "docker/library/alpine",
        _ => "NAME:TAG",
    }
}

/// `docker pull` through a cache.
pub(super) fn docker_pull(place: &Place, rule: &UpstreamRule) -> String {
    format!(
        "docker pull {}/{}/{}",
        place.host,
        rule.organization,
        example(rule)
    )
}

/// `podman pull` through a cache.
pub(super) fn podman_pull(place: &Place, rule: &UpstreamRule) -> String {
    let plain = if place.secure {
        ""
    } else {
        "--tls-verify=false "
    };
    format!(
        "podman pull {plain}{}/{}/{}",
        place.host,
        rule.organization,
        example(rule)
    )
}

/// `hosts.toml` of containerd: it sends `?ns=`, so one host serves every cache.
pub(super) fn containerd_hosts(place: &Place) -> String {
    format!(
        "[host.\"{}://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
        place.scheme(),
        place.host
    )
}

/// `daemon.json` of Docker for mirrors of docker.io.
pub(super) fn docker_mirrors(urls: &[&str]) -> String {
    serde_json::to_string_pretty(&serde_json::json!({ "registry-mirrors": urls }))
        .expect("texts are always JSON")
}

/// `registries.conf` of Podman, Buildah, Skopeo and CRI-O.
pub(super) fn podman_mirror(place: &Place, rule: &UpstreamRule) -> String {
    let insecure = if place.secure {
        ""
    } else {
        "insecure = true\n"
    };
    format!(
        "[[registry]]\nprefix = \"{0}\"\nlocation = \"{0}\"\n\n[[registry.mirror]]\nlocation = \"{1}/{2}\"\n{insecure}",
        rule.upstream, place.host, rule.organization
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(secure: bool) -> Place {
        Place {
            host: "localhost:8080".to_owned(),
            secure,
        }
    }

    #[test]
    fn plain_http_is_said_where_clients_must_be_told() {
        assert_eq!(
            containerd_hosts(&place(false)),
            "[host.\"http://localhost:8080\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        assert!(containerd_hosts(&place(true)).starts_with("[host.\"https://"));
    }

    #[test]
    fn mirrors_are_json_that_docker_reads() {
        let text = docker_mirrors(&["http://127.0.0.1:8081"]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["registry-mirrors"][0], "http://127.0.0.1:8081");
    }
}
