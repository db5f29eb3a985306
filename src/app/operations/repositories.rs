//! Operations on repositories, and how an operation finds what it is about.

use super::message::{RepositoryRow, Row};
use super::{Failure, Report, RepositoryPath};
use crate::app::assemble::Services;
use crate::model::{
    NamespaceId, NamespaceName, NamespaceRecord, Performer, RepositoryId, RepositoryRecord,
    Visibility,
};
use crate::oci::RepositoryName;
use crate::registry;
use crate::store::{self, ReadTx};

/// Repositories read in one go.
const PAGE: usize = 500;

/// A namespace that exists.
pub(super) struct Namespace {
    pub(super) id: NamespaceId,
    pub(super) record: NamespaceRecord,
}

/// A repository that exists.
pub(super) struct Located {
    pub(super) namespace: NamespaceId,
    pub(super) id: RepositoryId,
}

/// Lists repositories, of one namespace or of all.
pub(super) async fn list(
    services: &Services,
    name: Option<&NamespaceName>,
    report: &Report,
) -> Result<String, Failure> {
    let namespaces = match name {
        Some(name) => vec![namespace(services, name).await?],
        None => {
            let all = services.registry.store().scan(|tx| tx.namespaces().list());
            let all = all.await.map_err(registry::Error::from)?.into_iter();
            all.map(|(id, record)| Namespace { id, record }).collect()
        }
    };
    for namespace in &namespaces {
        list_namespace(services, namespace, report).await?;
    }
    Ok(String::new())
}

async fn list_namespace(
    services: &Services,
    namespace: &Namespace,
    report: &Report,
) -> Result<(), Failure> {
    let Namespace { id, record } = namespace;
    let mut after: Option<RepositoryName> = None;
    loop {
        let page = page(services, *id, after).await?;
        after = page.last().map(|repository| repository.name.clone());
        for repository in page {
            let visibility = match (repository.fetched, repository.visibility) {
                (true, _) => "cache",
                (false, Visibility::Public) => "public",
                (false, Visibility::Private) => "private",
            };
            let row = RepositoryRow {
                repository: RepositoryPath {
                    namespace: record.name.clone(),
                    name: repository.name,
                },
                visibility: visibility.to_owned(),
                created: repository.created,
            };
            report.row(Row::Repository(row)).await?;
        }
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The next repositories of a namespace, in the order of their names.
async fn page(
    services: &Services,
    namespace: NamespaceId,
    after: Option<RepositoryName>,
) -> Result<Vec<RepositoryRecord>, Failure> {
    let read = move |tx: &ReadTx| -> Result<Vec<RepositoryRecord>, registry::Error> {
        let names = tx.repositories().list(namespace, after.as_ref(), PAGE)?;
        let records = names
            .into_iter()
            .map(|(_, id)| tx.repositories().record(id));
        let records: Result<Vec<_>, store::Error> = records.collect();
        Ok(records?.into_iter().flatten().collect())
    };
    Ok(services.registry.store().scan(read).await?)
}

/// Makes an empty repository.
pub(super) async fn create(
    services: &Services,
    path: &RepositoryPath,
    public: bool,
) -> Result<String, Failure> {
    let namespace = namespace(services, &path.namespace).await?;
    if !namespace.record.is_local() {
        let name = &path.namespace;
        return Err(Failure::refused(format!(
            "{name} is a cache: the first pull makes its repositories"
        )));
    }
    let there = services.registry.repository(namespace.id, &path.name);
    if there.await?.is_some() {
        return Err(Failure::refused(format!(
            "the repository {path} exists already; `entrepot repository visibility` says who may \
             pull from it"
        )));
    }
    let visibility = visibility(public);
    services
        .registry
        .create_repository(namespace.id, &path.name, visibility, &Performer::default())
        .await?;
    let kind = if public { "public" } else { "private" };
    Ok(format!("{kind} repository {path} created"))
}

const fn visibility(public: bool) -> Visibility {
    match public {
        true => Visibility::Public,
        false => Visibility::Private,
    }
}

/// Lets everyone pull, or only those to whom it is granted.
pub(super) async fn set_visibility(
    services: &Services,
    path: &RepositoryPath,
    public: bool,
) -> Result<String, Failure> {
    let namespace = namespace(services, &path.namespace).await?;
    if !namespace.record.is_local() {
        let name = &path.namespace;
        return Err(Failure::refused(format!(
            "{name} is a cache, whose configuration says who may pull: anonymous_pull in \
             PROXY_CACHES"
        )));
    }
    let repository = locate(services, path).await?.id;
    let by = Performer::default();
    let changed = services
        .registry
        .set_visibility(repository, visibility(public), &by);
    match changed.await {
        Ok(()) if public => Ok(format!("{path} is public: everyone may pull from it")),
        Ok(()) => Ok(format!(
            "{path} is private: only those to whom it is granted may pull"
        )),
        Err(registry::Error::NameUnknown) => Err(unknown(path)),
        Err(error) => Err(error.into()),
    }
}

/// The namespace of that name.
pub(super) async fn namespace(
    services: &Services,
    name: &NamespaceName,
) -> Result<Namespace, Failure> {
    let found = services.registry.namespace(name).await?;
    let (id, record) = found.ok_or_else(|| {
        Failure::refused(format!(
            "there is no user and no organization {name}; make one with `entrepot organization \
             create` or `entrepot user create`"
        ))
    })?;
    Ok(Namespace { id, record })
}

/// The repository of that name.
pub(super) async fn locate(services: &Services, path: &RepositoryPath) -> Result<Located, Failure> {
    let namespace = namespace(services, &path.namespace).await?.id;
    let name = match services.proxy.operated(&path.namespace, &path.name) {
        // `alpine` of docker.io is `library/alpine`.
        Some(source) => source.name().clone(),
        None => path.name.clone(),
    };
    let id = services.registry.repository(namespace, &name).await?;
    let id = id.ok_or_else(|| unknown(path))?;
    Ok(Located { namespace, id })
}

fn unknown(path: &RepositoryPath) -> Failure {
    let namespace = &path.namespace;
    Failure::refused(format!(
        "there is no repository {path}; its first push makes it, or `entrepot repository create \
         {path}`, and `entrepot repository ls {namespace}` shows those there are"
    ))
}
