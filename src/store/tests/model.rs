//! Random work against a simple model: indexes, counts and bodies follow the facts, in the middle of
//! a write as after it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{Actor, RecencyRecord, TagRecord, Unit};
use crate::oci::Tag;
use crate::store::keys::Span;
use crate::store::tables::Table;

const REPOSITORIES: u64 = 3;
const CONTENTS: usize = 4;
const TAGS: [&str; 3] = ["a", "a1", "b"];

/// Repositories 1 and 2 are of namespace 1, repository 3 of namespace 2.
const fn namespace(repository: u64) -> NamespaceId {
    NamespaceId(1 + repository / 3)
}

fn content(n: usize) -> Digest {
    digest(&n.to_string())
}

fn tag(n: usize) -> Tag {
    TAGS[n].parse().unwrap()
}

#[derive(Clone, Debug)]
enum Act {
    /// Children and blobs are those whose bit is set.
    PutManifest(u64, usize, u8, u8),
    RemoveManifest(u64, usize),
    PutTag(u64, usize, usize),
    RemoveTag(u64, usize),
    Link(u64, usize),
    Unlink(u64, usize),
    Use(u64, usize, i64),
    Forget(u64, usize),
}

/// The acts of one write, and whether it is refused in the end.
type Write = (Vec<Act>, bool);

fn acts() -> impl Strategy<Value = Act> {
    let (r, c) = (1..=REPOSITORIES, 0..CONTENTS);
    let bits = 0..1_u8 << CONTENTS;
    prop_oneof![
        3 => (r.clone(), c.clone(), bits.clone(), bits)
            .prop_map(|(r, c, children, blobs)| Act::PutManifest(r, c, children, blobs)),
        2 => (r.clone(), c.clone()).prop_map(|(r, c)| Act::RemoveManifest(r, c)),
        2 => (r.clone(), 0..TAGS.len(), c.clone()).prop_map(|(r, t, c)| Act::PutTag(r, t, c)),
        1 => (r.clone(), 0..TAGS.len()).prop_map(|(r, t)| Act::RemoveTag(r, t)),
        2 => (r.clone(), c.clone()).prop_map(|(r, c)| Act::Link(r, c)),
        2 => (r.clone(), c.clone()).prop_map(|(r, c)| Act::Unlink(r, c)),
        2 => (r.clone(), c.clone(), -2..3_i64).prop_map(|(r, c, at)| Act::Use(r, c, at)),
        1 => (r, c).prop_map(|(r, c)| Act::Forget(r, c)),
    ]
}

#[derive(Clone, Debug, Default)]
struct Model {
    manifests: BTreeMap<(u64, Digest), ManifestRecord>,
    tags: BTreeMap<(u64, Tag), Digest>,
    links: BTreeSet<(u64, Digest)>,
    uses: BTreeMap<(u64, Digest), i64>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("refused, as planned")]
    Planned,
    #[error("{0}")]
    Differs(String),
    #[error(transparent)]
    Store(#[from] Error),
}

macro_rules! same {
    ($found:expr, $expected:expr) => {
        let (found, expected) = (&$found, &$expected);
        if found != expected {
            let text = format!("line {}: {found:?}, not {expected:?}", line!());
            return Err(Failure::Differs(text));
        }
    };
}

impl Model {
    /// Does the same to the store and to the model, and compares what is answered.
    fn act(&mut self, tx: &mut WriteTx<'_>, act: &Act) -> Result<(), Failure> {
        match *act {
            Act::PutManifest(r, c, children, blobs) => {
                let set = |bits: u8| (0..CONTENTS).filter(move |n| bits & 1 << n != 0);
                let named = |bits| set(bits).map(content).collect::<Vec<_>>();
                let record = manifest(&named(children), &named(blobs));
                let body = c.to_string();
                tx.manifests()
                    .put(RepositoryId(r), &content(c), &record, body.as_bytes())?;
                self.manifests.insert((r, content(c)), record);
            }
            Act::RemoveManifest(r, c) => {
                let removed = tx.manifests().remove(RepositoryId(r), &content(c))?;
                same!(removed, self.manifests.remove(&(r, content(c))));
            }
            Act::PutTag(r, t, c) => {
                tx.tags().put(RepositoryId(r), &tag(t), &pointing(c))?;
                self.tags.insert((r, tag(t)), content(c));
            }
            Act::RemoveTag(r, t) => {
                let removed = tx.tags().remove(RepositoryId(r), &tag(t))?;
                let expected = self.tags.remove(&(r, tag(t)));
                same!(removed.map(|record| record.digest), expected);
            }
            Act::Link(r, c) => {
                let change = tx
                    .blobs()
                    .link(namespace(r), RepositoryId(r), &content(c))?;
                let first = !self.linked_by(namespace(r), c);
                self.links.insert((r, content(c)));
                same!(change.first_of_namespace, first);
                same!(
                    (change.last_of_namespace, change.last_of_all),
                    (false, false)
                );
            }
            Act::Unlink(r, c) => {
                let blobs = &mut tx.blobs();
                let change = blobs.unlink(namespace(r), RepositoryId(r), &content(c))?;
                let was = self.links.remove(&(r, content(c)));
                let last = was && !self.linked_by(namespace(r), c);
                let all = was && !self.links.iter().any(|(_, blob)| *blob == content(c));
                same!((change.last_of_namespace, change.last_of_all), (last, all));
                same!(change.first_of_namespace, false);
            }
            Act::Use(r, c, millis) => {
                let record = RecencyRecord {
                    last_used: at(millis),
                    ..RecencyRecord::default()
                };
                tx.recency().put(&unit(r, content(c)), &record)?;
                self.uses.insert((r, content(c)), millis);
            }
            Act::Forget(r, c) => {
                tx.recency().remove(&unit(r, content(c)))?;
                self.uses.remove(&(r, content(c)));
            }
        }
        Ok(())
    }

    fn linked_by(&self, by: NamespaceId, c: usize) -> bool {
        let mut links = self.links.iter();
        links.any(|(r, blob)| namespace(*r) == by && *blob == content(c))
    }

    /// Every view of the store shows what the model says.
    fn check(&self, tx: &ReadTx) -> Result<(), Failure> {
        for r in 1..=REPOSITORIES {
            self.check_repository(tx, r)?;
        }
        for c in 0..CONTENTS {
            let digest = content(c);
            let holders = (1..=REPOSITORIES).filter(|r| self.manifests.contains_key(&(*r, digest)));
            let holders: Vec<_> = holders.map(RepositoryId).collect();
            same!(tx.manifests().holders(&digest, 9)?, holders);
            let body = tx.manifests().body(&digest)?;
            same!(body.is_some(), !holders.is_empty());
            let linked = self.links.iter().any(|(_, blob)| *blob == digest);
            same!(tx.blobs().is_linked_at_all(&digest)?, linked);
        }
        for by in 1..=2 {
            self.check_recency(tx, NamespaceId(by))?;
        }
        audit(tx)
    }

    fn check_repository(&self, tx: &ReadTx, r: u64) -> Result<(), Failure> {
        let repository = RepositoryId(r);
        let held = || self.manifests.iter().filter(move |((of, _), _)| *of == r);
        let expected: Vec<_> = held()
            .map(|((_, d), record)| (*d, record.clone()))
            .collect();
        same!(tx.manifests().list(repository, None, 99)?, expected);
        let tags = || self.tags.iter().filter(move |((of, _), _)| *of == r);
        let expected: Vec<_> = tags().map(|((_, tag), _)| tag.clone()).collect();
        let mut paged: Vec<Tag> = Vec::new();
        while let [(tag, _)] = &tx.tags().list(repository, paged.last(), 1)?[..] {
            paged.push(tag.clone());
        }
        same!(paged, expected);
        let links = self.links.iter().filter(|(of, _)| *of == r);
        let expected: Vec<_> = links.map(|(_, blob)| *blob).collect();
        same!(tx.blobs().linked(repository, None, 99)?, expected);
        for digest in (0..CONTENTS).map(content) {
            let parents = held().filter(|(_, record)| record.children.contains(&digest));
            let parents: Vec<_> = parents.map(|((_, parent), _)| *parent).collect();
            same!(tx.manifests().parents(repository, &digest)?, parents);
            let names = |record: &ManifestRecord| record.blobs.contains(&(digest, 1));
            let namers = held().filter(|(_, record)| names(record));
            let namers: Vec<_> = namers.map(|((_, namer), _)| *namer).collect();
            same!(tx.manifests().naming_blob(repository, &digest, 99)?, namers);
            let pointing = tags().filter(|(_, target)| **target == digest);
            let pointing: Vec<_> = pointing.map(|((_, tag), _)| tag.clone()).collect();
            same!(tx.tags().of_manifest(repository, &digest, 99)?, pointing);
        }
        Ok(())
    }

    fn check_recency(&self, tx: &ReadTx, by: NamespaceId) -> Result<(), Failure> {
        let uses = self.uses.iter().filter(|((r, _), _)| namespace(*r) == by);
        let mut expected: Vec<_> = uses.map(|((r, d), millis)| (*millis, *r, *d)).collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.iter().map(|(_, r, d)| unit(*r, *d)).collect();
        let oldest = tx.recency().oldest(by, None, 99)?;
        same!(
            oldest.into_iter().map(|(unit, _)| unit).collect::<Vec<_>>(),
            expected
        );
        Ok(())
    }
}

/// What is derived is what it is derived from.
fn audit(tx: &ReadTx) -> Result<(), Failure> {
    let mut progress = Some(Progress::default());
    while let Some(from) = progress {
        let (faults, next) = tx.audit().page(from, 7)?;
        same!(faults, Vec::new());
        progress = next;
    }
    let mut after = None;
    while let Some((repository, wrong)) = tx.audit().numbers(after)? {
        same!(wrong, Vec::new());
        after = Some(repository);
    }
    Ok(())
}

fn pointing(c: usize) -> TagRecord {
    TagRecord::new(content(c), at(0), Actor::System)
}

fn unit(repository: u64, digest: Digest) -> Unit {
    Unit {
        namespace: namespace(repository),
        repository: RepositoryId(repository),
        digest,
    }
}

/// Everything that undoes everything.
fn clearing() -> Vec<Act> {
    let mut acts = Vec::new();
    for r in 1..=REPOSITORIES {
        for c in 0..CONTENTS {
            acts.extend([
                Act::RemoveManifest(r, c),
                Act::Unlink(r, c),
                Act::Forget(r, c),
            ]);
        }
        acts.extend((0..TAGS.len()).map(|t| Act::RemoveTag(r, t)));
    }
    acts
}

/// Runs the writes, comparing store and model inside each and after it.
async fn run(site: &Site, writes: Vec<Write>) -> Result<(), Failure> {
    let mut model = Model::default();
    for (acts, refused) in writes {
        let before = model.clone();
        let write = move |tx: &mut WriteTx<'_>| {
            let mut model = before.clone();
            acts.iter().try_for_each(|act| model.act(tx, act))?;
            model.check(tx)?;
            if refused {
                Err(Failure::Planned)
            } else {
                Ok(model)
            }
        };
        match site.store.write(write).await {
            Ok(changed) => model = changed,
            Err(Failure::Planned) => {}
            Err(failure) => return Err(failure),
        }
        site.store.read(|tx| model.check(tx)).await?;
    }
    Ok(())
}

async fn no_row_is_left(site: &Site) -> Result<(), Failure> {
    let read = |tx: &ReadTx| {
        for table in Table::ALL.iter().filter(|table| **table != Table::Meta) {
            let left = tx.has_any(*table, &Span::ALL)?;
            same!((table, left), (table, false));
        }
        Ok(())
    };
    site.store.read(read).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn indexes_and_counts_follow_the_facts(
        writes in vec((vec(acts(), 1..12), proptest::bool::weighted(0.2)), 1..8),
    ) {
        let site = Site::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(async {
            let cleared = [(clearing(), false)];
            run(&site, writes.into_iter().chain(cleared).collect()).await?;
            no_row_is_left(&site).await
        });
        if let Err(failure) = outcome {
            prop_assert!(false, "{failure}");
        }
    }
}
