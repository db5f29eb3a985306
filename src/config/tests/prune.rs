//! What is said of auto-prune.

use std::time::Duration;

use super::*;
use crate::model::{PrunePolicy, PruneRule};

fn policy(text: &str) -> Option<PrunePolicy> {
    good(&format!("DEFAULT_NAMESPACE_AUTOPRUNE_POLICY:\n{text}"))
        .prune
        .policy
}

#[test]
fn quays_times_are_the_defaults_and_are_read() {
    let prune = good("").prune;
    assert_eq!(prune, PruneConfig::default());
    let prune = good(
        "AUTO_PRUNING_POLL_PERIOD: 5\nAUTO_PRUNING_BATCH_SIZE: 3\n\
         AUTOPRUNE_TASK_RUN_MINIMUM_INTERVAL_MINUTES: 15\n\
         AUTO_PRUNING_DEFAULT_POLICY_POLL_PERIOD: 12h\n",
    )
    .prune;
    let minute = Duration::from_secs(60);
    let expected = PruneConfig {
        policy: None,
        poll: Duration::from_secs(5),
        batch: 3,
        least_interval: 15 * minute,
        policy_interval: 720 * minute,
    };
    assert_eq!(prune, expected);
}

#[test]
fn the_policy_has_the_form_that_quay_has() {
    let number = policy("  method: number_of_tags\n  value: 10\n");
    let expected = PrunePolicy {
        rule: PruneRule::NumberOfTags(10),
        tag_pattern: None,
        matches: true,
    };
    assert_eq!(number, Some(expected));
    let age = policy(
        "  method: creation_date\n  value: 30d\n  tag_pattern: ^dev-\n  tag_pattern_matches: false\n",
    );
    let expected = PrunePolicy {
        rule: PruneRule::CreationDate("30d".parse().unwrap()),
        tag_pattern: Some("^dev-".to_owned()),
        matches: false,
    };
    assert_eq!(age, Some(expected));
    let pulled = policy("  {method: last_pulled, value: 1y}\n").unwrap();
    assert_eq!(pulled.rule.method(), "last_pulled");
}

#[test]
fn what_is_no_policy_is_named_with_its_line() {
    for (text, line, expected) in [
        ("  method: size\n  value: 1\n", 2, "is no method; write"),
        ("  method: number_of_tags\n", 2, "value: is missing"),
        ("  method: number_of_tags\n  value: 0\n", 3, "out of range"),
        (
            "  method: creation_date\n  value: 7\n",
            3,
            "7 has no unit; write 7d",
        ),
        (
            "  method: creation_date\n  value: 0d\n",
            3,
            "a number above 0",
        ),
        (
            "  {method: last_pulled, value: 1d, tag_pattern: \"(\"}\n",
            2,
            "is no regular expression: unclosed group",
        ),
        (
            "  {method: last_pulled, value: 1d, tags: x}\n",
            2,
            "tags: is not a key here",
        ),
    ] {
        let text = format!("DEFAULT_NAMESPACE_AUTOPRUNE_POLICY:\n{text}");
        let mistakes = load(&text).unwrap_err();
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let place = format!("config.yaml:{line}:");
        assert!(
            told.iter()
                .any(|it| it.starts_with(&place) && it.contains(expected)),
            "{text}: {told:?}"
        );
    }
    for text in [
        "AUTO_PRUNING_POLL_PERIOD: 0\n",
        "AUTO_PRUNING_BATCH_SIZE: 0\n",
        "AUTOPRUNE_TASK_RUN_MINIMUM_INTERVAL_MINUTES: 0\n",
        "AUTO_PRUNING_DEFAULT_POLICY_POLL_PERIOD: 2y\n",
        "DEFAULT_NAMESPACE_AUTOPRUNE_POLICY: none\n",
    ] {
        assert!(load(text).is_err(), "{text}");
    }
}
