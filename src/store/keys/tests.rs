//! Keys sort as what they name, and read back.

use std::cmp::Reverse;
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{LogKind, LogScope};
use crate::oci::Algorithm;

fn digests() -> impl Strategy<Value = Digest> {
    (any::<bool>(), any::<u8>()).prop_map(|(long, seed)| {
        let algorithm = if long {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        Digest::with(algorithm, &[seed])
    })
}

/// Small numbers, so that they collide and later parts of a key decide; and the largest.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, 254..258_u64, Just(u64::MAX)]
}

fn repositories() -> impl Strategy<Value = RepositoryId> {
    numbers().prop_map(RepositoryId)
}

fn namespaces() -> impl Strategy<Value = NamespaceId> {
    numbers().prop_map(NamespaceId)
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![-2..3_i64, any::<i64>()].prop_map(Timestamp::from_millis)
}

fn tags() -> impl Strategy<Value = Tag> {
    "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,3}".prop_map(|text| text.parse().unwrap())
}

fn names() -> impl Strategy<Value = RepositoryName> {
    "[a-z0-9]{1,2}(/[a-z0-9]{1,2}){0,2}".prop_map(|text| text.parse().unwrap())
}

fn units() -> impl Strategy<Value = Unit> {
    (namespaces(), repositories(), digests()).prop_map(|(namespace, repository, digest)| Unit {
        namespace,
        repository,
        digest,
    })
}

fn scopes() -> impl Strategy<Value = LogScope> {
    (any::<bool>(), numbers()).prop_map(|(namespace, id)| match namespace {
        true => LogScope::Namespace(NamespaceId(id)),
        false => LogScope::Repository(RepositoryId(id)),
    })
}

/// Namespaces first.
const fn scope_order(scope: LogScope) -> (u8, u64) {
    match scope {
        LogScope::Namespace(id) => (1, id.0),
        LogScope::Repository(id) => (2, id.0),
    }
}

fn reviews() -> impl Strategy<Value = Review> {
    prop_oneof![
        (repositories(), tags()).prop_map(|(repository, tag)| Review::Tag { repository, tag }),
        (repositories(), numbers()).prop_map(|(repository, sequence)| Review::Lifetime {
            repository,
            sequence
        }),
        (repositories(), digests())
            .prop_map(|(repository, digest)| Review::Manifest { repository, digest }),
        (repositories(), digests())
            .prop_map(|(repository, digest)| Review::Blob { repository, digest }),
    ]
}

/// Sorting values and sorting their keys gives the same order.
fn sorts_alike<T: Clone + Debug + Ord>(
    values: &[T],
    key: impl Fn(&T) -> Key,
) -> Result<(), TestCaseError> {
    let mut by_value = values.to_vec();
    by_value.sort();
    let mut by_key = values.to_vec();
    by_key.sort_by_key(|value| key(value));
    prop_assert_eq!(by_value, by_key);
    Ok(())
}

proptest! {
    #[test]
    fn content_sorts_by_repository_then_digest(v in vec((repositories(), digests()), 0..20)) {
        sorts_alike(&v, |(repository, digest)| content(*repository, digest))?;
    }

    #[test]
    fn holders_sort_by_digest_then_holder(v in vec((digests(), repositories()), 0..20)) {
        sorts_alike(&v, |(digest, repository)| holder(digest, *repository))?;
        sorts_alike(&v, |(digest, id)| owner(digest, NamespaceId(id.0)))?;
    }

    #[test]
    fn namings_sort_by_repository_named_and_namer(
        v in vec((repositories(), digests(), digests()), 0..20),
    ) {
        sorts_alike(&v, |(repository, named, by)| naming(*repository, named, by))?;
    }

    #[test]
    fn tags_sort_in_byte_order(v in vec((repositories(), tags()), 0..20)) {
        sorts_alike(&v, |(repository, name)| tag(*repository, name))?;
    }

    #[test]
    fn targets_sort_by_digest_then_tag(v in vec((repositories(), digests(), tags()), 0..20)) {
        sorts_alike(&v, |(repository, digest, tag)| target(*repository, digest, tag))?;
    }

    #[test]
    fn repository_names_sort_within_their_namespace(v in vec((namespaces(), names()), 0..20)) {
        sorts_alike(&v, |(namespace, name)| repository_name(*namespace, name))?;
    }

    #[test]
    fn later_lifetimes_sort_first(v in vec((repositories(), numbers().prop_map(Reverse)), 0..20)) {
        sorts_alike(&v, |(repository, sequence)| lifetime(*repository, sequence.0))?;
    }

    #[test]
    fn reviews_sort_by_when_they_are_due(v in vec((times(), reviews()), 0..20)) {
        let v: Vec<_> = v.into_iter().map(|(at, of)| (at, review(at, &of), of)).collect();
        sorts_alike(&v, |(at, _, of)| review(*at, of))?;
    }

    #[test]
    fn units_sort_by_their_use(v in vec((times(), units()), 0..20)) {
        let v: Vec<_> = v.into_iter().map(|(at, unit)| (unit.namespace, at, unit)).collect();
        sorts_alike(&v, |(_, at, unit)| used(*at, unit))?;
        let units: Vec<_> = v.into_iter().map(|(_, _, unit)| unit).collect();
        sorts_alike(&units, unit)?;
    }

    #[test]
    fn what_was_written_reads_back(
        (repository, first, second) in (repositories(), digests(), digests()),
        (name, label, sequence) in (names(), tags(), numbers()),
        (at, unit) in (times(), units()),
    ) {
        prop_assert_eq!(read_digest(&digest(&first)), Some(first));
        prop_assert_eq!(read_content(&content(repository, &first)), Some(first));
        prop_assert_eq!(read_holder(&holder(&first, repository)), Some(repository));
        prop_assert_eq!(read_naming(&naming(repository, &first, &second)), Some(second));
        prop_assert_eq!(read_tag(&tag(repository, &label)), Some(label.clone()));
        prop_assert_eq!(read_target(&target(repository, &first, &label)), Some(label));
        prop_assert_eq!(read_lifetime(&lifetime(repository, sequence)), Some(sequence));
        let key = lifetime_target(repository, &first, sequence);
        prop_assert_eq!(read_lifetime_target(&key), Some(sequence));
        prop_assert_eq!(read_used(&used(at, &unit)), Some(unit));
        let key = repository_name(unit.namespace, &name);
        prop_assert_eq!(read_repository_name(&key), Some(name));
    }

    #[test]
    fn a_review_reads_back(at in times(), of in reviews()) {
        prop_assert_eq!(read_review(&review(at, &of)), Some((at, of)));
    }

    #[test]
    fn what_is_due_is_what_is_not_later(now in times(), at in times(), of in reviews()) {
        let key = review(at, &of);
        let upper = match Span::up_to(&due(now)).bounds().1 {
            Bound::Excluded(upper) => &key[..] < upper,
            _ => true,
        };
        prop_assert_eq!(upper, at <= now);
    }

    #[test]
    fn a_span_holds_exactly_what_begins_with_its_prefix(
        prefix in vec(prop_oneof![Just(0_u8), Just(254), Just(255)], 0..4),
        key in vec(prop_oneof![Just(0_u8), Just(254), Just(255)], 0..6),
    ) {
        let span = Span::under(prefix.clone());
        let lower = match span.bounds().0 {
            Bound::Included(lower) => lower <= &key[..],
            _ => false,
        };
        let upper = match span.bounds().1 {
            Bound::Excluded(upper) => &key[..] < upper,
            _ => true,
        };
        prop_assert_eq!(lower && upper, key.starts_with(&prefix));
    }

    #[test]
    fn later_lines_of_the_log_sort_first(v in vec((scopes(), times(), numbers()), 0..20)) {
        let newest = |at: &Timestamp, sequence: &u64| (Reverse(*at), Reverse(*sequence));
        let lines: Vec<_> = v.iter().map(|(_, at, sequence)| newest(at, sequence)).collect();
        sorts_alike(&lines, |(at, sequence)| log(at.0, sequence.0))?;
        let v: Vec<_> = v.into_iter().map(|(of, at, n)| (scope_order(of), newest(&at, &n), of)).collect();
        sorts_alike(&v, |(_, (at, sequence), of)| scoped_log(*of, at.0, sequence.0))?;
        sorts_alike(&v, |(_, (at, sequence), of)| performer_log(*of, "ann", at.0, sequence.0))?;
    }

    /// No name of a performer, and no name followed by a time, is taken for another's.
    #[test]
    fn lines_of_one_performer_are_no_others(
        (one, other) in (names(), names()),
        (of, at, sequence) in (scopes(), times(), numbers()),
    ) {
        let key = performer_log(of, other.as_str(), at, sequence);
        let begins = key.starts_with(&log_performer(of, one.as_str()));
        prop_assert_eq!(begins, one == other);
        let count = log_count(7, Some(of), Some(other.as_str()), Some(LogKind::PushRepo));
        let begins = count.starts_with(&log_counts(7, Some(of), Some(one.as_str())));
        prop_assert_eq!(begins, one == other);
        prop_assert!(!count.starts_with(&log_counts(7, Some(of), None)));
    }

    #[test]
    fn counts_sort_by_day(v in vec((any::<i32>(), any::<bool>()), 0..20)) {
        let scope = |filed: bool| filed.then_some(LogScope::Repository(RepositoryId(1)));
        sorts_alike(&v, |(day, filed)| log_count(*day, scope(*filed), None, None))?;
    }

    #[test]
    fn a_window_of_the_log_holds_what_is_in_it(
        (from, to, at) in (times(), times(), times()),
        sequence in numbers(),
    ) {
        let key = log(at, sequence);
        let span = Span::between(log_time(to), &log_time(from));
        let (lower, upper) = span.bounds();
        let inside = std::ops::RangeBounds::<[u8]>::contains(&(lower, upper), &key[..]);
        prop_assert_eq!(inside, from <= at && at <= to);
    }

    #[test]
    fn later_notices_sort_first_in_their_inbox(v in vec((namespaces(), numbers()), 0..20)) {
        let v: Vec<_> = v.into_iter().map(|(of, n)| (of, Reverse(n))).collect();
        sorts_alike(&v, |(of, sequence)| notice(*of, sequence.0))?;
    }

    #[test]
    fn lines_and_notices_read_back(
        (of, at, sequence) in (scopes(), times(), numbers()),
        (target, kind) in (namespaces(), 0..LogKind::ALL.len()),
        name in names(),
    ) {
        let kind = LogKind::ALL[kind];
        prop_assert_eq!(read_log(&log(at, sequence)), Some((at, sequence)));
        prop_assert_eq!(read_filed_log(&scoped_log(of, at, sequence)), Some((at, sequence)));
        let key = performer_log(of, name.as_str(), at, sequence);
        prop_assert_eq!(read_filed_log(&key), Some((at, sequence)));
        let key = log_count(-1, Some(of), Some(name.as_str()), Some(kind));
        prop_assert_eq!(read_log_count(&key), Some(Some(kind)));
        prop_assert_eq!(read_log_count(&log_count(0, None, None, None)), Some(None));
        prop_assert_eq!(read_notice(&notice(target, sequence)), Some((target, sequence)));
        let key = notice_about(name.as_str(), target, sequence);
        prop_assert_eq!(read_notice_about(&key), Some((target, sequence)));
    }

    #[test]
    fn nothing_lies_behind_the_end_of_a_range(
        prefix in vec(any::<u8>(), 1..3),
        key in vec(any::<u8>(), 0..4),
    ) {
        let span = Span::under(prefix.clone()).after(Some(key.clone()));
        // Such a range makes a map panic if it ends before it begins.
        let rows = std::collections::BTreeMap::from([(key, ()), (prefix, ())]);
        prop_assert!(rows.range::<[u8], _>(span.bounds()).count() <= 1);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = (read_digest(&bytes), read_content(&bytes), read_holder(&bytes));
        let _ = (read_naming(&bytes), read_tag(&bytes), read_target(&bytes));
        let _ = (read_lifetime(&bytes), read_lifetime_target(&bytes), read_review(&bytes));
        let _ = (read_used(&bytes), read_repository_name(&bytes));
        let _ = (read_log(&bytes), read_filed_log(&bytes), read_log_count(&bytes));
        let _ = (read_notice(&bytes), read_notice_about(&bytes));
    }
}
