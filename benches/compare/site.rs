//! Where a comparison takes place: a temporary folder, the content, the upstream, what is installed.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::content::{Blob, Content, REPOSITORY, TAG};
use crate::failure::{Doing as _, Failure, Outcome};
use crate::load::verify;
use crate::options::Options;
use crate::servers::{Distribution, Nginx, Ours, Role, Server, Settings, Tuning};
use crate::tls::Identity;
use crate::upstream::Upstream;

/// Everything that the rows share.
pub(crate) struct Site {
    pub(crate) options: Options,
    pub(crate) content: Content,
    pub(crate) upstream: Upstream,
    pub(crate) identity: Identity,
    pub(crate) nginx: Option<Nginx>,
    pub(crate) distribution: Option<Distribution>,
    /// The fleet of the rows that need a warm one. Before `folder`: it ends before its files go.
    fleet: OnceCell<Fleet>,
    /// The data directory of the rows that need a full one.
    pub(crate) many: OnceCell<Ours>,
    folder: TempDir,
}

/// Servers that serve the same content, warm.
pub(crate) struct Fleet {
    pub(crate) ours: Server,
    /// Stock and tuned.
    pub(crate) nginx: Option<[Server; 2]>,
    pub(crate) distribution: Option<Server>,
}

/// A registry that takes pushes.
#[derive(Clone, Copy)]
pub(crate) enum Taker<'a> {
    Ours,
    Distribution(&'a Distribution),
}

impl Site {
    /// Makes the content and looks for what is installed.
    pub(crate) fn open(options: Options) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("entrepot-bench-").tempdir();
        let folder = folder.doing("make a temporary folder")?;
        let content = Content::make(folder.path().join("content"))?;
        Ok(Self {
            upstream: Upstream::start(&content)?,
            identity: Identity::make(folder.path())?,
            nginx: Nginx::find(),
            distribution: Distribution::find(),
            options,
            content,
            fleet: OnceCell::new(),
            many: OnceCell::new(),
            folder,
        })
    }

    /// What there is to compare with.
    pub(crate) fn installed(&self) -> String {
        let nginx = if self.nginx.is_some() {
            "nginx"
        } else {
            "no nginx"
        };
        let distribution = match &self.distribution {
            Some(_) => "docker-registry",
            None => "no docker-registry",
        };
        format!("{nginx}, {distribution}")
    }

    /// A folder for a server.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An entrepot in the folder `name`, in front of the upstream.
    pub(crate) async fn ours(&self, name: &str) -> Outcome<Server> {
        let settings = Settings::of(self.upstream.address());
        Ours::new(self.folder(name))?.start(&settings).await
    }

    /// The servers that most rows share.
    pub(crate) async fn fleet(&self) -> Outcome<&Fleet> {
        self.fleet
            .get_or_try_init(|| self.start_fleet("common"))
            .await
    }

    /// Who takes pushes: ours first, then docker-registry where it is installed.
    pub(crate) fn takers(&self) -> Vec<Taker<'_>> {
        let theirs = self.distribution.as_ref().map(Taker::Distribution);
        [Taker::Ours].into_iter().chain(theirs).collect()
    }

    /// One that takes pushes, empty, in the folder `name`.
    pub(crate) async fn start_taker(&self, taker: Taker<'_>, name: &str) -> Outcome<Server> {
        match taker {
            Taker::Ours => {
                let settings = Settings::local(self.upstream.address());
                Ours::new(self.folder(name))?.start(&settings).await
            }
            Taker::Distribution(program) => program.start(&self.folder(name), Role::Takes).await,
        }
    }

    /// All that take pushes, empty, for `what`.
    pub(crate) async fn start_takers(&self, what: &str) -> Outcome<Vec<Server>> {
        let mut servers = Vec::new();
        for (place, taker) in self.takers().into_iter().enumerate() {
            servers.push(self.start_taker(taker, &format!("{what}-{place}")).await?);
        }
        Ok(servers)
    }

    /// All servers, in plaintext, with folders of their own for `what`.
    pub(crate) async fn start_fleet(&self, what: &str) -> Outcome<Fleet> {
        let role = Role::Holds(&self.content);
        let distribution = match &self.distribution {
            Some(program) => Some(
                program
                    .start(&self.folder(&format!("{what}-distribution")), role)
                    .await?,
            ),
            None => None,
        };
        Ok(Fleet {
            ours: self.ours(&format!("{what}-ours")).await?,
            nginx: self.nginxes(what, None).await?,
            distribution,
        })
    }

    /// The same over TLS; docker-registry would add nothing there.
    pub(crate) async fn start_tls_fleet(&self, what: &str) -> Outcome<Fleet> {
        let what = &format!("{what}-tls");
        let settings = Settings {
            identity: Some(&self.identity),
            ..Settings::of(self.upstream.address())
        };
        Ok(Fleet {
            ours: Ours::new(self.folder(&format!("{what}-ours")))?
                .start(&settings)
                .await?,
            nginx: self.nginxes(what, Some(&self.identity)).await?,
            distribution: None,
        })
    }

    async fn nginxes(
        &self,
        what: &str,
        identity: Option<&Identity>,
    ) -> Outcome<Option<[Server; 2]>> {
        let Some(nginx) = &self.nginx else {
            return Ok(None);
        };
        let folder = |tuning: Tuning| self.folder(&format!("{what}-nginx-{tuning:?}"));
        let start = |tuning| nginx.start(tuning, folder(tuning), &self.content, identity);
        let stock = start(Tuning::Stock).await?;
        Ok(Some([stock, start(Tuning::Tuned).await?]))
    }

    /// How often the upstream has been asked for the manifest, in any way.
    pub(crate) fn manifests_asked(&self) -> u64 {
        let references = [TAG.to_owned(), self.content.manifest.digest.to_string()];
        let asked = references.map(|reference| {
            let asked = self
                .upstream
                .asked(&format!("/v2/image/manifests/{reference}"));
            asked.heads + asked.gets
        });
        asked.into_iter().sum()
    }

    /// How often the upstream has sent `blob` of the image.
    pub(crate) fn fetched(&self, blob: &Blob) -> u64 {
        self.upstream.asked(&blob.path("image")).gets
    }

    /// Checks that it was sent no more than once since it had been sent `before` times.
    pub(crate) fn check_fetched_once(&self, blob: &Blob, before: u64) -> Outcome<()> {
        let gets = self.fetched(blob) - before;
        if gets <= 1 {
            return Ok(());
        }
        let path = blob.path(REPOSITORY);
        Err(Failure::new(format!(
            "upstream was asked {gets} times for {path}"
        )))
    }
}

impl Fleet {
    /// Ours first, then nginx stock and tuned.
    pub(crate) fn quick_ones(&self) -> Vec<&Server> {
        std::iter::once(&self.ours)
            .chain(self.nginx.iter().flatten())
            .collect()
    }

    /// The same, and docker-registry last.
    pub(crate) fn all(&self) -> Vec<&Server> {
        let mut all = self.quick_ones();
        all.extend(&self.distribution);
        all
    }

    /// Lets every server serve `blob` at `path` twice and checks what comes: the first time fills a
    /// cache, the second is the hit that is measured.
    pub(crate) async fn warm(&self, path: &str, blob: &Blob) -> Outcome<()> {
        for server in self.all() {
            for _ in 0..2 {
                let checked = verify(&server.target, path, &blob.digest).await;
                checked.doing(server.name)?;
            }
        }
        Ok(())
    }
}
