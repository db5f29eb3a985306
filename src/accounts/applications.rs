//! OAuth applications: programs of others, owned by organisations, that act for whoever lets them.
//!
//! Called by `api`. An application is found in its organisation only (AZ-06); it goes with its tokens, and
//! with its organisation.

use serde_json::{Map, Value};

use super::secret;
use super::{Accounts, Error, Noun, SealKey};
use crate::model::{
    LogEntry, LogKind, NamespaceId, OauthApplicationId, OauthApplicationRecord, Performer, Secret,
    Timestamp,
};
use crate::store::ReadTx;

/// The application that the server makes its own tokens with (Quay); nobody else gets the name.
pub const RESERVED_APPLICATION: &str = "__quay_bootstrap_app";

/// Characters of a client id and of a client secret (Quay).
const CLIENT_ID: usize = 20;
const CLIENT_SECRET: usize = 40;

/// Longest text of an application, in bytes.
const TEXT_BYTES: usize = 2048;

/// What an application tells of itself; what is left out is empty, and not told in the usage log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ApplicationFields {
    pub name: String,
    pub redirect_uri: Option<String>,
    pub application_uri: Option<String>,
    pub description: Option<String>,
    pub avatar_email: Option<String>,
}

/// An application with its id.
pub type Application = (OauthApplicationId, OauthApplicationRecord);

impl Accounts {
    /// Makes an application of an organisation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a reserved name or a text that is too long; [`Error::Unknown`] without such
    /// a namespace.
    pub async fn create_application(
        &self,
        namespace: NamespaceId,
        fields: &ApplicationFields,
        by: &Performer,
    ) -> Result<Application, Error> {
        fields.check()?;
        let now = self.inner.clock.now();
        let client_id = secret::random(CLIENT_ID);
        let record = OauthApplicationRecord {
            namespace,
            ..draft(&self.inner.seal, client_id, fields, now)
        };
        let line = line(LogKind::CreateApplication, now, by, &record, fields.told());
        self.change(move |tx| {
            let known = tx.namespaces().record(namespace)?.is_some();
            let noun = Noun::Namespace;
            known.then_some(()).ok_or(Error::Unknown { noun })?;
            let id = tx.oauth_applications().create(&record)?;
            tx.logs().append(&line)?;
            Ok((id, record.clone()))
        })
        .await
    }

    /// The application of this organisation that names itself so (AZ-06).
    ///
    /// # Errors
    /// The store's.
    pub async fn application(
        &self,
        namespace: NamespaceId,
        client_id: &str,
    ) -> Result<Option<Application>, Error> {
        let found = self.application_by_client(client_id).await?;
        Ok(found.filter(|(_, record)| record.namespace == namespace))
    }

    /// The application that names itself so, whoever owns it; none of an organisation that is deleted,
    /// whose rows go later.
    ///
    /// # Errors
    /// The store's.
    pub async fn application_by_client(
        &self,
        client_id: &str,
    ) -> Result<Option<Application>, Error> {
        let find = |tx: &ReadTx| {
            let Some((id, record)) = tx.oauth_applications().by_client(client_id)? else {
                return Ok(None);
            };
            let owner = tx.namespaces().record(record.namespace)?;
            let is_there = owner.is_some_and(|owner| owner.deleted.is_none());
            Ok(is_there.then_some((id, record)))
        };
        self.inner.store.read(find).await.map_err(Error::Store)
    }

    /// The record of an application, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn application_by_id(
        &self,
        id: OauthApplicationId,
    ) -> Result<Option<OauthApplicationRecord>, Error> {
        let find = |tx: &ReadTx| tx.oauth_applications().record(id);
        self.inner.store.read(find).await.map_err(Error::Store)
    }

    /// Up to `limit` applications of the organisation behind `after`, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn applications(
        &self,
        namespace: NamespaceId,
        after: Option<OauthApplicationId>,
        limit: usize,
    ) -> Result<Vec<Application>, Error> {
        let list = move |tx: &ReadTx| {
            tx.oauth_applications()
                .of_namespace(namespace, after, limit)
        };
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// Replaces what an application tells of itself.
    ///
    /// # Errors
    /// [`Error::Unknown`] unless the organisation has it; [`Error::Invalid`].
    pub async fn change_application(
        &self,
        namespace: NamespaceId,
        client_id: &str,
        fields: &ApplicationFields,
        by: &Performer,
    ) -> Result<OauthApplicationRecord, Error> {
        fields.check()?;
        let (client_id, fields, by) = (client_id.to_owned(), fields.clone(), by.clone());
        let now = self.inner.clock.now();
        self.change(move |tx| {
            let (id, mut record) = load(tx, namespace, &client_id)?;
            fields.fill(&mut record);
            tx.oauth_applications().put(id, &record);
            let told = fields.told();
            let line = line(LogKind::UpdateApplication, now, &by, &record, told);
            tx.logs().append(&line)?;
            Ok(record)
        })
        .await
    }

    /// Removes an application; its tokens are worth nothing from then on.
    ///
    /// # Errors
    /// [`Error::Unknown`] unless the organisation has it.
    pub async fn delete_application(
        &self,
        namespace: NamespaceId,
        client_id: &str,
        by: &Performer,
    ) -> Result<(), Error> {
        let (client_id, by, now) = (client_id.to_owned(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let (id, record) = load(tx, namespace, &client_id)?;
            tx.oauth_applications().remove(id)?;
            let line = line(LogKind::DeleteApplication, now, &by, &record, Map::new());
            Ok(tx.logs().append(&line)?)
        })
        .await
    }

    /// Gives an application a new client secret; the old one is worth nothing at once.
    ///
    /// # Errors
    /// [`Error::Unknown`] unless the organisation has it.
    pub async fn reset_client_secret(
        &self,
        namespace: NamespaceId,
        client_id: &str,
        by: &Performer,
    ) -> Result<OauthApplicationRecord, Error> {
        let secret = new_client_secret();
        let sealed = secret::seal_client_secret(&self.inner.seal, client_id, &secret);
        let (client_id, by, now) = (client_id.to_owned(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let (id, mut record) = load(tx, namespace, &client_id)?;
            record.client_secret = sealed.clone();
            tx.oauth_applications().put(id, &record);
            let kind = LogKind::ResetApplicationClientSecret;
            tx.logs()
                .append(&line(kind, now, &by, &record, Map::new()))?;
            Ok(record)
        })
        .await
    }

    /// The client secret, which can be shown again at any time.
    ///
    /// # Errors
    /// [`Error::SealBroken`].
    pub fn client_secret(&self, application: &OauthApplicationRecord) -> Result<Secret, Error> {
        secret::open_client_secret(&self.inner.seal, application)
    }

    /// Whether this is the client secret, compared in constant time (AU-09).
    ///
    /// # Errors
    /// [`Error::SealBroken`].
    pub fn is_client_secret(
        &self,
        application: &OauthApplicationRecord,
        shown: &str,
    ) -> Result<bool, Error> {
        let expected = self.client_secret(application)?;
        Ok(secret::is_same(&expected, shown))
    }
}

impl ApplicationFields {
    fn check(&self) -> Result<(), Error> {
        let invalid = |what, reason| Err(Error::Invalid { what, reason });
        if self.name == RESERVED_APPLICATION {
            return invalid("the application's name", "it is reserved");
        }
        let texts = self.texts();
        if texts.iter().any(|(_, text)| text.len() > TEXT_BYTES) {
            return invalid("the application", "its texts have at most 2048 bytes each");
        }
        Ok(())
    }

    fn fill(&self, record: &mut OauthApplicationRecord) {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        record.name.clone_from(&self.name);
        record.redirect_uri = text(&self.redirect_uri);
        record.application_uri = text(&self.application_uri);
        record.description = text(&self.description);
        record.avatar_email.clone_from(&self.avatar_email);
    }

    /// What was given, for the usage log.
    fn told(&self) -> Map<String, Value> {
        let texts = self.texts().into_iter();
        texts
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect()
    }

    fn texts(&self) -> Vec<(&'static str, &str)> {
        let given = [
            ("name", Some(&self.name)),
            ("redirect_uri", self.redirect_uri.as_ref()),
            ("application_uri", self.application_uri.as_ref()),
            ("description", self.description.as_ref()),
            ("avatar_email", self.avatar_email.as_ref()),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(name, text)| Some((name, text?.as_str())))
            .collect()
    }
}

/// An application of nobody yet, with a new client secret.
pub(super) fn draft(
    seal: &SealKey,
    client_id: String,
    fields: &ApplicationFields,
    now: Timestamp,
) -> OauthApplicationRecord {
    let mut record = OauthApplicationRecord {
        namespace: NamespaceId(0),
        client_secret: secret::seal_client_secret(seal, &client_id, &new_client_secret()),
        client_id,
        name: String::new(),
        description: String::new(),
        application_uri: String::new(),
        redirect_uri: String::new(),
        avatar_email: None,
        created: now,
    };
    fields.fill(&mut record);
    record
}

/// The application of this organisation.
pub(super) fn load(
    tx: &ReadTx,
    namespace: NamespaceId,
    client_id: &str,
) -> Result<Application, Error> {
    let found = tx.oauth_applications().by_client(client_id)?;
    let noun = Noun::Application;
    found
        .filter(|(_, record)| record.namespace == namespace)
        .ok_or(Error::Unknown { noun })
}

fn line(
    kind: LogKind,
    now: Timestamp,
    by: &Performer,
    application: &OauthApplicationRecord,
    mut told: Map<String, Value>,
) -> LogEntry {
    let name = application.name.clone();
    told.insert("application_name".to_owned(), name.into());
    let client_id = application.client_id.clone();
    told.insert("client_id".to_owned(), client_id.into());
    let line = LogEntry::new(kind, now, by).within(application.namespace);
    line.with(Value::Object(told))
}

fn new_client_secret() -> Secret {
    Secret::new(secret::random(CLIENT_SECRET))
}
