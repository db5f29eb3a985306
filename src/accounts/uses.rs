//! When users and robots were last seen: noted in memory, written with others later.
//!
//! `auth` notes whoever shows a password or token; `jobs` has it written. What was noted since is lost in a
//! crash. No request writes (DESIGN, hot paths).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Accounts, Error};
use crate::model::{Member, Timestamp};
use crate::store::{self, WriteTx};

/// Users and robots that are noted between two writes; those beyond are noted next time.
const NOTED: usize = 65_536;

/// Rows of one write.
const ROWS: usize = 1_000;

/// How much newer a time must be to be worth a write.
const WORTH: Duration = Duration::from_secs(60);

/// Who was seen and not written, with the time.
#[derive(Default)]
pub(super) struct Uses(Mutex<HashMap<Member, Timestamp>>);

impl Uses {
    fn lock(&self) -> MutexGuard<'_, HashMap<Member, Timestamp>> {
        // Times only: a panic elsewhere leaves them whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Notes that a user or robot was here.
    pub fn note_use(&self, member: Member) {
        let now = self.inner.clock.now();
        let mut noted = self.inner.uses.lock();
        if noted.len() < NOTED || noted.contains_key(&member) {
            noted.insert(member, now);
        }
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// The store's; what was not written then is forgotten.
    pub async fn flush_uses(&self) -> Result<(), Error> {
        let noted: Vec<_> = std::mem::take(&mut *self.inner.uses.lock())
            .into_iter()
            .collect();
        for some in noted.chunks(ROWS) {
            let some = some.to_vec();
            let write = self.inner.store.write(move |tx| write(tx, &some));
            write.await.map_err(Error::Store)?;
        }
        Ok(())
    }
}

fn write(tx: &mut WriteTx<'_>, seen: &[(Member, Timestamp)]) -> Result<(), store::Error> {
    let is_news = |before: Option<Timestamp>, at| before.is_none_or(|before| at >= before + WORTH);
    for (member, at) in seen {
        match *member {
            Member::User(id) => {
                if let Some(mut user) = tx.users().record(id)?
                    && is_news(user.last_accessed, *at)
                {
                    user.last_accessed = Some(*at);
                    tx.users().put(id, &user)?;
                }
            }
            Member::Robot(id) => {
                if let Some(mut robot) = tx.robots().record(id)?
                    && is_news(robot.last_accessed, *at)
                {
                    robot.last_accessed = Some(*at);
                    tx.robots().put(id, &robot)?;
                }
            }
        }
    }
    Ok(())
}
