//! The registry as the distribution specification's own suite sees it.

mod access;
mod anonymous;
mod catalogue;
mod changes;
mod collection;
mod conformance;
mod deletes;
mod logins;
mod manifests;
mod mounts;
mod pushes;
mod referrers;
mod revocation;
mod schedules;
mod tags;
mod tokens;
mod uploads;
