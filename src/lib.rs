//! entrepot: a container registry appliance in one binary.
//!
//! It is a pull-through cache of upstream registries, a mirror of chosen tags, and a local registry,
//! over one embedded redb file and one folder of blobs. This page is the map; each room's own page
//! says what it promises.
//!
//! # Rooms
//!
//! Reads go through [`proxy`], writes through [`registry`], every HTTP door is in [`api`]. A room may
//! import rooms on lower floors only; `tests/architecture.rs` holds the table and keeps it true.
//!
//! ```text
//!  8  app                                    wires everything, owns process life
//!  7  api            jobs                    doors (HTTP in)      clock (time in)
//!  6  proxy  mirror  bundle                  what the product does
//!  5  registry       auth                    content of a registry  who is asking, may they
//!  4  quota  backup  accounts      notify    limits; copies; people and robots; the usage log, inboxes
//!  3  store  blob  outbound  upstream  http  redb; files; HTTP clients; other registries; hyper
//!  2  config                                 what the operator said, checked
//!  1  model                                  nouns we store
//!  0  oci   telemetry                        nouns the specifications define;  logs and metrics
//! ```
//!
//! Only `store` knows redb, only `blob` knows blob files, only `outbound` makes HTTP clients, only
//! `upstream` speaks to other registries, only `config` reads YAML and the environment, only `http`
//! knows hyper, and no room below `api` knows a status code.
//!
//! # Order of writes
//!
//! Bytes are durable before the row that names them: write a partial file, verify digest and length,
//! sync, rename, sync the folder, commit the row, answer. Deletion runs the other way: commit, answer,
//! unlink. A crash can leave only files without rows, which a sweep removes; a row without its file
//! (somebody removed it) counts as absent and heals at the next pull.
//!
//! # Walks
//!
//! **Warm manifest.** `http` connection → `api::v2` door → `proxy::route` → `proxy` manifest, fresh →
//! `registry` hot entry → bytes out. No transaction, no disk, no store write; the use is noted in
//! memory and written with others later.
//!
//! **Warm blob.** The same to `registry::lookup`, which opens the file through `blob`; on a plain
//! HTTP/1.1 connection `http` sends it by sendfile(2), otherwise in pooled pieces.
//!
//! **Cold manifest.** `proxy` joins or begins the one flight for the reference → `upstream` (token,
//! retry, limit, breaker inside) → digest checked → `registry` ingests in one transaction → all
//! waiters are answered.
//!
//! **Cold blob.** `proxy` joins or begins the one fill for the digest: `upstream` answers, room is
//! reserved in `quota` (evicting what was used least recently), and `blob` writes a growing file that
//! every asker reads; the last byte is held back until the digest is right, then the file is renamed and
//! linked. What has no room streams past the cache, over the connection that answered.
//!
//! **Stale tag.** One HEAD upstream for all who wait, within the revalidation deadline; no answer, or
//! any answer but a new digest or two 404 half a minute apart, leaves what is held being served.
//!
//! **Login.** `api::v2` token door → `auth` turns name and password into an identity (`accounts` hashes,
//! throttled, remembered for a minute) → rights as they are now bound what the token says → signed by the
//! ring of keys. At each later request `auth` believes the token, and reads the rights again: cached under
//! `accounts`' generation, which every change of accounts or grants moves.
//!
//! **Push.** A session id is made from nothing but random bytes, repository and person under a MAC: no row,
//! no file. Pieces go through `registry::uploads`, which reserves room in `quota`, to `blob`, and are
//! durable when answered. The last request compares the digest, renames the file and links the blob to
//! its repository; a mount does only that. The manifest comes last: `oci` checks its form, `registry::push`
//! in one transaction that what it names is here, its row, its referrer entry and its tags, which move only
//! through `registry::pointing`.
//!
//! **Usage log.** What changes something writes its line in the transaction of the change. What changes
//! nothing (a pull, a login) is noted in memory by `notify`, equal acts of a minute together, and written
//! with others within half a minute.
//!
//! **Deletion.** One transaction: the tag ends, or the manifest is marked and all its tags end; a lifetime is
//! written from which it can be restored, and a review for when it no longer can. The bytes stay.
//!
//! **Pruning.** A policy that is made puts a job on the queue, in its transaction. `jobs` takes it off by lease and
//! has `registry::prune` walk through the namespace: tags are read newest first, the policies choose, and what is
//! chosen ends as if somebody had deleted it, a few tags a transaction. Then the job waits for its next turn.
//!
//! **Mirror run.** What is due is put on the queue; `jobs` takes it off in a lane of its own and has `mirror` list the
//! source once, compare, and copy what changed through `upstream` into `blob` and `registry`, as if the mirror's
//! robot pushed it. Progress is rows in the store, so that a run that was cut off goes on where it was.
//!
//! **Bundle.** Tags lead to manifests, these to blobs and to what refers to them: `bundle` lays all of it out as
//! an image layout, signs its description and streams it volume by volume. On the far side it judges the
//! description, puts blobs aside as uploads while it hashes them, looks whether every part is here, and only
//! then has `registry` link, ingest and tag.
//!
//! **Backup.** A command has the operation stream every row of one snapshot of `store`, and the digests it needs,
//! while `registry` holds files that would be unlinked; the command links or copies them itself, since it may be
//! root and the server confined. `backup` lays out the folder. A restore goes the other way without a server, and has
//! `registry` check the result before it gets the name of a store.
//!
//! **Collection.** Whoever may make something unneeded has written a review `(due, what)` in the same
//! transaction. `jobs` turns `registry::gc`, which takes reviews that are due in short transactions: still needed,
//! put off, or removed, row first, file after, under the lock that publication of the same digest takes.
//! Nothing is searched for that; a daily look for what was forgotten only proves that there is nothing.

pub mod accounts;
pub mod api;
pub mod app;
pub mod auth;
pub mod backup;
pub mod blob;
pub mod bundle;
pub mod config;
pub mod http;
pub mod jobs;
pub mod mirror;
pub mod model;
pub mod notify;
pub mod oci;
pub mod outbound;
pub mod proxy;
pub mod quota;
pub mod registry;
pub mod store;
pub mod telemetry;
pub mod upstream;
