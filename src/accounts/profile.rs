//! What is changed about a user's account, by itself or by a superuser.

use serde_json::{Value, json};

use super::name::check_email;
use super::users::{load, superuser};
use super::{Accounts, Error, Noun};
use crate::model::{
    LogEntry, LogKind, NamespaceRecord, Performer, Profile, Prompt, UserId, UserRecord,
};
use crate::store::WriteTx;

/// Longest text of a profile, in characters (Quay).
const PROFILE_CHARS: usize = 255;

/// What is to be changed about a user; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    pub email: Option<String>,
    /// With the address: whether it needs no confirmation.
    pub verified: Option<bool>,
    pub invoice_email: Option<bool>,
    pub invoice_email_address: Option<Option<String>>,
    /// The caller has checked that the operator allows it.
    pub tag_expiration_s: Option<u64>,
    pub given_name: Option<Option<String>>,
    pub family_name: Option<Option<String>>,
    pub company: Option<Option<String>>,
    pub location: Option<Option<String>>,
    /// A disabled user can do nothing; what it owns stays in any case.
    pub enabled: Option<bool>,
    /// What need not be asked any more.
    pub answered: Vec<Prompt>,
}

/// What the log tells of a change.
type Told = (LogKind, Value);

impl Accounts {
    /// Changes a user's account.
    ///
    /// # Errors
    /// [`Error::Exists`] if the address is another user's; [`Error::Invalid`]; [`Error::Unknown`].
    pub async fn change_user(
        &self,
        id: UserId,
        change: &UserChange,
        by: &Performer,
    ) -> Result<(), Error> {
        check(change)?;
        let (change, by, now) = (change.clone(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let mut user = load(tx, id)?;
            let mut told = Vec::new();
            change_email(&mut user, &change, &mut told);
            change_profile(&mut user, &change, &mut told);
            change_enabled(&mut user, &change, &mut told);
            user.prompts
                .retain(|prompt| !change.answered.contains(prompt));
            let put = tx.users().put(id, &user);
            put.map_err(|error| Error::exists(Noun::Email, error))?;
            change_namespace(tx, &user, &change, &mut told)?;
            for (kind, mut metadata) in told {
                if let Some(superuser) = superuser(&by, id) {
                    metadata["superuser"] = json!(superuser);
                }
                let line = LogEntry::new(kind, now, &by).within(user.namespace);
                tx.logs().append(&line.with(metadata))?;
            }
            Ok(())
        })
        .await
    }

    /// Says whether a user may do anything; what it owns stays in any case.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn set_enabled(
        &self,
        id: UserId,
        enabled: bool,
        by: &Performer,
    ) -> Result<(), Error> {
        let change = UserChange {
            enabled: Some(enabled),
            ..UserChange::default()
        };
        self.change_user(id, &change, by).await
    }
}

fn check(change: &UserChange) -> Result<(), Error> {
    let invoices = change.invoice_email_address.iter().flatten();
    for address in change.email.iter().chain(invoices) {
        check_email(address)?;
    }
    let texts = [
        &change.given_name,
        &change.family_name,
        &change.company,
        &change.location,
    ];
    let long = |text: &String| text.chars().nth(PROFILE_CHARS).is_some();
    if texts.into_iter().flatten().flatten().any(long) {
        return Err(Error::Invalid {
            what: "the profile",
            reason: "a text of it has at most 255 characters",
        });
    }
    Ok(())
}

fn change_email(user: &mut UserRecord, change: &UserChange, told: &mut Vec<Told>) {
    if let Some(verified) = change.verified {
        user.verified = verified;
    }
    if let Some(email) = &change.email
        && user.email.as_ref() != Some(email)
    {
        let metadata = json!({"email": email, "old_email": user.email});
        user.email = Some(email.clone());
        told.push((LogKind::UserChangeEmail, metadata));
    }
}

fn change_profile(user: &mut UserRecord, change: &UserChange, told: &mut Vec<Told>) {
    let Profile {
        given_name,
        family_name,
        company,
        location,
    } = &mut user.profile;
    let fields = [
        ("given_name", given_name, &change.given_name),
        ("family_name", family_name, &change.family_name),
        ("company", company, &change.company),
        ("location", location, &change.location),
    ];
    let mut metadata = json!({});
    for (name, field, wanted) in fields {
        if let Some(wanted) = wanted {
            field.clone_from(wanted);
            metadata[name] = json!(wanted);
        }
    }
    if metadata != json!({}) {
        told.push((LogKind::UserChangeMetadata, metadata));
    }
}

fn change_enabled(user: &mut UserRecord, change: &UserChange, told: &mut Vec<Told>) {
    if let Some(enabled) = change.enabled
        && enabled != user.enabled
    {
        user.enabled = enabled;
        let kind = match enabled {
            true => LogKind::UserEnable,
            false => LogKind::UserDisable,
        };
        told.push((kind, json!({"username": user.name})));
    }
}

/// What a user has in common with organisations stands in its namespace.
fn change_namespace(
    tx: &mut WriteTx<'_>,
    user: &UserRecord,
    change: &UserChange,
    told: &mut Vec<Told>,
) -> Result<(), Error> {
    let record = tx.namespaces().record(user.namespace)?;
    let mut record: NamespaceRecord = record.ok_or(Error::unknown(Noun::Namespace))?;
    if let Some(wanted) = change.invoice_email {
        record.invoice_email = wanted;
        told.push((
            LogKind::UserChangeInvoicing,
            json!({"invoice_email": wanted}),
        ));
    }
    if let Some(address) = &change.invoice_email_address
        && *address != record.invoice_email_address
    {
        record.invoice_email_address.clone_from(address);
        let metadata = json!({"invoice_email_address": address});
        told.push((LogKind::UserChangeInvoicing, metadata));
    }
    if let Some(seconds) = change.tag_expiration_s {
        record.tag_expiration_s = Some(seconds);
        let metadata = json!({"tag_expiration": seconds});
        told.push((LogKind::UserChangeTagExpiration, metadata));
    }
    Ok(tx.namespaces().put(user.namespace, &record)?)
}
