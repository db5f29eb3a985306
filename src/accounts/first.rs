//! The first user of an installation, and the token that sets it up.

use std::time::Duration;

use super::name::{check_email, check_name};
use super::oauth_tokens::new_record;
use super::{Accounts, ApplicationFields, Error, NewUser, Noun, applications, secret, users};
use crate::model::{NamespaceName, Performer, Secret, UserId};
use crate::store::WriteTx;

/// The first user.
#[derive(Clone, Debug)]
pub struct FirstUser {
    pub name: NamespaceName,
    pub email: Option<String>,
    pub password: Secret,
    pub superuser: bool,
    /// The name of the application that the token is of; its client id is the user's name.
    pub application: &'static str,
    /// The scope and the life of a token that is wanted as well.
    pub token: Option<(String, Duration)>,
}

impl Accounts {
    /// Makes the first user, if there is none (AU-05).
    ///
    /// # Errors
    /// [`Error::HasUsers`]; as [`Accounts::create_user`].
    pub async fn create_first_user(
        &self,
        new: FirstUser,
        by: &Performer,
    ) -> Result<(UserId, Option<Secret>), Error> {
        // Nobody's password is hashed for nothing.
        if self.has_users() {
            return Err(Error::HasUsers);
        }
        check_name(Noun::User, new.name.as_str())?;
        if let Some(email) = &new.email {
            check_email(email)?;
        }
        let password = self.hash_password(&new.password).await?;
        let now = self.inner.clock.now();
        let user = NewUser {
            email: new.email.clone(),
            superuser: new.superuser,
            by: by.clone(),
            ..NewUser::named(&new.name)
        };
        let fields = ApplicationFields {
            name: new.application.to_owned(),
            ..ApplicationFields::default()
        };
        let client_id = new.name.to_string();
        let draft = applications::draft(&self.inner.seal, client_id, &fields, now);
        let token = new.token.as_ref().map(|(scope, life)| {
            let token = secret::new_oauth_token();
            let record = new_record(&token, scope, *life, now);
            (token, record)
        });
        let record = token.as_ref().map(|(_, record)| record.clone());
        let create = move |tx: &mut WriteTx<'_>| {
            if tx.users().has_any()? {
                return Err(Error::HasUsers);
            }
            let id = users::create(tx, &user, Some(&password), now)?;
            if let Some(record) = &record {
                let mut application = draft.clone();
                application.namespace = users::load(tx, id)?.namespace;
                let mut record = record.clone();
                record.application = tx.oauth_applications().create(&application)?;
                record.user = id;
                tx.oauth_tokens().create(&record)?;
            }
            Ok(id)
        };
        let id = self.change(create).await?;
        tracing::info!(user.id = %id, user.name = %new.name, "the first user was made");
        Ok((id, token.map(|(token, _)| token)))
    }
}
