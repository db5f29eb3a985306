//! Users of another registry, taken over with the hashes of their passwords.

use super::name::check_name;
use super::password::check_bcrypt;
use super::users::create;
use super::{Accounts, Error, NewUser, Noun};
use crate::model::{NamespaceName, Performer};
use crate::store::WriteTx;

/// A user of another registry.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    pub name: NamespaceName,
    /// A hash of bcrypt.
    pub hash: String,
}

/// What became of a user that was to be taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Imported {
    Made,
    /// There is such a user already, who keeps the password that counts here.
    There,
    /// The name is an organisation's.
    Taken,
}

impl Accounts {
    /// Takes users over, all in one transaction, and tells what became of each, in their order.
    ///
    /// Meant for a few hundred at a time. Who is there already is left alone, so that it can be done
    /// again.
    ///
    /// # Errors
    /// [`Error::InvalidName`] or [`Error::Invalid`] for a name or a hash that cannot be taken; nobody
    /// is taken over then.
    pub async fn import_users(
        &self,
        users: Vec<ImportedUser>,
        by: &Performer,
    ) -> Result<Vec<Imported>, Error> {
        for user in &users {
            check_name(Noun::User, user.name.as_str())?;
            check_bcrypt(&user.hash)?;
        }
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let take = |user: &ImportedUser| take_over(tx, user, &by, now);
            users.iter().map(take).collect()
        })
        .await
    }
}

fn take_over(
    tx: &mut WriteTx<'_>,
    user: &ImportedUser,
    by: &Performer,
    now: crate::model::Timestamp,
) -> Result<Imported, Error> {
    if tx.users().by_name(&user.name)?.is_some() {
        return Ok(Imported::There);
    }
    let new = NewUser {
        by: by.clone(),
        ..NewUser::named(&user.name)
    };
    match create(tx, &new, Some(&user.hash), now) {
        Ok(_) => Ok(Imported::Made),
        Err(Error::NameTaken { .. }) => Ok(Imported::Taken),
        Err(error) => Err(error),
    }
}
