//! Robots: accounts of programs, named after the namespace that they belong to.

use serde_json::{Value, json};

use super::name::{check_description, check_name};
use super::{Accounts, Error, Noun, federation, secret};
use crate::model::{
    Federation, LogEntry, LogKind, NamespaceId, Performer, RobotId, RobotName, RobotRecord, Secret,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// Longest text that an owner keeps with a robot, in bytes.
const METADATA_BYTES: usize = 64 * 1024;

impl Accounts {
    /// Makes a robot; returns it with its token, 64 letters and digits.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such a namespace; [`Error::Exists`]; [`Error::Invalid`].
    pub async fn create_robot(
        &self,
        name: &RobotName,
        description: &str,
        by: &Performer,
    ) -> Result<(RobotId, Secret), Error> {
        self.create_robot_with(name, Some(description), None, by)
            .await
    }

    /// The same with a JSON object that its owner keeps with it.
    ///
    /// # Errors
    /// As [`Accounts::create_robot`].
    pub async fn create_robot_with(
        &self,
        name: &RobotName,
        description: Option<&str>,
        metadata: Option<&Value>,
        by: &Performer,
    ) -> Result<(RobotId, Secret), Error> {
        check_name(Noun::Robot, name.short())?;
        check_description(description.unwrap_or_default())?;
        let text = metadata.map(check_metadata).transpose()?;
        let namespace = self.namespace(name.namespace()).await?;
        let (namespace, _) = namespace.ok_or(Error::unknown(Noun::Namespace))?;
        let token = secret::new_robot_token();
        let record = RobotRecord {
            namespace,
            name: name.clone(),
            description: description.unwrap_or_default().to_owned(),
            created: self.inner.clock.now(),
            last_accessed: None,
            token: secret::seal_robot_token(&self.inner.seal, namespace, name.short(), &token),
            federation: Vec::new(),
        };
        let told = json!({
            "robot": name.short(),
            "description": description,
            "unstructured_metadata": metadata,
        });
        let line = LogEntry::new(LogKind::CreateRobot, record.created, by).within(namespace);
        let line = line.with(told);
        let create = move |tx: &mut WriteTx<'_>| create(tx, &record, text.as_deref(), &line);
        let id = self.change(create).await?;
        tracing::info!(robot.id = %id, robot.name = %name, %by, "a robot was made");
        Ok((id, token))
    }

    /// The robot of this name, if there is one.
    pub async fn robot_by_name(
        &self,
        name: &RobotName,
    ) -> Result<Option<(RobotId, RobotRecord)>, Error> {
        let find = |tx: &ReadTx| match tx.namespaces().by_name(name.namespace())? {
            Some((namespace, _)) => tx.robots().by_name(namespace, name.short()),
            None => Ok(None),
        };
        self.inner.store.read(find).await.map_err(Error::Store)
    }

    /// The record of a robot, if there is one.
    pub async fn robot(&self, id: RobotId) -> Result<Option<RobotRecord>, Error> {
        let record = self.inner.store.read(|tx| tx.robots().record(id));
        record.await.map_err(Error::Store)
    }

    /// The JSON object that the owner of a robot keeps with it, if there is one.
    pub async fn robot_metadata(&self, id: RobotId) -> Result<Option<Value>, Error> {
        let text = self.inner.store.read(|tx| tx.robots().metadata(id));
        let text = text.await.map_err(Error::Store)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Up to `limit` robots of the namespace behind the short name `after`, in byte order.
    pub async fn list_robots(
        &self,
        namespace: NamespaceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(RobotId, RobotRecord)>, Error> {
        let after = after.map(str::to_owned);
        let list = move |tx: &ReadTx| tx.robots().list(namespace, after.as_deref(), limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// The first `limit` robots of the namespace, read a page at a time.
    pub async fn robots_of(
        &self,
        namespace: NamespaceId,
        limit: usize,
    ) -> Result<Vec<(RobotId, RobotRecord)>, Error> {
        let mut found: Vec<(RobotId, RobotRecord)> = Vec::new();
        while found.len() < limit {
            let after = found.last().map(|(_, robot)| robot.name.short().to_owned());
            let rows = PAGE_ROWS.min(limit - found.len());
            let page = self.list_robots(namespace, after.as_deref(), rows).await?;
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        Ok(found)
    }

    /// The robot's token, which can be shown again at any time.
    ///
    /// # Errors
    /// [`Error::SealBroken`].
    pub fn robot_token(&self, robot: &RobotRecord) -> Result<Secret, Error> {
        secret::open_robot_token(&self.inner.seal, robot)
    }

    /// Whether this is the robot's token, compared in constant time (AU-09).
    ///
    /// # Errors
    /// [`Error::SealBroken`].
    pub fn is_robot_token(&self, robot: &RobotRecord, shown: &Secret) -> Result<bool, Error> {
        let token = self.robot_token(robot)?;
        Ok(secret::is_same(&token, shown.expose()))
    }

    /// Gives a robot a new token; the old one is worth nothing at once.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn regenerate_robot_token(
        &self,
        name: &RobotName,
        by: &Performer,
    ) -> Result<Secret, Error> {
        let namespace = self.namespace(name.namespace()).await?;
        let (namespace, _) = namespace.ok_or(Error::unknown(Noun::Robot))?;
        let token = secret::new_robot_token();
        let sealed = secret::seal_robot_token(&self.inner.seal, namespace, name.short(), &token);
        let told = json!({"robot": name.short()});
        let now = self.inner.clock.now();
        let line = LogEntry::new(LogKind::RegenerateRobotToken, now, by).with(told);
        self.change_robot(name, line, move |robot| {
            // A namespace of that name made in between is another one.
            if robot.namespace != namespace {
                return Err(Error::unknown(Noun::Robot));
            }
            robot.token = sealed.clone();
            Ok(())
        })
        .await?;
        tracing::info!(robot.name = %name, %by, "a robot got a new token");
        Ok(token)
    }

    /// Says which identities of other providers may act as a robot, in place of those before.
    ///
    /// That they do is not built: nobody exchanges their tokens.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Unknown`].
    pub async fn set_federation(
        &self,
        name: &RobotName,
        federation: &[Federation],
        by: &Performer,
    ) -> Result<(), Error> {
        federation::check(federation)?;
        let config: Vec<Value> = federation
            .iter()
            .map(|rule| json!({"issuer": rule.issuer, "subject": rule.subject}))
            .collect();
        let told = json!({"config": config, "robot": name.short()});
        let now = self.inner.clock.now();
        let line = LogEntry::new(LogKind::CreateRobotFederation, now, by).with(told);
        let federation = federation.to_vec();
        self.change_robot(name, line, move |robot| {
            robot.federation.clone_from(&federation);
            Ok(())
        })
        .await
    }

    /// Takes from all identities of other providers that they may act as a robot.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn clear_federation(&self, name: &RobotName, by: &Performer) -> Result<(), Error> {
        let told = json!({"robot": name.short()});
        let now = self.inner.clock.now();
        let line = LogEntry::new(LogKind::DeleteRobotFederation, now, by).with(told);
        self.change_robot(name, line, |robot| {
            robot.federation.clear();
            Ok(())
        })
        .await
    }

    /// Removes a robot with its grants and memberships.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn delete_robot(&self, name: &RobotName, by: &Performer) -> Result<(), Error> {
        let (wanted, now) = (name.clone(), self.inner.clock.now());
        let line = LogEntry::new(LogKind::DeleteRobot, now, by);
        let line = line.with(json!({"robot": name.short()}));
        let delete = move |tx: &mut WriteTx<'_>| {
            let (id, robot) = load(tx, &wanted)?;
            tx.robots().remove(id)?;
            tx.logs().append(&line.clone().within(robot.namespace))?;
            Ok(id)
        };
        let id = self.change(delete).await?;
        tracing::info!(robot.id = %id, robot.name = %name, %by, "a robot was deleted");
        Ok(())
    }

    async fn change_robot(
        &self,
        name: &RobotName,
        line: LogEntry,
        change: impl Fn(&mut RobotRecord) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let wanted = name.clone();
        self.change(move |tx| {
            let (id, mut robot) = load(tx, &wanted)?;
            change(&mut robot)?;
            tx.robots().put(id, &robot)?;
            Ok(tx.logs().append(&line.clone().within(robot.namespace))?)
        })
        .await
    }
}

fn check_metadata(metadata: &Value) -> Result<String, Error> {
    let text = metadata.to_string();
    if metadata.is_object() && text.len() <= METADATA_BYTES {
        return Ok(text);
    }
    Err(Error::Invalid {
        what: "the metadata",
        reason: "it is a JSON object of at most 64 KiB",
    })
}

fn create(
    tx: &mut WriteTx<'_>,
    record: &RobotRecord,
    metadata: Option<&str>,
    line: &LogEntry,
) -> Result<RobotId, Error> {
    let namespace = tx.namespaces().by_name(record.name.namespace())?;
    if namespace.is_none_or(|(id, _)| id != record.namespace) {
        return Err(Error::unknown(Noun::Namespace));
    }
    let created = tx.robots().create(record);
    let id = created.map_err(|error| Error::exists(Noun::Robot, error))?;
    if let Some(metadata) = metadata {
        tx.robots().put_metadata(id, metadata)?;
    }
    tx.logs().append(line)?;
    Ok(id)
}

fn load(tx: &ReadTx, name: &RobotName) -> Result<(RobotId, RobotRecord), Error> {
    let unknown = Error::Unknown { noun: Noun::Robot };
    let Some((namespace, _)) = tx.namespaces().by_name(name.namespace())? else {
        return Err(unknown);
    };
    let robot = tx.robots().by_name(namespace, name.short())?;
    robot.ok_or(unknown)
}
