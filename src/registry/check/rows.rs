//! The part of the check that looks at rows which stand by themselves: jobs, quotas, policies.
//!
//! The store knows what must hold of them ([`store::WrongRow`]). What is wrong is removed if it shall be: nobody can
//! read it, or nobody looks at it.

use super::{Check, Finding, PAGE, Repair};
use crate::model::PolicyScope;
use crate::registry::Error;
use crate::store::{self, Progress, Standing, WriteTx, WrongRow};

impl<F: FnMut(&Finding) + Send> Check<'_, F> {
    /// Looks at every such row.
    pub(super) async fn rows(&mut self) -> Result<(), Error> {
        let mut progress = Some(Progress::default());
        while let Some(from) = progress {
            let store = &self.registry.inner.store;
            let (wrong, next) = store
                .scan(move |tx| tx.audit().standing(from, PAGE))
                .await?;
            for row in wrong {
                self.row(row).await?;
            }
            progress = next;
        }
        Ok(())
    }

    async fn row(&mut self, wrong: WrongRow) -> Result<(), Error> {
        let repair = self.repair == Repair::Yes;
        if repair {
            let (registry, row) = (self.registry.clone(), wrong.clone());
            let remove = move |tx: &mut WriteTx<'_>| {
                let is_gone = tx.audit().drop_row(&row)?;
                if let (Standing::Quota, Some(PolicyScope::Namespace(id))) = (row.of, row.scope) {
                    let quotas = registry.inner.quotas.clone();
                    tx.after_commit(move || {
                        if is_gone {
                            quotas.set(id, None);
                        }
                    });
                }
                Ok::<_, store::Error>(())
            };
            self.registry.inner.store.write(remove).await?;
        }
        self.tell(&Finding::WrongRow { wrong }, repair);
        Ok(())
    }
}

#[cfg(test)]
#[path = "../tests/check_rows.rs"]
mod tests;
