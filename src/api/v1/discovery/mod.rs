//! The description of the API, made from the rows of the route table and from nothing else.
//!
//! Two documents: Quay's Swagger 2.0 (`GET /api/v1/discovery`), as its clients and Swagger UI read it, with
//! the statuses that Quay declares; and `OpenAPI` 3.1 (`GET /api/v1/openapi.json`), which tells every status
//! that a door can answer. What does not depend on the request is made once, at the start.

mod openapi;
mod swagger;

use ::http::StatusCode;
use serde_json::Value;

use super::context::Context;
use super::json;
use super::rows::{Answer, ParameterKind, Row, Rows};
use crate::auth::{Need, Scope};

/// What is told of the API, but for the site's own address.
pub(in crate::api) struct Description {
    /// Swagger 2.0 of what is told to everyone, and of everything.
    public: Value,
    all: Value,
    openapi: Value,
}

impl Description {
    pub(in crate::api) fn of(rows: &[Row]) -> Self {
        Self {
            public: swagger::describe(rows, false),
            all: swagger::describe(rows, true),
            openapi: openapi::describe(rows),
        }
    }
}

pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        "/api/v1/discovery",
        "discovery",
        "discovery",
        Need::Anyone,
        show,
    )
    .summary("Lists all of the API endpoints available in the swagger API format")
    .query(
        "internal",
        ParameterKind::Flag,
        "Whether to include internal APIs",
    )
    .status(200, "The description, as Swagger 2.0");
    rows.get(
        "/api/v1/openapi.json",
        "openapi",
        "discovery",
        Need::Anyone,
        show_openapi,
    )
    .summary("Describes every door with every status that it answers")
    .status(200, "The description, as OpenAPI 3.1");
}

async fn show(context: Context) -> Answer {
    let description = &context.state.description;
    let mut document = match context.flag("internal", false) {
        true => description.all.clone(),
        false => description.public.clone(),
    };
    let url = context.site_url();
    let (scheme, host) = url.split_once("://").unwrap_or(("http", &url));
    document["host"] = host.into();
    document["schemes"] = vec![scheme].into();
    document["securityDefinitions"]["oauth2_implicit"]["authorizationUrl"] =
        format!("{url}/oauth/authorize").into();
    Ok(json::spaced(StatusCode::OK, &document))
}

async fn show_openapi(context: Context) -> Answer {
    let mut document = context.state.description.openapi.clone();
    let url = context.site_url();
    document["servers"][0]["url"] = url.clone().into();
    document["components"]["securitySchemes"]["oauth2"]["flows"]["implicit"]["authorizationUrl"] =
        format!("{url}/oauth/authorize").into();
    Ok(json::spaced(StatusCode::OK, &document))
}

/// The path as a description writes it: a parameter that holds slashes is one like any other.
fn path(row: &Row) -> String {
    row.pattern.replace("+}", "}")
}

/// Scopes with what they are for, as a description lists them.
fn scopes() -> serde_json::Map<String, Value> {
    let text = |scope: Scope| (scope.name().to_owned(), scope.description().into());
    Scope::ALL.into_iter().map(text).collect()
}

/// What a heading stands for.
fn heading(group: &str) -> &'static str {
    match group {
        "appspecifictokens" => "Manages app specific tokens for the current user",
        "bootstrap" => "Sets the system up by programs",
        "build" => "Create, list, cancel and get status/logs of repository builds",
        "capabilities" => "What this registry can do",
        "discovery" => "API discovery information",
        "error" => "Error details API",
        "globalmessages" => "Messages API",
        "immutability_policy" => "Manages policies that make tags immutable",
        "logs" => "Access usage logs for organizations or repositories",
        "manifest" => "Manage the manifests of a repository",
        "mirror" => "Manages mirrors of repositories",
        "namespacequota" => "Manage quotas of namespaces",
        "notification" | "repositorynotification" => {
            "List, create and manage repository notifications"
        }
        "organization" => "Manage organizations, members and OAuth applications",
        "organization_application_tokens" => "Manage tokens of OAuth applications",
        "permission" => "Manage repository permissions",
        "policy" => "Manages auto-prune policies",
        "prototype" => "Manage default permissions added to repositories",
        "repository" => "List, create and manage repositories",
        "repotoken" => "Manage repository access tokens (DEPRECATED)",
        "robot" => "Manage user and organization robot accounts",
        "search" => "Conduct searches against all registry context",
        "secscan" => "List and manage repository vulnerabilities and other security information",
        "superuser" => "Superuser API",
        "tag" => "Manage the tags of a repository",
        "team" => "Create, list and manage an organization's teams",
        "trigger" => "Create, list and manage build triggers",
        "user" => "Manage the current user",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::rows;
    use super::*;

    /// A client that is generated from a description has one function an operation.
    #[test]
    fn no_operation_has_the_name_of_another() {
        let mut seen = HashSet::new();
        for row in rows() {
            assert!(
                seen.insert(row.operation),
                "{} {}",
                row.operation,
                row.pattern
            );
        }
    }

    #[test]
    fn every_row_says_what_it_does_and_answers() {
        for row in rows() {
            assert!(!row.summary.is_empty(), "{} has no summary", row.operation);
            // A door that only refuses here (gone, or without mail) says with what.
            assert!(!row.answers.is_empty(), "{} tells no answer", row.operation);
        }
    }

    #[test]
    fn everything_that_is_referred_to_is_there() {
        let rows = rows();
        let description = Description::of(&rows);
        for document in [&description.public, &description.all, &description.openapi] {
            let mut references = Vec::new();
            gather(document, &mut references);
            assert!(!references.is_empty());
            for reference in references {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
        }
    }

    fn gather(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("$ref", Value::String(reference)) => references.push(reference.clone()),
                        _ => gather(value, references),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, references)),
            _ => {}
        }
    }
}
