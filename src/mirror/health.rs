//! How it stands with all mirrors, or with those of a namespace (Quay: mirror health).
//!
//! Called by the doors of `api`. Read a page at a time; nothing is remembered, so that an answer is true when it is
//! given.

use super::{Error, Mirror};
use crate::model::{
    MIRROR_LANES, MIRROR_RETRIES, MirrorRecord, MirrorStatus, NamespaceId, RepositoryId,
    RepositoryState, SyncState, Timestamp,
};
use crate::store::{PAGE_ROWS, ReadTx};

/// A mirror that is due for longer is late: 24 hours (Quay).
const LATE_MS: i64 = 24 * 3_600 * 1_000;

/// Most names of late or failing mirrors that are told (Quay).
const NAMED: usize = 5;

/// More than so many of a hundred mirrors that ever ran fail: something is wrong with all (Quay).
const FAILING_PERCENT: usize = 20;

/// A mirror, as the health of all tells it.
#[derive(Clone, Debug)]
pub struct MirrorLine {
    pub namespace: String,
    pub repository: String,
    pub state: SyncState,
    pub enabled: bool,
    /// When a run last succeeded.
    pub last_sync: Option<Timestamp>,
    pub retries_left: u8,
}

/// What is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MirrorIssue {
    /// So many of so many mirrors that ever ran fail.
    Failing { failed: usize, ran: usize },
    /// Fewer lanes work than there are to be.
    Lanes { active: usize, configured: usize },
    /// Its retries are used up; it waits for its next turn.
    Exhausted { name: String },
    /// It was due a day ago.
    Late { name: String },
}

/// How it stands with mirrors.
#[derive(Clone, Debug, Default)]
pub struct MirrorHealth {
    pub total: usize,
    pub syncing: usize,
    pub completed: usize,
    pub failed: usize,
    pub never_run: usize,
    /// Tags that runs under way have chosen and not come to.
    pub tags_pending: u64,
    /// Lanes that take runs, and how many there are to be.
    pub lanes: (usize, usize),
    pub issues: Vec<MirrorIssue>,
    /// Those asked for, the oldest first.
    pub lines: Vec<MirrorLine>,
    /// There are more behind them.
    pub has_more: bool,
}

impl MirrorHealth {
    /// Whether nothing is wrong with mirroring as a whole; single mirrors may fail.
    pub fn is_healthy(&self) -> bool {
        let grave = |issue: &MirrorIssue| {
            matches!(
                issue,
                MirrorIssue::Failing { .. } | MirrorIssue::Lanes { .. }
            )
        };
        !self.issues.iter().any(grave)
    }
}

/// Which mirrors are told one by one.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    pub offset: usize,
    pub limit: usize,
}

impl Mirror {
    /// How it stands with the mirrors of a namespace, or with all.
    ///
    /// # Errors
    /// The store's.
    pub async fn health(
        &self,
        namespace: Option<NamespaceId>,
        lines: Option<Lines>,
    ) -> Result<MirrorHealth, Error> {
        let mut tally = Tally::new(self.now(), lines);
        let mut after = None;
        loop {
            let read = move |tx: &ReadTx| page(tx, namespace, after);
            let (mirrors, last) = self.store().scan(read).await?;
            for mirror in &mirrors {
                tally.add(mirror);
            }
            if last.is_none() {
                break;
            }
            after = last;
        }
        // Those of `jobs` stand still together, where mirrors are off.
        let active = self.check_on().map_or(0, |()| MIRROR_LANES);
        Ok(tally.finish((active, MIRROR_LANES)))
    }
}

/// A mirror with its names.
struct Found {
    namespace: String,
    repository: String,
    record: MirrorRecord,
    status: MirrorStatus,
}

/// A page of mirrors behind `after`, and the last row that was looked at.
fn page(
    tx: &ReadTx,
    namespace: Option<NamespaceId>,
    after: Option<RepositoryId>,
) -> Result<(Vec<Found>, Option<RepositoryId>), Error> {
    let page = tx.mirrors().list(after, PAGE_ROWS)?;
    let last = page.last().map(|(id, _)| *id);
    let mut found = Vec::new();
    for (id, status) in page {
        let Some(repository) = tx.repositories().record(id)? else {
            continue;
        };
        let is_asked = namespace.is_none_or(|asked| asked == repository.namespace);
        if !is_asked || repository.state != RepositoryState::Mirror {
            continue;
        }
        let Some(namespace) = tx.namespaces().record(repository.namespace)? else {
            continue;
        };
        if let Some(record) = tx.mirrors().record(id)? {
            found.push(Found {
                namespace: namespace.name.to_string(),
                repository: repository.name.to_string(),
                record,
                status,
            });
        }
    }
    Ok((found, last))
}

/// Health, while it is counted.
struct Tally {
    now: Timestamp,
    lines: Option<Lines>,
    health: MirrorHealth,
    exhausted: Vec<String>,
    late: Vec<String>,
}

impl Tally {
    fn new(now: Timestamp, lines: Option<Lines>) -> Self {
        Self {
            now,
            lines,
            health: MirrorHealth::default(),
            exhausted: Vec::new(),
            late: Vec::new(),
        }
    }

    fn add(&mut self, found: &Found) {
        let at = self.health.total;
        self.health.total += 1;
        let status = &found.status;
        match status.state {
            SyncState::Syncing => self.health.syncing += 1,
            SyncState::Success => self.health.completed += 1,
            SyncState::Fail => self.health.failed += 1,
            SyncState::NeverRun => self.health.never_run += 1,
            SyncState::SyncNow | SyncState::Cancel | SyncState::Skip => {}
        }
        self.note(found);
        if status.state == SyncState::Syncing {
            let report = &status.report;
            let done = report.unchanged + report.copied + report.failed;
            self.health.tags_pending += report.chosen.saturating_sub(done);
        }
        if let Some(lines) = self.lines {
            if at >= lines.offset && self.health.lines.len() < lines.limit {
                self.health.lines.push(found.line());
            }
            self.health.has_more = self.health.total > lines.offset + lines.limit;
        }
    }

    fn note(&mut self, found: &Found) {
        let status = &found.status;
        let name = || format!("{}/{}", found.namespace, found.repository);
        // With the last retry the next turn gets all of them again.
        let is_used_up = matches!(status.retries_left, 0 | MIRROR_RETRIES);
        if status.state == SyncState::Fail && is_used_up && self.exhausted.len() < NAMED {
            self.exhausted.push(name());
        }
        let now = self.now.as_millis();
        let is_late = status
            .next
            .is_some_and(|next| now - next.as_millis() > LATE_MS);
        let waits = found.record.enabled && status.state != SyncState::Syncing;
        if is_late && waits && self.late.len() < NAMED {
            self.late.push(name());
        }
    }

    fn finish(self, lanes: (usize, usize)) -> MirrorHealth {
        let mut health = self.health;
        health.lanes = lanes;
        let failed = health.failed;
        let ran = failed + health.completed;
        if failed * 100 > ran * FAILING_PERCENT {
            health.issues.push(MirrorIssue::Failing { failed, ran });
        }
        let (active, configured) = lanes;
        if active < configured && health.total > 0 {
            health
                .issues
                .push(MirrorIssue::Lanes { active, configured });
        }
        let exhausted = self.exhausted.into_iter();
        health
            .issues
            .extend(exhausted.map(|name| MirrorIssue::Exhausted { name }));
        let late = self.late.into_iter();
        health
            .issues
            .extend(late.map(|name| MirrorIssue::Late { name }));
        health
    }
}

impl Found {
    fn line(&self) -> MirrorLine {
        MirrorLine {
            namespace: self.namespace.clone(),
            repository: self.repository.clone(),
            state: self.status.state,
            enabled: self.record.enabled,
            last_sync: self.status.last_success,
            retries_left: self.status.retries_left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

    fn found(at: usize, state: SyncState) -> Found {
        Found {
            namespace: "acme".to_owned(),
            repository: format!("r{at}"),
            record: super::super::settings::new_record(NOW),
            status: MirrorStatus {
                state,
                ..MirrorStatus::new(Some(NOW))
            },
        }
    }

    fn health(states: &[SyncState], lines: Option<Lines>) -> MirrorHealth {
        let mut tally = Tally::new(NOW, lines);
        for (at, state) in states.iter().enumerate() {
            tally.add(&found(at, *state));
        }
        tally.finish((2, 2))
    }

    #[test]
    fn more_than_a_fifth_of_those_that_ran_failing_is_ill() {
        let (good, bad) = (SyncState::Success, SyncState::Fail);
        let healthy = health(&[good, good, good, good, bad], None);
        assert!(healthy.is_healthy(), "{:?}", healthy.issues);
        let ill = health(&[good, good, good, bad, SyncState::NeverRun], None);
        assert!(!ill.is_healthy());
        assert_eq!(ill.issues[0], MirrorIssue::Failing { failed: 1, ran: 4 });
        assert_eq!((ill.total, ill.never_run), (5, 1));
        assert!(health(&[], None).is_healthy());
        assert!(
            Tally::new(NOW, None).finish((0, 2)).is_healthy(),
            "there is nothing to copy"
        );
        let mut tally = Tally::new(NOW, None);
        tally.add(&found(1, good));
        assert!(!tally.finish((1, 2)).is_healthy());
    }

    #[test]
    fn late_and_exhausted_mirrors_are_named_and_do_not_make_all_ill() {
        let mut tally = Tally::new(NOW, None);
        let mut late = found(1, SyncState::Success);
        late.status.next = Some(Timestamp::from_millis(NOW.as_millis() - LATE_MS - 1));
        tally.add(&late);
        late.record.enabled = false;
        tally.add(&late);
        for at in 2..8 {
            tally.add(&found(at, SyncState::Success));
        }
        tally.add(&found(9, SyncState::Fail));
        let health = tally.finish((1, 1));
        assert!(health.is_healthy());
        let name = |at: usize| format!("acme/r{at}");
        let issues = [
            MirrorIssue::Exhausted { name: name(9) },
            MirrorIssue::Late { name: name(1) },
        ];
        assert_eq!(health.issues, issues);
    }

    #[test]
    fn lines_are_told_in_pages() {
        let states = [SyncState::Success; 5];
        let page = |offset, limit| {
            let health = health(&states, Some(Lines { offset, limit }));
            let names: Vec<_> = health
                .lines
                .iter()
                .map(|it| it.repository.clone())
                .collect();
            (names.join(","), health.has_more)
        };
        assert_eq!(page(0, 2), ("r0,r1".to_owned(), true));
        assert_eq!(page(3, 2), ("r3,r4".to_owned(), false));
        assert_eq!(page(9, 2), (String::new(), false));
    }
}
