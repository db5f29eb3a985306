//! The sizes that the specifications fix or recommend, and those we bound ourselves by.

/// Longest repository name, in bytes. Clients cap host and name together at 255.
pub const NAME_BYTES: usize = 255;

/// Longest tag, in bytes (distribution-spec: 128 characters of ASCII).
pub const TAG_BYTES: usize = 128;

/// Largest manifest, in bytes (distribution-spec: at least 4 MiB must be accepted).
pub const MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// Deepest nesting of a manifest's JSON.
pub const JSON_DEPTH: usize = 64;

/// Most descriptors a manifest may name.
pub const MANIFEST_ELEMENTS: usize = 10_000;

/// Most ranges answered one by one; more are answered with the whole blob.
pub const RANGES: usize = 1024;

/// Most entries of a list of token scopes, those included that grant nothing here (AU-03).
pub const SCOPES: usize = 100;

/// Longest entry of such a list, in bytes: a host, a repository name and every action.
pub const SCOPE_BYTES: usize = 1024;
