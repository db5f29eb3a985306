//! What may be pushed, where, and what a push makes.
//!
//! Called by `Config::load`; `registry` and `api` take the fields they obey.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::document::{Node, Value};
use super::features::Features;
use super::fields::Fields;
use super::report::Report;
use super::server::word;
use super::value::{self, Parsed};
use crate::model::{ByteSize, NamespaceName, UpstreamRule};
use crate::oci::MediaType;

/// Quay's bound of one blob.
const MAXIMUM_LAYER: ByteSize = ByteSize::gib(20);

/// What may be pushed, where, and what a push makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushConfig {
    /// Organisations in which anyone who reaches `LISTEN` may create, push and delete; they are made
    /// at the start where missing. None of them is a cache.
    pub anonymous: Vec<NamespaceName>,
    /// A repository made by a push is private.
    pub create_private: bool,
    /// A push to a namespace that is missing makes it an organisation of the pusher.
    pub create_namespace: bool,
    pub artifacts: Artifacts,
    /// Largest blob.
    pub maximum_layer: ByteSize,
    /// Image manifests may name blobs that the repository lacks.
    pub sparse_images: bool,
    /// Indexes may name manifests that the repository lacks.
    pub sparse_indexes: bool,
    /// Why nothing can be written; `None` if it can.
    pub closed: Option<Closed>,
}

/// Which manifests are accepted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Artifacts {
    /// Every one that is well formed.
    #[default]
    Any,
    /// Images and indexes of images.
    Images,
    /// Images, and artifacts whose config has one of these media types and whose layers have one of
    /// those that stand with it.
    Listed(BTreeMap<MediaType, BTreeSet<MediaType>>),
}

/// Why no push and no deletion is accepted and nothing is collected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// `DISABLE_PUSHES`
    PushesDisabled,
    /// `REGISTRY_STATE: readonly`; accounts cannot be changed either.
    ReadOnly,
}

/// What the rest of the file says that a push depends on.
pub(super) struct Around<'a> {
    pub(super) upstreams: &'a [UpstreamRule],
    pub(super) listen: &'a [SocketAddr],
    pub(super) features: &'a Features,
}

impl PushConfig {
    pub(super) fn read(fields: &Fields, around: &Around<'_>, report: &mut Report<'_>) -> Self {
        let mut switch = |key: &str, default| {
            let value = fields.read(report, key, value::switch);
            value.unwrap_or(default)
        };
        let create_private = switch("CREATE_PRIVATE_REPO_ON_PUSH", true);
        let create_namespace = switch("CREATE_NAMESPACE_ON_PUSH", false);
        let sparse_images = switch("ALLOW_SPARSE_IMAGES", false);
        let disabled = switch("DISABLE_PUSHES", false);
        let bytes = |node: &Node| value::size(node, ByteSize::mib(1), ByteSize(u64::MAX));
        let maximum_layer = fields.read(report, "MAXIMUM_LAYER_SIZE", bytes);
        Self {
            anonymous: anonymous(fields, around, report),
            create_private,
            create_namespace,
            artifacts: artifacts(fields, around.features, report),
            maximum_layer: maximum_layer.unwrap_or(MAXIMUM_LAYER),
            sparse_images,
            sparse_indexes: around.features.sparse_index,
            closed: closed(fields, disabled, report),
        }
    }
}

/// `ANONYMOUS_PUSH`: names of organisations, each once, none of them a cache.
fn anonymous(fields: &Fields, around: &Around<'_>, report: &mut Report<'_>) -> Vec<NamespaceName> {
    let key = "ANONYMOUS_PUSH";
    let mut names: Vec<NamespaceName> = Vec::new();
    let read = fields.list(report, key, |node| {
        let name = namespace(node)?;
        let cache = |rule: &UpstreamRule| rule.organization == name;
        if let Some(index) = around.upstreams.iter().position(cache) {
            return Err(format!(
                "{name} is a cache, PROXY_CACHES[{index}], and what a cache holds comes from \
                 upstream only; give another name, or take it out of PROXY_CACHES"
            ));
        }
        if names.contains(&name) {
            return Err(format!("{name} stands here twice; one of them must go"));
        }
        names.push(name);
        Ok(())
    });
    drop(read);
    if names.is_empty() {
        return names;
    }
    let place = fields.place_of(key);
    if !around.features.anonymous_access {
        let reason = "lets everyone in, but FEATURE_ANONYMOUS_ACCESS is false; one of them must go";
        report.mistake(place, key, reason);
    }
    if let Some(address) = around.listen.iter().find(|at| !at.ip().is_loopback()) {
        let names: Vec<&str> = names.iter().map(NamespaceName::as_str).collect();
        let names = names.join(", ");
        let text = format!("everyone who reaches {address} may push to and delete from {names}");
        report.warn(place, key, text);
    }
    names
}

/// The name of an organisation that is ours to make: Quay's rule, 2 to 255 bytes and single
/// separators.
pub(super) fn namespace(node: &Node) -> Parsed<NamespaceName> {
    let text = value::text(node)?;
    let is_run = |run: &str| {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !run.is_empty() && run.bytes().all(is_word)
    };
    let fits = (2..=255).contains(&text.len()) && text.split(['.', '_', '-']).all(is_run);
    let name = text.parse().ok().filter(|_| fits);
    name.ok_or_else(|| {
        format!(
            "{text:?} is not a name; write 2 to 255 lower-case letters and digits, with single \
             '.', '_' or '-' between them"
        )
    })
}

/// `ALLOWED_OCI_ARTIFACT_TYPES` and the switch above it.
fn artifacts(fields: &Fields, features: &Features, report: &mut Report<'_>) -> Artifacts {
    let key = "ALLOWED_OCI_ARTIFACT_TYPES";
    let listed = listed(fields, key, report);
    match listed {
        Some(_) if !features.general_oci_support => {
            let text = "has no effect while FEATURE_GENERAL_OCI_SUPPORT is false: only images are \
                        accepted";
            report.warn(fields.place_of(key), key, text);
            Artifacts::Images
        }
        Some(types) => Artifacts::Listed(types),
        None if !features.general_oci_support => Artifacts::Images,
        None => Artifacts::Any,
    }
}

fn listed(
    fields: &Fields,
    key: &str,
    report: &mut Report<'_>,
) -> Option<BTreeMap<MediaType, BTreeSet<MediaType>>> {
    let node = fields.get(key)?;
    let Value::Map(entries) = &node.value else {
        let kind = node.value.kind();
        let reason = format!(
            "expected a mapping from config media types to lists of layer media types, found {kind}"
        );
        report.mistake(node.place, key, reason);
        return None;
    };
    let mut types: BTreeMap<MediaType, BTreeSet<MediaType>> = BTreeMap::new();
    // A key may stand twice in the text, and each is a mapping of one entry on its own.
    for entry in entries {
        let config = match media_type(&entry.key) {
            Ok(config) if types.contains_key(&config) => Err(format!("{config} is given twice")),
            other => other,
        };
        let config = config.map_err(|reason| report.mistake(entry.place, key, reason));
        let path = format!("{key}.{}", entry.key);
        let layers = layers(&entry.value, &path, report);
        if let Ok(config) = config {
            types.insert(config, layers);
        }
    }
    Some(types)
}

/// The list of one config type; none at all is a config without layers.
fn layers(node: &Node, path: &str, report: &mut Report<'_>) -> BTreeSet<MediaType> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Text(_) => std::slice::from_ref(node),
        other => {
            let kind = other.kind();
            let reason = format!("expected a list of layer media types, found {kind}; [] for none");
            report.mistake(node.place, path, reason);
            &[]
        }
    };
    let mut layers = BTreeSet::new();
    for item in items {
        match value::text(item).and_then(|text| media_type(&text)) {
            Ok(layer) => {
                layers.insert(layer);
            }
            Err(reason) => report.mistake(item.place, path, reason),
        }
    }
    layers
}

/// RFC 6838, 4.2: a type and a subtype; parameters have no place here.
fn media_type(text: &str) -> Parsed<MediaType> {
    let is_name = |name: &str| {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        (1..=127).contains(&name.len()) && name.bytes().all(is_name_byte)
    };
    let fits = text
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype));
    let media_type = text.parse().ok().filter(|_| fits);
    media_type.ok_or_else(|| {
        format!(
            "{text:?} is not a media type; write one such as \
             application/vnd.cncf.helm.config.v1+json"
        )
    })
}

fn closed(fields: &Fields, disabled: bool, report: &mut Report<'_>) -> Option<Closed> {
    let states = [("normal", None), ("readonly", Some(Closed::ReadOnly))];
    let state = fields.read(report, "REGISTRY_STATE", |node| word(node, &states));
    state
        .flatten()
        .or_else(|| disabled.then_some(Closed::PushesDisabled))
}
