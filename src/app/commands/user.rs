//! `entrepot user create | passwd | disable | enable | list`.

use super::listing::{carry_out, list};
use super::output::{Cell, Output};
use super::password::Password;
use super::{Site, Stop};
use crate::app::cli::UserCommand;
use crate::app::operations::{Clear, NewUser, Request, Row};
use crate::model::NamespaceName;

pub(super) fn run(command: UserCommand, site: &Site, output: &Output) -> Result<(), Stop> {
    match command {
        UserCommand::Create {
            name,
            email,
            password,
            superuser,
        } => {
            // A mistake of the site is told before anyone has to type a password.
            site.config(output)?;
            let password = Password::get(&password, name.as_str(), output)?;
            let request = Request::CreateUser(NewUser {
                name,
                email,
                password: Clear(password.secret.clone()),
                superuser,
            });
            carry_out(request, site, output)?;
            password.show(output);
            Ok(())
        }
        UserCommand::Passwd { name, password } => {
            site.config(output)?;
            let password = Password::get(&password, name.as_str(), output)?;
            let request = Request::SetPassword {
                name,
                password: Clear(password.secret.clone()),
            };
            carry_out(request, site, output)?;
            password.show(output);
            Ok(())
        }
        UserCommand::Disable { name } => enable(name, false, site, output),
        UserCommand::Enable { name } => enable(name, true, site, output),
        UserCommand::List { json } => {
            let head = ["USER", "E-MAIL", "ENABLED", "SUPERUSER", "CREATED"];
            list(Request::ListUsers {}, json, (site, output), head, cells)
        }
    }
}

fn enable(name: NamespaceName, enabled: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    carry_out(Request::SetEnabled { name, enabled }, site, output)
}

fn cells(row: Row) -> Option<[Cell; 5]> {
    let Row::User(user) = row else { return None };
    let yes = |is| Cell::of(if is { "yes" } else { "no" });
    Some([
        Cell::of(user.name),
        Cell::Text(user.email.unwrap_or_else(|| "-".to_owned())),
        yes(user.enabled),
        yes(user.superuser),
        Cell::of(user.created),
    ])
}
