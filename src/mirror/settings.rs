//! What is decided of a mirror: told, made, changed.
//!
//! Called by the doors of `api`, which have decided that the caller rules the repository. A change is one
//! transaction with its lines of the usage log, and counts at once: a run under way goes on by what was decided
//! when it began. What the configuration names is changed there and not here.
//!
//! Whoever may make a mirror may be anybody: its source is called only at public addresses and those in
//! `SSRF_ALLOWED_HOSTS`, through `outbound` (UP-04).

use serde_json::Value;

use super::asked::{self, Asked};
use super::fault::SettingsError;
use super::schedule::Calendar;
use super::{Error, Half, Mirror, SourceReference, Whose};
use crate::accounts::Accounts;
use crate::model::{
    Grantee, LogEntry, LogKind, MIRROR_DEADLINE_S, MIRROR_RETRIES, MirrorOptions, MirrorRecord,
    MirrorSource, MirrorStatus, MirrorWish, NamespaceId, NamespaceRecord, Performer, RepositoryId,
    RepositoryRecord, RepositoryState, RobotId, RobotName, Role, SyncState, TagChoice, Timestamp,
};
use crate::store::{ReadTx, WriteTx};

/// A mirror as it is shown: without its password.
#[derive(Clone, Debug)]
pub struct MirrorShown {
    pub record: MirrorRecord,
    pub status: MirrorStatus,
    /// The user name at the source.
    pub username: Option<String>,
    /// `None` if it was deleted.
    pub robot: Option<RobotName>,
}

/// What is shown of a user name that does not open (Quay).
pub(super) const UNREADABLE: &str = "(invalid. please re-enter)";

/// A mirror with everything that it belongs to, inside a transaction.
pub(super) struct Place {
    pub(super) id: RepositoryId,
    pub(super) repository: RepositoryRecord,
    pub(super) namespace: NamespaceRecord,
}

impl Place {
    /// # Errors
    /// [`SettingsError::Absent`] if the repository is gone.
    pub(super) fn of(tx: &ReadTx, id: RepositoryId) -> Result<Self, SettingsError> {
        let repository = tx.repositories().record(id)?;
        let repository = repository.ok_or(SettingsError::Absent)?;
        let namespace = tx.namespaces().record(repository.namespace)?;
        let namespace = namespace.filter(|record| record.deleted.is_none());
        Ok(Self {
            id,
            repository,
            namespace: namespace.ok_or(SettingsError::Absent)?,
        })
    }

    pub(super) const fn namespace_id(&self) -> NamespaceId {
        self.repository.namespace
    }

    /// `namespace/name`
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace.name, self.repository.name)
    }

    /// A line of the usage log that says what was changed, and to what.
    pub(super) fn line(
        &self,
        (at, by): (Timestamp, &Performer),
        (changed, to): (&str, Value),
    ) -> LogEntry {
        let told = serde_json::json!({
            "namespace": self.namespace.name,
            "repo": self.repository.name,
            "changed": changed,
            "to": to,
        });
        LogEntry::new(LogKind::RepoMirrorConfigChanged, at, by)
            .of_repository(self.namespace_id(), self.id)
            .with(told)
    }
}

impl Mirror {
    /// What was decided of a mirror, and how it stands; `None` if the repository is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn shown(&self, repository: RepositoryId) -> Result<Option<MirrorShown>, Error> {
        let found = self.store().read(|tx| {
            let (Some(record), Some(status)) = (
                tx.mirrors().record(repository)?,
                tx.mirrors().status(repository)?,
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
        Ok(found.map(|(record, status, robot)| MirrorShown {
            username: self.shown_username(Whose::Repository(repository), &record.source),
            record,
            status,
            robot,
        }))
    }

    /// The user name at a source, as it is shown.
    pub(super) fn shown_username(&self, whose: Whose, source: &MirrorSource) -> Option<String> {
        let sealed = source.username.as_ref()?;
        let opened = self.unseal(whose, Half::Username, sealed);
        Some(opened.map_or_else(|| UNREADABLE.to_owned(), |name| name.expose().to_owned()))
    }

    /// Has a repository be a mirror, from the answer on; its robot may write there.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub async fn create_mirror(
        &self,
        repository: RepositoryId,
        wish: &MirrorWish,
        by: &Performer,
    ) -> Result<(), SettingsError> {
        let asked = self.asked(repository, wish)?;
        self.judge_source(&asked.source(None)).await?;
        let (mirror, by, now) = (self.clone(), by.clone(), self.now());
        let create = move |tx: &mut WriteTx<'_>| mirror.create_in(tx, repository, &asked, &by, now);
        self.store().write(create).await?;
        tracing::info!(repository.id = %repository, "a repository became a mirror");
        Ok(())
    }

    /// Changes what was decided of a mirror as far as something is wanted.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub async fn change_mirror(
        &self,
        repository: RepositoryId,
        wish: &MirrorWish,
        by: &Performer,
    ) -> Result<(), SettingsError> {
        let before = self.store().read(|tx| tx.mirrors().record(repository));
        let before = before.await?.ok_or(SettingsError::Absent)?;
        let asked = self.asked(repository, wish)?;
        if asked.moves_source() {
            self.judge_source(&asked.source(Some(&before.source)))
                .await?;
        }
        let (mirror, by, now) = (self.clone(), by.clone(), self.now());
        let change = move |tx: &mut WriteTx<'_>| mirror.change_in(tx, repository, &asked, &by, now);
        self.store().write(change).await
    }

    fn create_in(
        &self,
        tx: &mut WriteTx<'_>,
        id: RepositoryId,
        asked: &Asked,
        by: &Performer,
        now: Timestamp,
    ) -> Result<(), SettingsError> {
        let place = Place::of(tx, id)?;
        check_place(tx, &place)?;
        if tx.mirrors().record(id)?.is_some() {
            let name = place.full_name();
            return Err(SettingsError::Exists { name });
        }
        let wanted = asked.wish.robot.as_ref();
        let robot = robot(tx, &place, wanted.ok_or_else(asked::no_robot)?)?;
        let mut record = MirrorRecord {
            robot: Some(robot),
            ..new_record(now)
        };
        asked.apply(&mut record);
        let mut status = MirrorStatus::new(asked.wish.start);
        self.plan_next(&record, &mut status, now)?;
        self.settle(tx, &place, &record, &status)?;
        self.registry().put_state(tx, id, RepositoryState::Mirror)?;
        let told = ("external_reference", record.source.reference.into());
        Ok(tx.logs().append(&place.line((now, by), told))?)
    }

    fn change_in(
        &self,
        tx: &mut WriteTx<'_>,
        id: RepositoryId,
        asked: &Asked,
        by: &Performer,
        now: Timestamp,
    ) -> Result<(), SettingsError> {
        let place = Place::of(tx, id)?;
        let record = tx.mirrors().record(id)?;
        let mut record = record.ok_or(SettingsError::Absent)?;
        let status = tx.mirrors().status(id)?;
        let mut status = status.ok_or(SettingsError::Absent)?;
        self.check_not_configured(&record, &place)?;
        if let Some(wanted) = &asked.wish.robot {
            record.robot = Some(robot(tx, &place, wanted)?);
        }
        asked.apply(&mut record);
        if let Some(start) = asked.wish.start {
            begin_at(&mut status, start);
        }
        if asked.moves_schedule() {
            self.plan_next(&record, &mut status, now)?;
        }
        // A run under way is no other run for it.
        if asked.moves_schedule() && status.state != SyncState::Syncing {
            status.generation += 1;
        }
        self.settle(tx, &place, &record, &status)?;
        for told in asked.told() {
            tx.logs().append(&place.line((now, by), told))?;
        }
        Ok(())
    }

    /// Writes what is decided, with what the robot needs for it.
    pub(super) fn settle(
        &self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        record: &MirrorRecord,
        status: &MirrorStatus,
    ) -> Result<(), SettingsError> {
        if let Some(robot) = record.robot {
            grant_write(tx, place.id, robot, &self.inner.accounts)?;
        }
        tx.mirrors().put(place.id, record)?;
        tx.mirrors().put_status(place.id, status)?;
        let mirror = self.clone();
        tx.after_commit(move || mirror.wake());
        Ok(())
    }

    /// With a cron expression, the next run is due when that says so, and not before the start.
    pub(super) fn plan_next(
        &self,
        record: &MirrorRecord,
        status: &mut MirrorStatus,
        now: Timestamp,
    ) -> Result<(), SettingsError> {
        if let (Some(cron), Some(start)) = (&record.options.cron, status.next) {
            let calendar = Calendar::new(cron)?;
            // What begins at the very start is not missed.
            let before = Timestamp::from_millis(start.max(now).as_millis().saturating_sub(1));
            status.next = calendar.next(before);
        }
        Ok(())
    }

    pub(super) fn check_not_configured(
        &self,
        record: &MirrorRecord,
        place: &Place,
    ) -> Result<(), SettingsError> {
        match record.configured {
            false => Ok(()),
            true => Err(SettingsError::Configured {
                name: place.full_name(),
                file: self.inner.configured_in.to_string(),
            }),
        }
    }

    /// What is wanted, found right in itself and its secrets sealed.
    pub(super) fn asked(
        &self,
        repository: RepositoryId,
        wish: &MirrorWish,
    ) -> Result<Asked, SettingsError> {
        asked::check(wish)?;
        let whose = Whose::Repository(repository);
        let seal = |half, text: &Option<Option<crate::model::Secret>>| {
            let text = text.as_ref()?.as_ref();
            Some(text.map(|text| self.seal(whose, half, text.expose())))
        };
        Ok(Asked {
            username: seal(Half::Username, &wish.username),
            password: seal(Half::Password, &wish.password),
            wish: wish.clone(),
        })
    }

    /// Refuses a source that may not be called; one whose name is not known now may be known later.
    pub(super) async fn judge_source(&self, source: &MirrorSource) -> Result<(), SettingsError> {
        let reference: SourceReference = source
            .reference
            .parse()
            .map_err(|error: crate::oci::ParseError| SettingsError::Invalid(error.to_string()))?;
        let host = match reference.host.as_str() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let url = format!("https://{host}/");
        self.judge(&url, source, &SettingsError::Location).await
    }

    /// Refuses what may not be called: the proxies, if there are some, else the host itself.
    pub(super) async fn judge(
        &self,
        url: &str,
        source: &MirrorSource,
        forbidden: &SettingsError,
    ) -> Result<(), SettingsError> {
        let proxies = [&source.http_proxy, &source.https_proxy];
        let proxies: Vec<&str> = proxies.into_iter().flatten().map(String::as_str).collect();
        let called = match proxies.is_empty() {
            true => vec![url],
            false => proxies,
        };
        for url in called {
            let url = url.parse().map_err(|_| forbidden.clone())?;
            match self.inner.outbound.judge(&url).await {
                Ok(()) | Err(crate::outbound::Error::Dns { .. }) => {}
                Err(_) => return Err(forbidden.clone()),
            }
        }
        Ok(())
    }
}

/// The next run is due then, also of a mirror that rested since it was cancelled (Quay).
pub(super) fn begin_at(status: &mut MirrorStatus, start: Timestamp) {
    status.next = Some(start);
    status.not_before = None;
    if status.retries_left == 0 {
        status.retries_left = MIRROR_RETRIES;
    }
    if status.state == SyncState::Cancel {
        status.state = SyncState::NeverRun;
    }
}

/// A mirror of nothing yet.
pub(super) fn new_record(now: Timestamp) -> MirrorRecord {
    MirrorRecord {
        enabled: true,
        source: MirrorSource {
            reference: String::new(),
            username: None,
            password: None,
            verify_tls: true,
            unsigned_images: false,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
        },
        tags: TagChoice::default(),
        interval_s: 0,
        robot: None,
        deadline_s: MIRROR_DEADLINE_S,
        architectures: Vec::new(),
        options: MirrorOptions::default(),
        created: now,
        configured: false,
    }
}

/// Whether repositories there can be mirrors.
pub(super) fn check_place(tx: &ReadTx, place: &Place) -> Result<(), SettingsError> {
    let namespace = place.namespace_id();
    if tx.mirrors().of_organization(namespace)?.is_some() {
        return Err(SettingsError::OrganizationMirror);
    }
    let is_cache = !place.namespace.is_local() || tx.proxy_caches().record(namespace)?.is_some();
    match is_cache {
        true => Err(SettingsError::Cache),
        false => Ok(()),
    }
}

/// The robot of that name, which belongs to the mirror's namespace.
pub(super) fn robot(
    tx: &ReadTx,
    place: &Place,
    name: &RobotName,
) -> Result<RobotId, SettingsError> {
    // Whether somebody else has such a robot is nobody's business.
    if *name.namespace() != place.namespace.name {
        return Err(SettingsError::ForeignRobot);
    }
    let found = tx.robots().by_name(place.namespace_id(), name.short())?;
    found.map(|(id, _)| id).ok_or(SettingsError::UnknownRobot)
}

/// The robot may write, if it may not yet.
fn grant_write(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    robot: RobotId,
    accounts: &Accounts,
) -> Result<(), SettingsError> {
    let grantee = Grantee::Robot(robot);
    let role = tx.permissions().role(repository, grantee)?;
    if matches!(role, None | Some(Role::Read)) {
        tx.permissions().put(repository, grantee, Role::Write)?;
        accounts.grants_change(tx);
    }
    Ok(())
}
