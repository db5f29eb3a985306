//! Keys of what is to be done by the clock.

use super::{Key, SIGN, number, read_number, time};
use crate::model::{Job, NamespaceId, RepositoryId, Timestamp};

/// A job, by its kind and its id.
pub(in crate::store) fn job(job: Job) -> Key {
    let (kind, id) = match job {
        Job::Prune(NamespaceId(id)) => (1, id),
        Job::PruneAll => (2, 0),
        Job::RotateLogs => (3, 0),
        Job::Mirror(RepositoryId(id)) => (4, id),
        Job::MirrorDiscovery(NamespaceId(id)) => (5, id),
    };
    [&[kind][..], &id.to_be_bytes()].concat()
}

/// A job behind all that are due earlier.
pub(in crate::store) fn due_job(due: Timestamp, of: Job) -> Key {
    [&time(due)[..], &job(of)].concat()
}

pub(in crate::store) fn read_job(key: &[u8]) -> Option<Job> {
    let (&kind, id) = key.split_first()?;
    match (kind, read_number(id)?) {
        (1, id) => Some(Job::Prune(NamespaceId(id))),
        (2, 0) => Some(Job::PruneAll),
        (3, 0) => Some(Job::RotateLogs),
        (4, id) => Some(Job::Mirror(RepositoryId(id))),
        (5, id) => Some(Job::MirrorDiscovery(NamespaceId(id))),
        _ => None,
    }
}

pub(in crate::store) fn read_due_job(key: &[u8]) -> Option<(Timestamp, Job)> {
    let (due, rest) = number(key)?;
    let due = Timestamp::from_millis((due ^ SIGN).cast_signed());
    Some((due, read_job(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_read_back_in_the_order_of_when_they_are_due() {
        let at = Timestamp::from_millis;
        let jobs = [
            Job::Prune(NamespaceId(7)),
            Job::PruneAll,
            Job::RotateLogs,
            Job::Mirror(RepositoryId(7)),
            Job::MirrorDiscovery(NamespaceId(7)),
        ];
        let mut keys = Vec::new();
        for due in [-5, 0, 1, 1 << 50] {
            for one in jobs {
                let key = due_job(at(due), one);
                assert_eq!(read_due_job(&key), Some((at(due), one)));
                assert_eq!(read_job(&job(one)), Some(one));
                keys.push(key);
            }
        }
        assert!(keys.is_sorted());
        for odd in [
            &[][..],
            &[1],
            &[9; 9],
            &[0; 17],
            &[2, 0, 0, 0, 0, 0, 0, 0, 1],
        ] {
            assert_eq!(read_job(odd), None);
        }
    }
}
