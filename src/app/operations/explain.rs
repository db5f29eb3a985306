//! `entrepot explain`: how a pull would be answered. Nothing is asked upstream, nothing fetched, no use noted.

use std::collections::HashMap;

use super::look_message::{Belongs, BlobRow, BlobState, ExplainRow, Pullers, RuleRow, StandingRow};
use super::message::Row;
use super::{Failure, Report, Target};
use crate::app::assemble::Services;
use crate::auth::{self, Identity};
use crate::model::{NamespaceKind, RepositoryId, RepositoryRecord, RepositoryState, Unit};
use crate::oci::{Digest, Reference, RepositoryName};
use crate::proxy::{Course, Foreseen, GivenBy, Origin, Route, Source};
use crate::registry::{Anatomy, HotTag};

/// Tells how a pull of `target` would be answered.
pub(super) async fn explain(
    services: &Services,
    target: &Target,
    report: &Report,
) -> Result<String, Failure> {
    let Some(repository) = &target.repository else {
        let reason = format!("{target} names no repository; say {target}/NAME:TAG");
        return Err(Failure::Refused(reason));
    };
    let mut asked = target.clone();
    if asked.tag.is_none() && asked.digest.is_none() {
        // What every client puts there.
        asked.tag = "latest".parse().ok();
    }
    let name = format!("{}/{repository}", target.organization);
    let name = name
        .parse::<RepositoryName>()
        .map_err(|error| Failure::Refused(format!("{name} is no name of a repository: {error}")))?;
    let row = match services.proxy.route(&Origin::default(), &name).await? {
        Route::Source(source) => of_source(services, asked, &source).await?,
        Route::UnknownNamespace(_) | Route::NoNamespace | Route::Unserved => {
            unknown(services, asked)
        }
    };
    report.row(Row::Explain(Box::new(row))).await?;
    Ok(String::new())
}

/// A name that leads nowhere.
fn unknown(services: &Services, reference: Target) -> ExplainRow {
    let answer = format!(
        "no organisation is called {}: a client that shows an account is told 404, any other is asked for one \
         as soon as there are users",
        reference.organization
    );
    ExplainRow {
        answer,
        pullers: match services.accounts.has_users() {
            true => Pullers::Accounts,
            false => Pullers::NobodyYet,
        },
        ..bare(reference, Belongs::Unknown)
    }
}

fn bare(reference: Target, belongs: Belongs) -> ExplainRow {
    ExplainRow {
        digest: reference.digest,
        reference,
        belongs,
        repository: None,
        repository_exists: false,
        rule: None,
        course: Course::Absent,
        answer: String::new(),
        pullers: Pullers::Accounts,
        since: None,
        validated: None,
        age_s: None,
        fresh_for_s: None,
        expired: false,
        expires: None,
        pinned: false,
        immutable: false,
        last_used: None,
        manifests: Vec::new(),
        blobs: Vec::new(),
        complete: true,
        held_bytes: 0,
        size_bytes: 0,
        alone_bytes: 0,
        shared_with: Vec::new(),
        upstream: None,
    }
}

async fn of_source(
    services: &Services,
    asked: Target,
    source: &Source,
) -> Result<ExplainRow, Failure> {
    let registry = &services.registry;
    let id = registry
        .repository(source.organization_id(), source.name())
        .await?;
    let record = match id {
        Some(id) => registry.repository_record(id).await?,
        None => None,
    };
    let repository = id.zip(record.as_deref());
    let held = Held::find(services, &asked, source, id).await?;
    let reference = match (&asked.digest, &asked.tag) {
        (Some(digest), _) => Reference::Digest(*digest),
        (None, Some(tag)) => Reference::Tag(tag.clone()),
        (None, None) => return Err(Failure::refused("the reference has neither tag nor digest")),
    };
    let validated = held.tag.as_ref().map(|tag| tag.validated());
    let foreseen = services
        .proxy
        .foresee(source, &reference, (validated, held.is_here()));
    let pullers = pullers(services, source, repository).await?;
    let mut row = bare(asked, belongs(source, record.as_deref()));
    row.repository = Some(source.name().clone());
    row.repository_exists = repository.is_some();
    row.rule = rule(source);
    row.pullers = pullers;
    row.answer = words(source, &foreseen, &held);
    row.course = foreseen.course;
    row.fresh_for_s = foreseen.fresh_for.map(|left| left.as_secs());
    row.expired = foreseen.expired;
    row.upstream = foreseen.upstream.map(StandingRow::from);
    held.describe(services, source, &mut row);
    held.parts(services, &mut row).await?;
    Ok(row)
}

/// What is here of what was asked for.
#[derive(Default)]
struct Held {
    tag: Option<std::sync::Arc<HotTag>>,
    digest: Option<Digest>,
    anatomy: Anatomy,
}

impl Held {
    async fn find(
        services: &Services,
        asked: &Target,
        source: &Source,
        repository: Option<RepositoryId>,
    ) -> Result<Self, Failure> {
        let registry = &services.registry;
        let Some(repository) = repository else {
            return Ok(Self {
                digest: asked.digest,
                ..Self::default()
            });
        };
        // A digest beside the tag is what clients pull.
        let tag = match (&asked.tag, asked.digest) {
            (Some(tag), None) => registry.lookup_tag(repository, tag).await?,
            _ => None,
        };
        let digest = tag.as_ref().map(|tag| tag.record.digest).or(asked.digest);
        let anatomy = match digest {
            Some(digest) => {
                let unit = Unit {
                    namespace: source.organization_id(),
                    repository,
                    digest,
                };
                registry.anatomy(unit).await?
            }
            None => Anatomy::default(),
        };
        Ok(Self {
            tag,
            digest,
            anatomy,
        })
    }

    /// Whether the manifest itself is here.
    fn is_here(&self) -> bool {
        self.anatomy.manifests.first().is_some_and(|part| part.held)
    }

    /// Blobs that are not here whole.
    fn lacking(&self) -> usize {
        self.anatomy.blobs.iter().filter(|blob| !blob.held).count()
    }

    fn describe(&self, services: &Services, source: &Source, row: &mut ExplainRow) {
        row.digest = self.digest;
        row.last_used = self.anatomy.last_used;
        let Some(tag) = &self.tag else { return };
        row.since = Some(tag.record.since);
        row.expires = tag.record.expires;
        row.pinned = tag.record.pinned;
        row.immutable = tag.record.immutable;
        if source.is_cache() {
            let validated = tag.validated();
            row.validated = Some(validated);
            row.age_s = Some(services.clock.now().since(validated).as_secs());
        }
    }

    async fn parts(self, services: &Services, row: &mut ExplainRow) -> Result<(), Failure> {
        let partials = services.registry.blobs().partials().await;
        let arrived: HashMap<Digest, u64> = partials
            .map_err(crate::registry::Error::from)?
            .into_iter()
            .chain(
                services
                    .proxy
                    .fillings()
                    .into_iter()
                    .map(|it| (it.digest, it.arrived_bytes)),
            )
            .collect();
        let anatomy = self.anatomy;
        let documents = anatomy.manifests.iter().filter_map(|part| part.size_bytes);
        let documents: u64 = documents.sum();
        row.blobs = anatomy
            .blobs
            .into_iter()
            .map(|blob| {
                let arrived = arrived.get(&blob.digest).copied().unwrap_or(0);
                let (state, held_bytes) = match (blob.held, arrived) {
                    (true, _) => (BlobState::Held, blob.size_bytes),
                    (false, 0) => (BlobState::Missing, 0),
                    (false, arrived) => (BlobState::Partial, arrived),
                };
                BlobRow {
                    digest: blob.digest,
                    size_bytes: blob.size_bytes,
                    state,
                    held_bytes,
                    shared: blob.shared,
                }
            })
            .collect();
        row.held_bytes = documents + row.blobs.iter().map(|blob| blob.held_bytes).sum::<u64>();
        row.size_bytes = documents + row.blobs.iter().map(|blob| blob.size_bytes).sum::<u64>();
        row.manifests = anatomy.manifests;
        row.complete = anatomy.complete;
        row.alone_bytes = anatomy.alone_bytes;
        row.shared_with = anatomy.shared_with;
        Ok(())
    }
}

fn belongs(source: &Source, record: Option<&RepositoryRecord>) -> Belongs {
    let state = record.map(|record| record.state);
    match source.cache().map(|cache| cache.given) {
        Some(GivenBy::Configuration) => Belongs::ConfiguredCache,
        Some(GivenBy::Api) => Belongs::ApiCache,
        None if source.kind() == NamespaceKind::Cache || !source.is_local() => Belongs::FormerCache,
        None if matches!(
            state,
            Some(RepositoryState::Mirror | RepositoryState::OrgMirror)
        ) =>
        {
            Belongs::Mirrored
        }
        None => Belongs::Local,
    }
}

fn rule(source: &Source) -> Option<RuleRow> {
    let rule = &source.cache()?.rule;
    Some(RuleRow {
        upstream: rule.upstream.to_string(),
        endpoint: rule.endpoint.as_ref().map(ToString::to_string),
        remote_name: rule.upstream.remote_name(source.name()).ok(),
        with_account: rule.credentials.is_some(),
        fresh_s: rule.fresh.as_secs(),
        expiration_s: rule.expiration.map(|expiration| expiration.as_secs()),
        strict_expiration: rule.strict_expiration,
    })
}

/// As the doors of `/v2/` decide it for who shows no account.
async fn pullers(
    services: &Services,
    source: &Source,
    repository: Option<(RepositoryId, &RepositoryRecord)>,
) -> Result<Pullers, Failure> {
    let target = auth::Target {
        namespace: source.organization_id(),
        kind: source.kind(),
        anonymous_pull: source.is_public(),
        repository: repository.map(|(id, record)| (id, record.visibility, record.state)),
        fetched: !source.is_local(),
    };
    let open = !source.is_local() && source.is_public() && services.auth.admits_anonymous();
    let allowed = services.auth.rights(&Identity::Anonymous, &target).await;
    let allowed = allowed.map_err(|error| Failure::Refused(error.to_string()))?;
    Ok(
        match (open || allowed.pull, services.accounts.has_users()) {
            (true, _) => Pullers::Everyone,
            (false, true) => Pullers::Accounts,
            (false, false) => Pullers::NobodyYet,
        },
    )
}

fn words(source: &Source, foreseen: &Foreseen, held: &Held) -> String {
    let upstream = source.cache().map(|cache| cache.rule.upstream.to_string());
    let upstream = upstream.unwrap_or_default();
    let is_out = foreseen
        .upstream
        .is_some_and(|standing| standing.shunned_for.is_some() || standing.limited_for.is_some());
    let manifest = match foreseen.course {
        Course::Held => "the manifest is served from what is held; nobody is asked".to_owned(),
        Course::Checked if is_out => {
            format!(
                "the manifest is served from what is held, unconfirmed: {upstream} is not asked now"
            )
        }
        Course::Checked => format!(
            "{upstream} is asked whether the tag still points there; if it does not answer in time, what is \
             held is served"
        ),
        Course::CheckedStrictly => format!(
            "{upstream} has to confirm the tag, because strict_expiration is set; without its answer the pull \
             fails"
        ),
        Course::Fetched if is_out => {
            format!("the pull fails: it is not here, and {upstream} is not asked now")
        }
        Course::Fetched => format!("it is not here; {upstream} is asked, and what it has is kept"),
        Course::KnownAbsent => {
            format!("404: {upstream} said a moment ago that it has no such thing")
        }
        Course::NotAsked => {
            "404: it is not here, and no upstream may be asked (OFFLINE, FEATURE_PROXY_CACHE)"
                .to_owned()
        }
        Course::Absent => "404: it is not here, and there is no upstream to ask".to_owned(),
    };
    match (held.is_here(), held.lacking(), source.is_cache()) {
        (false, _, _) | (true, 0, _) => manifest,
        (true, lacking, true) => format!("{manifest}; {lacking} blobs are fetched when asked for"),
        (true, lacking, false) => format!("{manifest}; {lacking} blobs are not here"),
    }
}
