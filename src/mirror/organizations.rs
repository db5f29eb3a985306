//! Organisations that are mirrors as a whole: told, made, changed, unmade.
//!
//! Called by the doors of `api`, which have decided that the caller rules the organisation. What is found at the
//! source is made here by the looks at it (`discovery`); this file only decides. Such an organisation holds nothing
//! else: no repositories of its own, no cache, no policies that would keep tags from moving.

use serde_json::json;

use super::asked::check_proxy;
use super::fault::OrgSettingsError;
use super::requests::sync_now;
use super::settings::begin_at;
use super::state::cancelled;
use super::{Error, Half, Mirror, Whose};
use crate::model::{
    LogEntry, LogKind, MirrorSource, MirrorStatus, NamespaceId, NamespaceKind, NamespaceRecord,
    OrgMirrorKind, OrgMirrorRecord, Performer, PolicyScope, RobotId, RobotName, Sealed, Secret,
    SyncState, Timestamp, Visibility, check_mirror_account, check_mirror_globs,
};
use crate::store::{ReadTx, WriteTx};

/// Longest URL, and longest namespace at the source (Quay).
const URL_BYTES: usize = 2_048;
const NAMESPACE_BYTES: usize = 255;

/// What somebody wants of an organisation. `None`: as it is, or by default; an inner `None`: nothing.
#[derive(Clone, Debug, Default)]
pub struct OrgMirrorWish {
    pub enabled: Option<bool>,
    pub kind: Option<OrgMirrorKind>,
    pub url: Option<String>,
    pub namespace: Option<String>,
    pub username: Option<Option<Secret>>,
    pub password: Option<Option<Secret>>,
    pub verify_tls: Option<bool>,
    pub http_proxy: Option<Option<String>>,
    pub https_proxy: Option<Option<String>>,
    pub no_proxy: Option<Option<String>>,
    pub repositories: Option<Vec<String>>,
    pub visibility: Option<Visibility>,
    pub start: Option<Timestamp>,
    pub interval_s: Option<u64>,
    pub robot: Option<RobotName>,
    pub deadline_s: Option<u64>,
    /// What was given, by the names of the API, for the usage log.
    pub given: Vec<String>,
}

/// An organisation that is a mirror, as it is shown.
#[derive(Clone, Debug)]
pub struct OrgMirrorShown {
    pub record: OrgMirrorRecord,
    pub status: MirrorStatus,
    pub username: Option<String>,
    /// `None` if it was deleted.
    pub robot: Option<RobotName>,
}

/// Quay's default.
const DEADLINE_S: u64 = 300;

/// A wish that is right in itself, its secrets sealed.
#[derive(Clone)]
struct Asked {
    wish: OrgMirrorWish,
    username: Option<Option<Sealed>>,
    password: Option<Option<Sealed>>,
}

/// An organisation inside a transaction.
struct Place {
    id: NamespaceId,
    record: NamespaceRecord,
}

impl Place {
    fn of(tx: &ReadTx, id: NamespaceId) -> Result<Self, OrgSettingsError> {
        let record = tx.namespaces().record(id)?;
        let record = record.filter(|record| record.deleted.is_none());
        let record = record.ok_or(OrgSettingsError::Absent)?;
        Ok(Self { id, record })
    }

    fn line(&self, kind: LogKind, at: Timestamp, by: &Performer) -> LogEntry {
        let told = json!({"namespace": self.record.name});
        LogEntry::new(kind, at, by).within(self.id).with(told)
    }
}

impl Mirror {
    /// What was decided of an organisation, and how it stands; `None` if it is no mirror.
    ///
    /// # Errors
    /// The store's.
    pub async fn organization_shown(
        &self,
        namespace: NamespaceId,
    ) -> Result<Option<OrgMirrorShown>, Error> {
        let found = self.store().read(|tx| {
            let (Some(record), Some(status)) = (
                tx.mirrors().of_organization(namespace)?,
                tx.mirrors().discovery(namespace)?,
            ) else {
                return Ok(None);
            };
            let robot = match record.robot {
                Some(robot) => tx.robots().record(robot)?.map(|robot| robot.name),
                None => None,
            };
            Ok::<_, Error>(Some((record, status, robot)))
        });
        let found = found.await?;
        Ok(found.map(|(record, status, robot)| OrgMirrorShown {
            username: self.shown_username(Whose::Organization(namespace), &record.source),
            record,
            status,
            robot,
        }))
    }

    /// Has an organisation be a mirror, from the answer on.
    ///
    /// # Errors
    /// [`OrgSettingsError`].
    pub async fn create_organization_mirror(
        &self,
        namespace: NamespaceId,
        wish: OrgMirrorWish,
        by: &Performer,
    ) -> Result<(), OrgSettingsError> {
        let asked = self.asked_of_organization(namespace, wish)?;
        let now = self.now();
        let mut wanted = new_record(now);
        asked.apply(&mut wanted);
        self.judge_registry(&wanted.source).await?;
        let (mirror, by) = (self.clone(), by.clone());
        let create = move |tx: &mut WriteTx<'_>| {
            let place = Place::of(tx, namespace)?;
            let robot = asked.wish.robot.as_ref();
            let robot = robot.ok_or_else(|| OrgSettingsError::InvalidRobot(String::new()))?;
            let record = OrgMirrorRecord {
                robot: Some(robot_of(tx, &place, robot)?),
                ..wanted.clone()
            };
            check_empty(tx, &place)?;
            tx.mirrors().put_organization(namespace, &record)?;
            let status = MirrorStatus::new(Some(asked.wish.start.unwrap_or(now)));
            tx.mirrors().put_discovery(namespace, &status)?;
            let told = json!({
                "external_registry_type": kind_name(record.kind),
                "external_registry_url": record.source.reference,
                "external_namespace": record.namespace,
                "sync_interval": record.interval_s,
                "robot_username": robot,
            });
            let line = place.line(LogKind::OrgMirrorEnabled, now, &by).with(told);
            tx.logs().append(&line)?;
            let mirror = mirror.clone();
            tx.after_commit(move || mirror.wake());
            Ok(())
        };
        self.store().write(create).await
    }

    /// Changes what was decided of an organisation as far as something is wanted.
    ///
    /// # Errors
    /// [`OrgSettingsError`].
    pub async fn change_organization_mirror(
        &self,
        namespace: NamespaceId,
        wish: OrgMirrorWish,
        by: &Performer,
    ) -> Result<(), OrgSettingsError> {
        let before = self
            .store()
            .read(|tx| tx.mirrors().of_organization(namespace));
        let before = before.await?.ok_or(OrgSettingsError::Absent)?;
        let asked = self.asked_of_organization(namespace, wish)?;
        if asked.moves_source() {
            let mut wanted = before;
            asked.apply(&mut wanted);
            self.judge_registry(&wanted.source).await?;
        }
        let start = asked.wish.start;
        let (mirror, by, now) = (self.clone(), by.clone(), self.now());
        let change = move |tx: &mut WriteTx<'_>| {
            mirror.change_in_organization(tx, namespace, &asked, (now, &by))
        };
        self.store().write(change).await?;
        let Some(start) = start else {
            return Ok(());
        };
        let rested = move |status: MirrorStatus| {
            let rests = status.state == SyncState::Cancel;
            rests.then(|| {
                let mut status = status;
                begin_at(&mut status, start);
                status.generation += 1;
                status
            })
        };
        self.spread(namespace, rested).await
    }

    fn change_in_organization(
        &self,
        tx: &mut WriteTx<'_>,
        namespace: NamespaceId,
        asked: &Asked,
        (now, by): (Timestamp, &Performer),
    ) -> Result<(), OrgSettingsError> {
        let place = Place::of(tx, namespace)?;
        let record = tx.mirrors().of_organization(namespace)?;
        let mut record = record.ok_or(OrgSettingsError::Absent)?;
        let status = tx.mirrors().discovery(namespace)?;
        let mut status = status.ok_or(OrgSettingsError::Absent)?;
        if let Some(robot) = &asked.wish.robot {
            record.robot = Some(robot_of(tx, &place, robot)?);
        }
        let old = reference_of(&record);
        asked.apply(&mut record);
        tx.mirrors().put_organization(namespace, &record)?;
        if let Some(start) = asked.wish.start {
            begin_at(&mut status, start);
            // A look under way is no other look for it.
            if status.state != SyncState::Syncing {
                status.generation += 1;
            }
            tx.mirrors().put_discovery(namespace, &status)?;
        }
        let told = json!({
            "updated_fields": asked.wish.given,
            "old_external_reference": old,
            "external_reference": reference_of(&record),
        });
        let line = place
            .line(LogKind::OrgMirrorConfigChanged, now, by)
            .with(told);
        tx.logs().append(&line)?;
        let mirror = self.clone();
        tx.after_commit(move || mirror.wake());
        Ok(())
    }

    /// Has looks at an organisation's source begin as soon as there is a lane, and its repositories copied.
    ///
    /// # Errors
    /// [`OrgSettingsError::Absent`]; [`OrgSettingsError::Busy`].
    pub async fn sync_organization_now(
        &self,
        namespace: NamespaceId,
        by: &Performer,
    ) -> Result<(), OrgSettingsError> {
        let now = self.now();
        let kind = LogKind::OrgMirrorSyncNowRequested;
        self.move_organization(namespace, kind, by, move |status| {
            let wanted = sync_now(status).ok_or(OrgSettingsError::Busy)?;
            // Quay: the phase of the schedule is that of the last wish.
            Ok(MirrorStatus {
                next: Some(now),
                ..wanted
            })
        })
        .await?;
        let wanted = |status: MirrorStatus| match status.state {
            SyncState::Skip => None,
            _ => sync_now(status),
        };
        self.spread(namespace, wanted).await
    }

    /// Ends the look under way, and the runs that it began; nothing begins by itself until somebody wants it to.
    ///
    /// # Errors
    /// [`OrgSettingsError::Absent`]; [`OrgSettingsError::Cancelled`].
    pub async fn cancel_organization(
        &self,
        namespace: NamespaceId,
        by: &Performer,
    ) -> Result<(), OrgSettingsError> {
        let kind = LogKind::OrgMirrorSyncCancelled;
        self.move_organization(namespace, kind, by, |status| match status.state {
            SyncState::Cancel => Err(OrgSettingsError::Cancelled),
            _ => Ok(cancelled(status)),
        })
        .await?;
        let ended = |status: MirrorStatus| match status.state {
            SyncState::Skip | SyncState::Cancel => None,
            _ => Some(cancelled(status)),
        };
        self.spread(namespace, ended).await
    }

    async fn move_organization(
        &self,
        namespace: NamespaceId,
        kind: LogKind,
        by: &Performer,
        to: impl Fn(MirrorStatus) -> Result<MirrorStatus, OrgSettingsError> + Send + 'static,
    ) -> Result<(), OrgSettingsError> {
        let (mirror, by, now) = (self.clone(), by.clone(), self.now());
        let step = move |tx: &mut WriteTx<'_>| {
            let place = Place::of(tx, namespace)?;
            let record = tx.mirrors().of_organization(namespace)?;
            let record = record.ok_or(OrgSettingsError::Absent)?;
            let status = tx.mirrors().discovery(namespace)?;
            let status = to(status.ok_or(OrgSettingsError::Absent)?)?;
            tx.mirrors().put_discovery(namespace, &status)?;
            let told = json!({"external_reference": reference_of(&record)});
            tx.logs().append(&place.line(kind, now, &by).with(told))?;
            let mirror = mirror.clone();
            tx.after_commit(move || mirror.wake());
            Ok(())
        };
        self.store().write(step).await
    }

    fn asked_of_organization(
        &self,
        namespace: NamespaceId,
        wish: OrgMirrorWish,
    ) -> Result<Asked, OrgSettingsError> {
        check(&wish)?;
        let whose = Whose::Organization(namespace);
        let seal = |half, text: &Option<Option<Secret>>| {
            // Quay: an empty text is none.
            let text = text.as_ref()?.as_ref();
            let text = text.filter(|text| !text.expose().is_empty());
            Some(text.map(|text| self.seal(whose, half, text.expose())))
        };
        Ok(Asked {
            username: seal(Half::Username, &wish.username),
            password: seal(Half::Password, &wish.password),
            wish,
        })
    }

    /// Refuses a registry that may not be called.
    pub(super) async fn judge_registry(
        &self,
        source: &MirrorSource,
    ) -> Result<(), OrgSettingsError> {
        use super::fault::SettingsError;
        let judged = self.judge(&source.reference, source, &SettingsError::Location);
        judged.await.map_err(|error| match error {
            SettingsError::Mirror(error) => error.into(),
            _ => OrgSettingsError::Forbidden,
        })
    }
}

impl Asked {
    fn apply(&self, record: &mut OrgMirrorRecord) {
        let wish = &self.wish;
        let source = &mut record.source;
        put(&mut source.reference, wish.url.as_ref());
        put(&mut source.username, self.username.as_ref());
        put(&mut source.password, self.password.as_ref());
        put(&mut source.verify_tls, wish.verify_tls.as_ref());
        put(&mut source.http_proxy, wish.http_proxy.as_ref());
        put(&mut source.https_proxy, wish.https_proxy.as_ref());
        put(&mut source.no_proxy, wish.no_proxy.as_ref());
        put(&mut record.enabled, wish.enabled.as_ref());
        put(&mut record.kind, wish.kind.as_ref());
        put(&mut record.namespace, wish.namespace.as_ref());
        put(&mut record.repositories, wish.repositories.as_ref());
        put(&mut record.visibility, wish.visibility.as_ref());
        put(&mut record.interval_s, wish.interval_s.as_ref());
        put(&mut record.deadline_s, wish.deadline_s.as_ref());
    }

    const fn moves_source(&self) -> bool {
        let wish = &self.wish;
        wish.url.is_some() || wish.http_proxy.is_some() || wish.https_proxy.is_some()
    }
}

fn put<T: Clone>(place: &mut T, wanted: Option<&T>) {
    if let Some(wanted) = wanted {
        place.clone_from(wanted);
    }
}

fn new_record(now: Timestamp) -> OrgMirrorRecord {
    OrgMirrorRecord {
        enabled: true,
        kind: OrgMirrorKind::Quay,
        source: super::settings::new_record(now).source,
        namespace: String::new(),
        repositories: Vec::new(),
        architectures: Vec::new(),
        visibility: Visibility::Private,
        delete_stale: false,
        interval_s: 0,
        robot: None,
        deadline_s: DEADLINE_S,
        created: now,
    }
}

/// Whether a wish is right in itself. The texts are Quay's where it has some.
fn check(wish: &OrgMirrorWish) -> Result<(), OrgSettingsError> {
    let invalid = |text: &str| Err(OrgSettingsError::Invalid(text.to_owned()));
    if wish.interval_s.is_some_and(|seconds| seconds < 60) {
        return invalid("sync_interval must be at least 60 seconds");
    }
    if wish
        .deadline_s
        .is_some_and(|seconds| !(30..=3_600).contains(&seconds))
    {
        return invalid("skopeo_timeout must be between 30 and 3600 seconds");
    }
    if let Some(seconds) = wish.interval_s {
        crate::model::check_mirror_interval(seconds).map_err(OrgSettingsError::Invalid)?;
    }
    if wish
        .namespace
        .as_ref()
        .is_some_and(|name| !(1..=NAMESPACE_BYTES).contains(&name.len()))
    {
        return invalid("external_namespace has 1 to 255 characters");
    }
    if let Some(url) = &wish.url {
        check_url(url)?;
    }
    for half in [&wish.username, &wish.password]
        .into_iter()
        .flatten()
        .flatten()
    {
        check_mirror_account(half).map_err(OrgSettingsError::Invalid)?;
    }
    for (name, proxy) in [
        ("http_proxy", &wish.http_proxy),
        ("https_proxy", &wish.https_proxy),
    ] {
        if let Some(Some(proxy)) = proxy {
            let named = |reason| OrgSettingsError::Invalid(format!("{name}: {reason}"));
            check_proxy(proxy).map_err(named)?;
        }
    }
    let globs = wish.repositories.as_deref().unwrap_or_default();
    check_mirror_globs(globs)
        .map_err(|reason| OrgSettingsError::Invalid(format!("repository_filters: {reason}")))
}

/// A registry is the root of a URL of the web, without an account in it.
fn check_url(text: &str) -> Result<(), OrgSettingsError> {
    let url: Result<url::Url, _> = text.parse();
    let is_registry = url.is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    match is_registry && text.len() <= URL_BYTES {
        true => Ok(()),
        false => Err(OrgSettingsError::Invalid(
            "external_registry_url is an http:// or https:// URL without an account".to_owned(),
        )),
    }
}

/// Such an organisation holds nothing else (Quay's texts).
fn check_empty(tx: &ReadTx, place: &Place) -> Result<(), OrgSettingsError> {
    let id = place.id;
    if !tx.repositories().list(id, None, 1)?.is_empty() {
        return Err(OrgSettingsError::HasRepositories);
    }
    if !tx
        .immutability()
        .list(PolicyScope::Namespace(id), 1)?
        .is_empty()
    {
        return Err(OrgSettingsError::HasImmutability);
    }
    let is_cache = place.record.kind != NamespaceKind::Organization;
    if is_cache || tx.proxy_caches().record(id)?.is_some() {
        return Err(OrgSettingsError::IsCache);
    }
    match tx.mirrors().of_organization(id)?.is_some() {
        true => Err(OrgSettingsError::Exists),
        false => Ok(()),
    }
}

/// The organisation's robot of that name.
fn robot_of(tx: &ReadTx, place: &Place, name: &RobotName) -> Result<RobotId, OrgSettingsError> {
    // Whether somebody else has such a robot is nobody's business.
    if *name.namespace() != place.record.name {
        return Err(OrgSettingsError::ForeignRobot);
    }
    let found = tx.robots().by_name(place.id, name.short())?;
    found
        .map(|(id, _)| id)
        .ok_or_else(|| OrgSettingsError::InvalidRobot(name.to_string()))
}

/// As the usage log tells a source (Quay).
pub(super) fn reference_of(record: &OrgMirrorRecord) -> String {
    format!("{}/{}", record.source.reference, record.namespace)
}

/// A kind of registry as the API calls it.
pub const fn kind_name(kind: OrgMirrorKind) -> &'static str {
    match kind {
        OrgMirrorKind::Harbor => "harbor",
        OrgMirrorKind::Quay => "quay",
    }
}
