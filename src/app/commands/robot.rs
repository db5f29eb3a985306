//! `entrepot robot create | regenerate | list | rm`.

use super::listing::{carry_out, list};
use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::cli::RobotCommand;
use crate::app::listeners::client_host;
use crate::app::operations::{Frame, NewRobot, RepositoryPath, Request, Row};
use crate::config::Config;
use crate::model::{RobotName, Role};

pub(super) fn run(command: RobotCommand, site: &Site, output: &Output) -> Result<(), Stop> {
    match command {
        RobotCommand::Create {
            name,
            description,
            write,
            read,
        } => {
            let new = NewRobot {
                name,
                description,
                grants: grants(write, read),
            };
            let name = new.name.clone();
            show_token(Request::CreateRobot(new), &name, site, output)
        }
        RobotCommand::List { namespace, json } => {
            let request = Request::ListRobots { namespace };
            let head = ["ROBOT", "CREATED", "DESCRIPTION"];
            list(request, json, (site, output), head, cells)
        }
        RobotCommand::Regenerate { name } => {
            let request = Request::RegenerateRobot { name: name.clone() };
            show_token(request, &name, site, output)
        }
        RobotCommand::Rm { name } => carry_out(Request::RemoveRobot { name }, site, output),
    }
}

/// What a repository is named for twice is granted once, and the higher role counts.
fn grants(write: Vec<RepositoryPath>, read: Vec<RepositoryPath>) -> Vec<(RepositoryPath, Role)> {
    let mut grants: Vec<(RepositoryPath, Role)> = Vec::new();
    let write = write.into_iter().map(|path| (path, Role::Write));
    for (path, role) in write.chain(read.into_iter().map(|path| (path, Role::Read))) {
        if !grants.iter().any(|(other, _)| *other == path) {
            grants.push((path, role));
        }
    }
    grants
}

/// Has something done that gives the robot a token, and prints it.
fn show_token(
    request: Request,
    name: &RobotName,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let host = host(&site.config(output)?);
    site.carry_out(request, output, |frame| match frame {
        Frame::Row(Row::Token(token)) => {
            output.line(token.0.expose());
            explain(name, &host, output);
        }
        Frame::Progress { text } => output.progress(text),
        Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } | Frame::Bytes(_) => {}
    })
}

fn explain(name: &RobotName, host: &str, output: &Output) {
    output.progress(format_args!(
        "Above is its token, which no command shows again. To log in:\n  \
         docker login --username '{name}' --password-stdin {host}"
    ));
}

/// Where clients reach the registry; `HOST` is for whoever reads it to fill in.
fn host(config: &Config) -> String {
    let hostname = config.server_hostname.as_deref();
    let host = client_host(hostname, config.listen.first(), "HOST");
    host.unwrap_or_else(|| "HOST".to_owned())
}

fn cells(row: Row) -> Option<[Cell; 3]> {
    let Row::Robot(robot) = row else { return None };
    Some([
        Cell::of(robot.name),
        Cell::of(robot.created),
        Cell::Text(robot.description),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_named_twice_is_granted_once_with_the_higher_role() {
        let path = |text: &str| text.parse::<RepositoryPath>().unwrap();
        let found = grants(vec![path("me/a")], vec![path("me/b"), path("me/a")]);
        let expected = [(path("me/a"), Role::Write), (path("me/b"), Role::Read)];
        assert_eq!(found, expected);
    }
}
