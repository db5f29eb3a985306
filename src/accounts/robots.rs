//! Robots: accounts of programs, named after the namespace that they belong to.

use super::name::check_description;
use super::{Accounts, Error, Noun, secret};
use crate::model::{Actor, NamespaceId, RobotId, RobotName, RobotRecord, Secret};
use crate::store::{ReadTx, WriteTx};

impl Accounts {
    /// Makes a robot; returns it with its token, 64 letters and digits.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such a namespace; [`Error::Exists`]; [`Error::Invalid`].
    pub async fn create_robot(
        &self,
        name: &RobotName,
        description: &str,
        by: &Actor,
    ) -> Result<(RobotId, Secret), Error> {
        check_description(description)?;
        let token = secret::new_robot_token();
        let sealed = secret::seal_robot_token(&self.inner.seal, name, &token);
        let (description, created) = (description.to_owned(), self.inner.clock.now());
        let wanted = name.clone();
        let create = move |tx: &mut WriteTx<'_>| {
            create(tx, &wanted, |namespace| RobotRecord {
                namespace,
                name: wanted.clone(),
                description: description.clone(),
                created,
                token: sealed.clone(),
            })
        };
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
        by: &Actor,
    ) -> Result<Secret, Error> {
        let token = secret::new_robot_token();
        let sealed = secret::seal_robot_token(&self.inner.seal, name, &token);
        let wanted = name.clone();
        let regenerate = move |tx: &mut WriteTx<'_>| {
            let (id, mut robot) = load(tx, &wanted)?;
            robot.token = sealed.clone();
            tx.robots().put(id, &robot)?;
            Ok(id)
        };
        let id = self.change(regenerate).await?;
        tracing::info!(robot.id = %id, robot.name = %name, %by, "a robot got a new token");
        Ok(token)
    }

    /// Removes a robot with its grants and memberships.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn delete_robot(&self, name: &RobotName, by: &Actor) -> Result<(), Error> {
        let wanted = name.clone();
        let delete = move |tx: &mut WriteTx<'_>| {
            let (id, _) = load(tx, &wanted)?;
            tx.robots().remove(id)?;
            Ok(id)
        };
        let id = self.change(delete).await?;
        tracing::info!(robot.id = %id, robot.name = %name, %by, "a robot was deleted");
        Ok(())
    }
}

fn create(
    tx: &mut WriteTx<'_>,
    name: &RobotName,
    record: impl Fn(NamespaceId) -> RobotRecord,
) -> Result<RobotId, Error> {
    let namespace = tx.namespaces().by_name(name.namespace())?;
    let noun = Noun::Namespace;
    let (namespace, _) = namespace.ok_or(Error::Unknown { noun })?;
    let created = tx.robots().create(&record(namespace));
    created.map_err(|error| Error::exists(Noun::Robot, error))
}

fn load(tx: &ReadTx, name: &RobotName) -> Result<(RobotId, RobotRecord), Error> {
    let unknown = Error::Unknown { noun: Noun::Robot };
    let Some((namespace, _)) = tx.namespaces().by_name(name.namespace())? else {
        return Err(unknown);
    };
    let robot = tx.robots().by_name(namespace, name.short())?;
    robot.ok_or(unknown)
}
