//! cosign signs what is in the registry and verifies it, with a key and without a transparency log.

use entrepot::oci::Digest;

use crate::harness::clients::cli::Cli;
use crate::harness::clients::source::Source;
use crate::harness::clients::{Client, require};
use crate::harness::images::{Dialect, Image};
use crate::harness::pushable::{Pushable, REFUSAL, Wish};

/// No log of anyone is told or asked; the registry speaks plain HTTP.
const SIGN: &str = "sign --yes --tlog-upload=false --allow-http-registry";
const VERIFY: &str = "verify --insecure-ignore-tlog=true --allow-http-registry";

/// A registry with an image in it, and its name by digest.
struct Stage {
    site: Pushable,
    digest: Digest,
    image: String,
    cosign: Cli,
}

impl Stage {
    async fn set() -> Option<Self> {
        let [cosign, skopeo] = require([Client::Cosign, Client::Skopeo])?;
        let site = Pushable::start(Wish::WITH_LOGIN).await;
        let source = Image::for_this_machine("signed", Dialect::Oci, &[10_000]);
        let source = Source::image(&source);
        let skopeo = Cli::new(Client::Skopeo, &skopeo);
        skopeo.logs_in(&site).await;
        source.write_layout(&skopeo.path("image"), "v1");
        let app = site.repository("app");
        let copy = "copy --dest-tls-verify=false oci:image:v1";
        skopeo.does(format!("{copy} docker://{app}:v1")).await;
        // Keys are kept under a password, which may be empty.
        let cosign = Cli::new(Client::Cosign, &cosign).with("COSIGN_PASSWORD", "");
        cosign.does("generate-key-pair").await;
        Some(Self {
            image: format!("{app}@{}", source.digest()),
            digest: source.digest(),
            site,
            cosign,
        })
    }

    /// The tag under which signatures of the image are kept where there are no referrers.
    fn signature_tag(&self) -> String {
        format!("sha256-{}.sig", self.digest.hex())
    }

    /// The image is signed with the key at hand; with another key it is not.
    async fn is_verified(&self, mode: &str) {
        let image = &self.image;
        let verify = format!("{VERIFY} {mode}");
        let said = self
            .cosign
            .does(format!("{verify} --key cosign.pub {image}"));
        let said = said.await.stdout;
        assert!(said.contains(&self.digest.to_string()), "{said}");
        let other = "generate-key-pair --output-key-prefix other";
        self.cosign.does(other).await;
        let said = self
            .cosign
            .fails_to(format!("{verify} --key other.pub {image}"));
        let said = said.await;
        // The second is what it says of signatures that refer to the image.
        let refusals = ["invalid signature", "no signatures found"];
        assert!(refusals.iter().any(|r| said.contains(r)), "{said}");
    }
}

/// SC-199.
#[tokio::test]
async fn cosign_signs_under_a_tag_and_verifies() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.cosign.logs_in(&stage.site).await;
    let sign = format!("{SIGN} --key cosign.key {}", stage.image);
    stage.cosign.does(sign).await;
    assert_eq!(
        stage.site.tags("app").await,
        [stage.signature_tag(), "v1".to_owned()]
    );
    stage.is_verified("").await;
}

/// SC-199, in the form of OCI 1.1: the signature refers to the image, and no tag tells of it.
#[tokio::test]
async fn cosign_signs_as_a_referrer_and_verifies() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    stage.cosign = stage.cosign.with("COSIGN_EXPERIMENTAL", "1");
    stage.cosign.logs_in(&stage.site).await;
    let mode = "--registry-referrers-mode=oci-1-1";
    let sign = format!("{SIGN} {mode} --key cosign.key {}", stage.image);
    stage.cosign.does(sign).await;
    let tags = stage.site.tags("app").await;
    assert!(!tags.contains(&stage.signature_tag()), "{tags:?}");
    assert_eq!(tags, ["v1"], "nor a list of referrers under a tag");
    stage.is_verified("--experimental-oci11=true").await;
}

/// SC-200: without login the registry says why not, and the login of another client is enough.
#[tokio::test]
async fn cosign_without_login_is_refused_and_an_authfile_of_podman_cures_it() {
    let Some([podman]) = require([Client::Podman]) else {
        return;
    };
    let Some(stage) = Stage::set().await else {
        return;
    };
    let sign = format!("{SIGN} --key cosign.key {}", stage.image);
    let said = stage.cosign.fails_to(&sign).await;
    assert!(
        said.contains("UNAUTHORIZED") && said.contains(REFUSAL),
        "{said}"
    );

    let podman = Cli::new(Client::Podman, &podman);
    let (login, address) = (stage.site.login(), stage.site.address);
    let (user, password) = (&login.user, &login.password);
    let remote = stage.site.repository("app");
    let pull = format!("pull --tls-verify=false {remote}:v1");
    let said = podman.fails_to(&pull).await;
    assert!(said.contains(REFUSAL), "{said}");
    podman
        .does(format!(
            "login --tls-verify=false --authfile auth.json --username {user} --password {password} {address}"
        ))
        .await;
    podman.does(format!("{pull} --authfile auth.json")).await;

    let authfile = String::from_utf8(podman.read("auth.json")).unwrap();
    stage.cosign.write("home/.docker/config.json", &authfile);
    stage.cosign.does(sign).await;
    stage.is_verified("").await;
}
