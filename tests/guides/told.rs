//! The stories of the pages, and what each takes for granted.

use super::story::Story;
use crate::harness::clients::Client;

/// The token of a superuser in `TOKEN`, as docs/people.md comes by it.
const TOKEN: &str = r#"
curl -fsS -X POST http://localhost:8080/api/v1/user/initialize -H 'Content-Type: application/json' \
    -d '{"username": "root", "password": "correct-horse", "email": "root@example.org", "access_token": true}' > root.json
TOKEN=$(sed 's/.*"access_token": *"\([^"]*\)".*/\1/' root.json)
"#;

const INITIALIZE: &str = "FEATURE_USER_INITIALIZE: true\n";

/// An image that was pushed.
const PUSHED: &str = "entrepot import image.tar --into local/app --receipt pushed.json\n";

/// Registries by their own names are asked of the page's server, and of nobody else.
const QUAY_IS_HERE: &str = r#"
mkdir -p ~/.config/containers/registries.conf.d
cat >~/.config/containers/registries.conf.d/quay.conf <<'END'
[[registry]]
location = "quay.io"
[[registry.mirror]]
location = "localhost:8080/quay.io"
insecure = true
END
"#;

#[tokio::test]
async fn the_readme() {
    Story::of("README.md")
        .with(&[Client::Podman])
        .after("podman tag \"$(podman pull -q oci-archive:image.tar)\" my-app\n")
        .told()
        .await;
}

#[tokio::test]
async fn installing() {
    Story::of("docs/install.md").told().await;
}

#[tokio::test]
async fn building() {
    Story::of("docs/building.md").told().await;
}

#[tokio::test]
async fn clients() {
    let clients = [
        Client::Podman,
        Client::Buildah,
        Client::Skopeo,
        Client::Crane,
        Client::Oras,
        Client::Regctl,
    ];
    Story::of("docs/clients.md").with(&clients).told().await;
}

#[tokio::test]
async fn the_local_registry() {
    let clients = [
        Client::Docker,
        Client::Podman,
        Client::Skopeo,
        Client::Crane,
        Client::Oras,
        Client::Helm,
        Client::Cosign,
        Client::Regctl,
    ];
    let before = "podman tag \"$(podman pull -q oci-archive:image.tar)\" my-app\n\
                  tar -cf layer.tar notes.txt\n\
                  helm create chart && helm package chart\n\
                  export COSIGN_PASSWORD=\n";
    Story::of("docs/registry.md")
        .with(&clients)
        .after(before)
        .told()
        .await;
}

#[tokio::test]
async fn people() {
    // A password of eight letters and more, as `htpasswd -B` writes it.
    let before = r"
printf '%s\n' 'bob:$2b$04$ToX43I1H9RaMF3U8z9KXwuuYZtwZ7.V6kTHq5kdxSOA3mkh6XG2bK' > users.htpasswd
";
    Story::of("docs/people.md")
        .configured(INITIALIZE)
        .after(before)
        .told()
        .await;
}

#[tokio::test]
async fn mirroring() {
    Story::of("docs/mirroring.md")
        .configured(INITIALIZE)
        .after(TOKEN)
        .told()
        .await;
}

#[tokio::test]
async fn quotas() {
    Story::of("docs/quota.md")
        .configured(INITIALIZE)
        .after(TOKEN)
        .after("entrepot organization create acme --owner root\n")
        .told()
        .await;
}

/// The runs that the server makes by itself are a day away.
#[tokio::test]
async fn pruning() {
    let pushes = r"
entrepot organization create acme --owner root
for tag in dev-1 dev-2 dev-3; do
    skopeo copy -q --dest-tls-verify=false --dest-creds root:correct-horse \
        oci-archive:image.tar docker://localhost:8080/acme/app:$tag
done
";
    Story::of("docs/pruning.md")
        .with(&[Client::Skopeo])
        .configured(INITIALIZE)
        .configured("AUTO_PRUNING_POLL_PERIOD: 86400\n")
        .after(TOKEN)
        .after(pushes)
        .told()
        .await;
}

#[tokio::test]
async fn the_air_gap() {
    let before = r#"
printf 'alpine:3.20\n' | entrepot warm -
entrepot import image.tar --into acme/app --receipt pushed.json
cat >deployment.yaml <<'END'
kind: Deployment
apiVersion: apps/v1
spec:
  template:
    spec:
      containers: [{name: app, image: "quay.io/org/app:v1"}]
END
"#;
    Story::of("docs/air-gap.md")
        .with(&[Client::Skopeo])
        .configured("ANONYMOUS_PUSH: [scratch]\n")
        .after(QUAY_IS_HERE)
        .after(before)
        .told()
        .await;
}

#[tokio::test]
async fn operating() {
    Story::of("docs/operating.md")
        .after("printf 'alpine:3.20\\nalpine:edge\\n' | entrepot warm -\n")
        .after(PUSHED)
        .told()
        .await;
}

#[tokio::test]
async fn monitoring() {
    Story::of("docs/monitoring.md").told().await;
}

#[tokio::test]
async fn security() {
    Story::of("docs/security.md").told().await;
}

#[tokio::test]
async fn backups() {
    Story::of("docs/backup.md").after(PUSHED).told().await;
}

#[tokio::test]
async fn upgrading() {
    Story::of("docs/upgrading.md").after(PUSHED).told().await;
}

#[tokio::test]
async fn troubleshooting() {
    Story::of("docs/troubleshooting.md")
        .after(PUSHED)
        .told()
        .await;
}
