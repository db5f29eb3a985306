//! The choice: which tags of a repository policies take. Pure; who calls it reads the tags and ends them.
//!
//! All policies count (Quay: those of a repository do not stand in for those of its namespace). What is too old
//! goes first; of what is left, what are too many. So policies by age never have one by number keep less than
//! it says. A tag that may not go is not counted either, as in Quay.

use std::sync::Arc;

use regex::Regex;

use super::{Origin, Why};
use crate::model::{Age, PrunePolicy, PruneRule, Timestamp, Uuid};
use crate::oci::Tag;
use crate::registry::patterns::{Over, Patterns};

/// A tag as it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Seen<'a> {
    pub(super) tag: &'a Tag,
    /// When it began to point where it does.
    pub(super) since: Timestamp,
    /// When its manifest was last pulled, if that is known.
    pub(super) last_pulled: Option<Timestamp>,
    /// It is immutable, pinned, or has ended by itself already.
    pub(super) is_fixed: bool,
}

/// A policy ready to be followed.
struct Followed {
    why: Why,
    /// With whether tags are meant that match.
    pattern: Option<(Arc<Regex>, bool)>,
    /// Tags that a policy by number has left alone.
    left: u64,
}

/// What has been looked at in one repository, the newest first.
pub(super) struct Choice(Vec<Followed>);

impl Choice {
    /// Begins with what is in force; a policy whose pattern cannot be read takes nothing.
    pub(super) fn begin(policies: &[(Origin, PrunePolicy)], patterns: &Patterns) -> Self {
        let mut followed: Vec<Followed> = policies
            .iter()
            .filter_map(|(origin, policy)| Followed::new(*origin, policy, patterns))
            .collect();
        // Stable: policies of one kind stay in their order.
        followed.sort_by_key(|followed| matches!(followed.why.rule, PruneRule::NumberOfTags(_)));
        Self(followed)
    }

    /// Whether nothing can be taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it matters when manifests were pulled.
    pub(super) fn minds_pulls(&self) -> bool {
        let mut policies = self.0.iter();
        policies.any(|followed| matches!(followed.why.rule, PruneRule::LastPulled(_)))
    }

    /// Why a tag goes, if it does. Tags are given in the order of their beginnings, the last first.
    pub(super) fn look(&mut self, seen: &Seen<'_>, now: Timestamp) -> Option<Why> {
        if seen.is_fixed || is_companion(seen.tag) {
            return None;
        }
        let mut policies = self.0.iter_mut();
        policies.find_map(|followed| {
            (followed.means(seen.tag) && followed.takes(seen, now)).then_some(followed.why)
        })
    }
}

impl Followed {
    fn new(origin: Origin, policy: &PrunePolicy, patterns: &Patterns) -> Option<Self> {
        let compile = |pattern: &String| patterns.compile(Over::Part, pattern);
        let pattern = policy.tag_pattern.as_ref().map(compile);
        Some(Self {
            why: Why {
                rule: policy.rule,
                origin,
            },
            pattern: pattern.transpose().ok()?.map(|it| (it, policy.matches)),
            left: 0,
        })
    }

    /// Without a pattern every tag is meant, whatever is said of matches.
    fn means(&self, tag: &Tag) -> bool {
        let pattern = self.pattern.as_ref();
        pattern.is_none_or(|(pattern, matches)| pattern.is_match(tag.as_str()) == *matches)
    }

    fn takes(&mut self, seen: &Seen<'_>, now: Timestamp) -> bool {
        // A time that lies ahead is no age: a clock that was set back prunes nothing.
        let exceeds = |time: Timestamp, age: Age| now.since(time) > age.duration();
        match self.why.rule {
            PruneRule::NumberOfTags(most) if self.left < most => {
                self.left += 1;
                false
            }
            PruneRule::NumberOfTags(_) => true,
            PruneRule::CreationDate(age) => exceeds(seen.since, age),
            PruneRule::LastPulled(age) => {
                let used = seen.last_pulled.unwrap_or(seen.since).max(seen.since);
                exceeds(used, age)
            }
        }
    }
}

impl Origin {
    /// Policies of a scope, as they are followed.
    pub(super) fn of(
        policies: Vec<(Uuid, PrunePolicy)>,
        origin: impl Fn(Uuid) -> Self,
    ) -> impl Iterator<Item = (Self, PrunePolicy)> {
        policies
            .into_iter()
            .map(move |(id, policy)| (origin(id), policy))
    }
}

/// What a tag of a companion ends with: cosign's signatures, attestations and bills of material, and the list
/// of referrers of a client that knows no referrers (distribution-spec 1.1, referrers tag schema).
pub(super) const COMPANIONS: [&str; 4] = [".sig", ".att", ".sbom", ""];

/// Whether a tag names what goes with another image: such a tag is never taken by itself.
pub(super) fn is_companion(tag: &Tag) -> bool {
    let Some(rest) = tag.as_str().strip_prefix("sha256-") else {
        return false;
    };
    let (hash, ending) = rest.split_at_checked(64).unwrap_or_default();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    hash.len() == 64 && hash.bytes().all(is_hex) && COMPANIONS.contains(&ending)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn policy(rule: PruneRule, pattern: Option<&str>, matches: bool) -> PrunePolicy {
        PrunePolicy {
            rule,
            tag_pattern: pattern.map(str::to_owned),
            matches,
        }
    }

    fn age(text: &str) -> Age {
        text.parse().unwrap()
    }

    fn ago(seconds: u64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() - i64::try_from(seconds * 1000).unwrap())
    }

    /// A tag, how many seconds ago it began, how many seconds ago it was pulled, whether it is fixed.
    type Row = (String, u64, Option<u64>, bool);

    /// What goes of rows that are the newest first.
    fn taken(policies: &[PrunePolicy], rows: &[Row]) -> Vec<String> {
        let policies: Vec<_> = policies
            .iter()
            .map(|policy| (Origin::Asked, policy.clone()))
            .collect();
        let mut choice = Choice::begin(&policies, &Patterns::new());
        let mut gone = Vec::new();
        for (name, since, pulled, is_fixed) in rows {
            let tag = name.parse().unwrap();
            let seen = Seen {
                tag: &tag,
                since: ago(*since),
                last_pulled: pulled.map(ago),
                is_fixed: *is_fixed,
            };
            gone.extend(choice.look(&seen, NOW).map(|_| name.clone()));
        }
        gone
    }

    fn row(name: &str, since: u64) -> Row {
        (name.to_owned(), since, None, false)
    }

    #[test]
    fn a_number_keeps_the_newest_of_those_it_means() {
        let rows = [row("v3", 1), row("dev", 2), row("v2", 3), row("v1", 4)];
        let most = PruneRule::NumberOfTags;
        let all = taken(&[policy(most(2), None, true)], &rows);
        assert_eq!(all, ["v2", "v1"]);
        let matching = taken(&[policy(most(2), Some("^v"), true)], &rows);
        assert_eq!(matching, ["v1"]);
        let others = taken(&[policy(most(1), Some("^v"), false)], &rows);
        assert_eq!(others, Vec::<String>::new());
        // Without a pattern, `false` says nothing.
        let nothing = taken(&[policy(most(2), None, false)], &rows);
        assert_eq!(nothing, all);
    }

    #[test]
    fn an_age_is_counted_from_the_beginning_or_the_last_pull() {
        let mut rows = [row("new", 3600), row("edge", 86_400), row("old", 86_401)];
        let by_age = |rule| policy(rule, None, true);
        let created = [by_age(PruneRule::CreationDate(age("1d")))];
        assert_eq!(taken(&created, &rows), ["old"]);
        let pulled = [by_age(PruneRule::LastPulled(age("1d")))];
        assert_eq!(taken(&pulled, &rows), ["old"], "never pulled");
        rows[2].2 = Some(60);
        assert_eq!(taken(&pulled, &rows), Vec::<String>::new());
        assert_eq!(taken(&created, &rows), ["old"]);
        // A manifest that was pulled long before the tag came to it.
        rows[0].2 = Some(1_000_000);
        assert_eq!(taken(&pulled, &rows), Vec::<String>::new());
    }

    /// A clock that was set back ages nothing.
    #[test]
    fn a_tag_of_the_future_is_not_old() {
        let tag: Tag = "v1".parse().unwrap();
        let policies = [(
            Origin::Asked,
            policy(PruneRule::CreationDate(age("1s")), None, true),
        )];
        let mut choice = Choice::begin(&policies, &Patterns::new());
        let seen = Seen {
            tag: &tag,
            since: NOW + Duration::from_secs(315_360_000),
            last_pulled: None,
            is_fixed: false,
        };
        assert_eq!(choice.look(&seen, NOW), None);
    }

    /// Quay: all by age first, then all by number.
    #[test]
    fn policies_add_up_and_ages_come_first() {
        let rows = [row("a", 1), row("b", 2), row("c", 1000), row("d", 2000)];
        let number = policy(PruneRule::NumberOfTags(2), Some("[acd]"), true);
        let old = policy(PruneRule::CreationDate(age("1500s")), Some("d"), true);
        assert_eq!(taken(&[number.clone(), old], &rows), ["d"]);
        let first = policy(PruneRule::CreationDate(age("500s")), Some("c"), true);
        // `c` is taken by its age, so that the number still has room for `d`.
        assert_eq!(taken(&[number, first], &rows), ["c"]);
    }

    #[test]
    fn companions_are_never_taken_by_themselves() {
        let hash = "0123456789abcdef".repeat(4);
        for (name, expected) in [
            (format!("sha256-{hash}.sig"), true),
            (format!("sha256-{hash}.att"), true),
            (format!("sha256-{hash}.sbom"), true),
            (format!("sha256-{hash}"), true),
            (format!("sha256-{hash}.txt"), false),
            (format!("sha256-{}.sig", &hash[1..]), false),
            (format!("sha256-{}.sig", hash.to_uppercase()), false),
            (format!("sha512-{hash}.sig"), false),
            ("sha256-x.sig".to_owned(), false),
            ("v1.sig".to_owned(), false),
        ] {
            assert_eq!(is_companion(&name.parse().unwrap()), expected, "{name}");
            let every = policy(PruneRule::CreationDate(age("1s")), None, true);
            let gone = taken(&[every], &[(name.clone(), 100, None, false)]);
            assert_eq!(gone.is_empty(), expected, "{name}");
        }
    }

    /// What the guide says, done the plain way: one policy after the other, each over what is left.
    fn plainly(policies: &[PrunePolicy], rows: &[Row]) -> Vec<String> {
        let is_count = |policy: &&PrunePolicy| matches!(policy.rule, PruneRule::NumberOfTags(_));
        let mut left: Vec<&Row> = rows.iter().filter(|row| !row.3).collect();
        let by_age = policies.iter().filter(|policy| !is_count(policy));
        for policy in by_age.chain(policies.iter().filter(is_count)) {
            let pattern = policy
                .tag_pattern
                .as_deref()
                .map(|it| Regex::new(it).unwrap());
            let means = |row: &Row| {
                pattern
                    .as_ref()
                    .is_none_or(|it| it.is_match(&row.0) == policy.matches)
            };
            let meant = left.iter().filter(|row| means(row));
            let gone: Vec<String> = match policy.rule {
                PruneRule::NumberOfTags(most) => meant
                    .skip(usize::try_from(most).unwrap())
                    .map(|row| row.0.clone())
                    .collect(),
                PruneRule::CreationDate(age) => meant
                    .filter(|row| row.1 > age.duration().as_secs())
                    .map(|row| row.0.clone())
                    .collect(),
                PruneRule::LastPulled(age) => meant
                    .filter(|row| row.2.unwrap_or(row.1).min(row.1) > age.duration().as_secs())
                    .map(|row| row.0.clone())
                    .collect(),
            };
            left.retain(|row| !gone.contains(&row.0));
        }
        let stays = |name: &String| left.iter().any(|row| row.0 == *name);
        let free = rows.iter().filter(|row| !row.3);
        free.map(|row| row.0.clone())
            .filter(|name| !stays(name))
            .collect()
    }

    fn policies() -> impl Strategy<Value = Vec<PrunePolicy>> {
        let rule = prop_oneof![
            (1u64..6).prop_map(PruneRule::NumberOfTags),
            (1u32..40).prop_map(|count| PruneRule::CreationDate(age(&format!("{count}s")))),
            (1u32..40).prop_map(|count| PruneRule::LastPulled(age(&format!("{count}s")))),
        ];
        let pattern = proptest::option::of("[ab]|\\^a|a[0-4]|b\\$");
        let one = (rule, pattern, any::<bool>())
            .prop_map(|(rule, pattern, matches)| policy(rule, pattern.as_deref(), matches));
        proptest::collection::vec(one, 0..5)
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (
            "[ab]",
            proptest::option::of(0u64..50),
            proptest::bool::weighted(0.1),
        );
        proptest::collection::vec(row, 0..24).prop_map(|rows| {
            let rows = rows.into_iter().zip(0u64..);
            rows.map(|((letter, pulled, fixed), at)| {
                (format!("{letter}{at}"), at * 2, pulled, fixed)
            })
            .collect()
        })
    }

    proptest! {
        /// GC-05: what is fixed stays; and one pass over pages takes what policy after policy would.
        #[test]
        fn the_choice_is_that_of_policy_after_policy(policies in policies(), rows in rows()) {
            let gone = taken(&policies, &rows);
            prop_assert!(rows.iter().all(|row| !row.3 || !gone.contains(&row.0)));
            prop_assert_eq!(gone, plainly(&policies, &rows));
        }

        /// What is left is left by a second run, too.
        #[test]
        fn a_second_run_takes_nothing(policies in policies(), rows in rows()) {
            let gone = taken(&policies, &rows);
            let left: Vec<Row> = rows.into_iter().filter(|row| !gone.contains(&row.0)).collect();
            prop_assert_eq!(taken(&policies, &left), Vec::<String>::new());
        }
    }
}
