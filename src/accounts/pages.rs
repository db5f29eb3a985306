//! Reading what may be long: a page in a read of its own, so that no snapshot is held for long.

use super::{Accounts, Error};
use crate::store::ReadTx;

impl Accounts {
    /// All that `read` finds. It is given what the page before ended with, and returns what it made of
    /// its page with what that ends with; `None` if there was nothing on it.
    pub(super) async fn every_page<T, K>(
        &self,
        read: impl Fn(&ReadTx, Option<K>) -> Result<(Vec<T>, Option<K>), Error> + Clone + Send + 'static,
    ) -> Result<Vec<T>, Error>
    where
        T: Send + 'static,
        K: Clone + Send + 'static,
    {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let (read, begin) = (read.clone(), after);
            let page = self.inner.store.scan(move |tx: &ReadTx| read(tx, begin));
            let (page, last) = page.await?;
            found.extend(page);
            match last {
                Some(last) => after = Some(last),
                None => return Ok(found),
            }
        }
    }
}
