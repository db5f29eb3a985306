//! Mirrors of the configuration: made, kept as the file has them, and let go.
//!
//! Called by `app` at the start and when the file was read again. Organisation, robot and repository are made where
//! they are missing; what the file names is changed there only. What it names no more stays a mirror that does not
//! run, and is the API's from then on.

use super::fault::SettingsError;
use super::settings::{Place, begin_at, check_place, new_record, robot};
use super::{Half, Mirror, Whose};
use crate::accounts::NewOrganization;
use crate::model::{
    ConfiguredMirror, MirrorRecord, MirrorSource, MirrorStatus, MirrorWish, NamespaceId,
    NamespaceKind, NamespaceName, Performer, RepositoryId, RepositoryState, RobotName, Visibility,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// The robot of mirrors whose entry names none.
const ROBOT: &str = "mirror";

/// What came of the configuration's mirrors.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Configured {
    /// Made, or changed, by their full names.
    pub changed: Vec<String>,
    /// Named by the file no more.
    pub removed: Vec<String>,
}

impl Mirror {
    /// Has exactly the repositories that the configuration names be its mirrors.
    ///
    /// # Errors
    /// [`SettingsError`]; what came before the first of them that cannot be made stays done.
    pub async fn configure(
        &self,
        wanted: &[ConfiguredMirror],
    ) -> Result<Configured, SettingsError> {
        let mut done = Configured::default();
        let mut kept = Vec::with_capacity(wanted.len());
        for one in wanted {
            let id = self.make_configured(one).await?;
            if self.put_configured(id, one).await? {
                let name = format!("{}/{}", one.organization, one.repository);
                tracing::info!(repository.name = %name, "is a mirror of the configuration");
                done.changed.push(name);
            }
            kept.push(id);
        }
        for id in self.all_configured().await? {
            if kept.contains(&id) {
                continue;
            }
            if let Some(name) = self.let_go(id).await? {
                tracing::warn!(
                    repository.name = %name,
                    "is a mirror of the configuration no more: it does not run, and the API may change it"
                );
                done.removed.push(name);
            }
        }
        Ok(done)
    }

    /// The repository of an entry, its organisation and its robot, made where they are missing.
    async fn make_configured(&self, one: &ConfiguredMirror) -> Result<RepositoryId, SettingsError> {
        let namespace = self.configured_organization(&one.organization).await?;
        let robot = robot_name(one)?;
        let accounts = &self.inner.accounts;
        let by = Performer::SYSTEM;
        if accounts
            .robot_by_name(&robot)
            .await
            .map_err(refused)?
            .is_none()
        {
            let text = "Copies what MIRRORS of the configuration names";
            let made = accounts.create_robot(&robot, text, &by).await;
            made.map_err(refused)?;
        }
        let (name, visibility) = (&one.repository, Visibility::Private);
        let made = self
            .registry()
            .create_repository(namespace, name, visibility, &by)
            .await?;
        Ok(made.repository)
    }

    async fn configured_organization(
        &self,
        name: &NamespaceName,
    ) -> Result<NamespaceId, SettingsError> {
        match self.registry().namespace(name).await? {
            Some((id, record)) if record.kind == NamespaceKind::Organization => Ok(id),
            Some(_) => Err(SettingsError::Invalid(format!(
                "MIRRORS names {name}, which is a cache or a person's; give an organisation's name"
            ))),
            None => {
                let new = NewOrganization::named(name, None);
                let made = self.inner.accounts.create_organization(new).await;
                made.map_err(refused)
            }
        }
    }

    /// Decides what the file says, if anything else was decided; whether it was.
    async fn put_configured(
        &self,
        id: RepositoryId,
        one: &ConfiguredMirror,
    ) -> Result<bool, SettingsError> {
        let robot_name = robot_name(one)?;
        let asked = self.asked(id, &one.wish)?;
        let (mirror, now, wish) = (self.clone(), self.now(), one.wish.clone());
        let put = move |tx: &mut WriteTx<'_>| {
            let place = Place::of(tx, id)?;
            check_place(tx, &place)?;
            let before = tx.mirrors().record(id)?;
            let mut record = MirrorRecord {
                robot: Some(robot(tx, &place, &robot_name)?),
                configured: true,
                ..new_record(before.as_ref().map_or(now, |before| before.created))
            };
            asked.apply(&mut record);
            let status = tx.mirrors().status(id)?;
            let is_mirror = place.repository.state == RepositoryState::Mirror;
            let same = before.is_some_and(|before| mirror.is_same(id, &before, &record));
            if same && is_mirror && status.as_ref().is_some_and(|it| is_due(it, &wish)) {
                return Ok(false);
            }
            let mut status = status.unwrap_or_else(|| MirrorStatus::new(wish.start));
            if !is_due(&status, &wish) {
                begin_at(&mut status, wish.start.unwrap_or(now));
            }
            mirror.plan_next(&record, &mut status, now)?;
            mirror.settle(tx, &place, &record, &status)?;
            mirror
                .registry()
                .put_state(tx, id, RepositoryState::Mirror)?;
            let told = ("external_reference", record.source.reference.into());
            tx.logs()
                .append(&place.line((now, &Performer::SYSTEM), told))?;
            Ok::<_, SettingsError>(true)
        };
        self.store().write(put).await
    }

    /// Whether two records say the same; sealed texts are the same if they open to the same.
    fn is_same(&self, id: RepositoryId, one: &MirrorRecord, other: &MirrorRecord) -> bool {
        let open = |source: &MirrorSource| {
            let whose = Whose::Repository(id);
            let unseal = |half, sealed| self.unseal(whose, half, sealed);
            (
                source
                    .username
                    .as_ref()
                    .map(|it| unseal(Half::Username, it)),
                source
                    .password
                    .as_ref()
                    .map(|it| unseal(Half::Password, it)),
            )
        };
        let bare = |record: &MirrorRecord| {
            let mut record = record.clone();
            record.source.username = None;
            record.source.password = None;
            record
        };
        bare(one) == bare(other) && open(&one.source) == open(&other.source)
    }

    async fn all_configured(&self) -> Result<Vec<RepositoryId>, SettingsError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = move |tx: &ReadTx| {
                let page = tx.mirrors().list(after, PAGE_ROWS)?;
                let last = page.last().map(|(id, _)| *id);
                let mut configured = Vec::new();
                for (id, _) in page {
                    let record = tx.mirrors().record(id)?;
                    configured.extend(record.filter(|it| it.configured).map(|_| id));
                }
                Ok::<_, SettingsError>((configured, last))
            };
            let (configured, last) = self.store().scan(page).await?;
            found.extend(configured);
            if last.is_none() {
                return Ok(found);
            }
            after = last;
        }
    }

    /// Has a mirror be no more the file's; its full name, if it is still there.
    async fn let_go(&self, id: RepositoryId) -> Result<Option<String>, SettingsError> {
        let now = self.now();
        let let_go = move |tx: &mut WriteTx<'_>| {
            let Some(record) = tx.mirrors().record(id)? else {
                return Ok(None);
            };
            let record = MirrorRecord {
                enabled: false,
                configured: false,
                ..record
            };
            tx.mirrors().put(id, &record)?;
            let place = match Place::of(tx, id) {
                Ok(place) => place,
                Err(SettingsError::Absent) => return Ok(None),
                Err(error) => return Err(error),
            };
            let told = ("is_enabled", false.into());
            tx.logs()
                .append(&place.line((now, &Performer::SYSTEM), told))?;
            Ok::<_, SettingsError>(Some(place.full_name()))
        };
        self.store().write(let_go).await
    }
}

/// Whether the next run is planned, and not before the entry's start, which has not come.
fn is_due(status: &MirrorStatus, wish: &MirrorWish) -> bool {
    match (status.next, wish.start) {
        (None, _) => false,
        (Some(next), Some(start)) => next >= start,
        (Some(_), None) => true,
    }
}

fn robot_name(one: &ConfiguredMirror) -> Result<RobotName, SettingsError> {
    match &one.wish.robot {
        Some(name) => Ok(name.clone()),
        None => RobotName::new(one.organization.clone(), ROBOT)
            .map_err(|error| SettingsError::Invalid(error.to_string())),
    }
}

fn refused(error: crate::accounts::Error) -> SettingsError {
    SettingsError::Invalid(error.to_string())
}
