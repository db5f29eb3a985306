//! `OpenAPI` 3.1 of every row, with every status that its door can answer: those that the row tells, and
//! those that the way to the door has.

use std::collections::BTreeMap;

use ::http::Method;
use serde_json::{Map, Value, json};

use super::super::rows::{ParameterKind, Row};
use super::swagger::meaning;
use super::{heading, path, scopes};
use crate::auth::Need;

/// The document, but for the site's own address.
pub(super) fn describe(rows: &[Row]) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    let mut groups: Vec<&str> = rows.iter().map(|row| row.group).collect();
    groups.sort_unstable();
    groups.dedup();
    schemas.insert("ApiError".to_owned(), api_error());
    for row in rows {
        let item = paths.entry(path(row)).or_insert_with(|| json!({}));
        item[row.method.as_str().to_lowercase()] = operation(row);
        let told = row.answers.iter().filter_map(|told| told.schema.as_ref());
        for schema in row.body.iter().chain(told) {
            for (name, schema) in &schema.parts {
                schemas.entry(name).or_insert_with(|| schema.clone());
            }
        }
    }
    let tag = |group: &str| json!({ "name": group, "description": heading(group) });
    let tags: Vec<Value> = groups.into_iter().map(tag).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "entrepot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The REST API of the registry, which is that of Quay.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "flows": { "implicit": { "authorizationUrl": "", "scopes": scopes() } },
                },
                "session": { "type": "apiKey", "in": "cookie", "name": "_csrf_token" },
            },
        },
    })
}

fn operation(row: &Row) -> Value {
    let mut parameters: Vec<Value> = row
        .path_parameters()
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": meaning(name),
                "schema": { "type": "string", "minLength": 1 },
            })
        })
        .collect();
    parameters.extend(row.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.meaning,
            "schema": { "type": match parameter.kind {
                ParameterKind::Text => "string",
                ParameterKind::Number => "integer",
                ParameterKind::Flag => "boolean",
            } },
        })
    }));
    let mut operation = json!({
        "operationId": row.operation,
        "summary": row.summary,
        "tags": [row.group],
        "parameters": parameters,
        // Beyond the scope: what the caller must be, and whether the login must be recent.
        "x-need": row.need.as_str(),
        "x-requires-fresh-login": row.is_fresh,
    });
    if let Some(body) = &row.body {
        let schema = json!({ "$ref": format!("#/components/schemas/{}", body.name) });
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema } } });
    }
    if let Some(scope) = row.need.scope() {
        operation["security"] = json!([{ "oauth2": [scope.name()] }, { "session": [] }]);
    }
    operation["responses"] = responses(row);
    operation
}

fn responses(row: &Row) -> Value {
    let mut told: BTreeMap<u16, Value> = BTreeMap::new();
    for (status, meaning) in on_the_way(row) {
        let schema = json!({ "$ref": "#/components/schemas/ApiError" });
        let content = json!({ "application/json": { "schema": schema } });
        told.insert(
            status,
            json!({ "description": meaning, "content": content }),
        );
    }
    for answer in &row.answers {
        let mut response = json!({ "description": answer.meaning });
        if let Some(schema) = &answer.schema {
            let schema = json!({ "$ref": format!("#/components/schemas/{}", schema.name) });
            response["content"] = json!({ "application/json": { "schema": schema } });
        }
        told.insert(answer.status, response);
    }
    let told = told.into_iter();
    Value::Object(told.map(|(status, it)| (status.to_string(), it)).collect())
}

/// What the way to a door can answer, before the door does.
fn on_the_way(row: &Row) -> Vec<(u16, &'static str)> {
    let changes = row.method != Method::GET;
    let mut told = vec![(
        400,
        "The request is not understood, or cannot be done as asked",
    )];
    if row.need != Need::Anyone || row.takes_basic {
        told.push((401, "Nobody is known, or the login is too long ago"));
        told.push((403, "Whoever asks may not"));
    }
    if row.path_parameters().next().is_some() || !row.switches.is_empty() {
        told.push((404, "There is no such thing, or the feature is off"));
    }
    if row.path_parameters().next().is_some() {
        // A name with a slash leads to a door beside this one.
        told.push((405, "There is such a path, but not for this method"));
    }
    if changes {
        told.push((403, "Whoever asks may not, or shows no CSRF token"));
        told.push((408, "The body comes too slowly"));
        told.push((413, "The body is too long"));
        told.push((503, "Nothing can be written"));
    }
    if row.takes_basic {
        told.push((429, "Too many wrong passwords"));
    }
    told
}

fn api_error() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "Which keys there are depends on who refuses: the API, its framework or the web layer.",
        "properties": {
            "status": { "type": "integer" },
            "type": text, "title": text, "detail": text, "error_message": text, "error_type": text,
            "message": {}, "error": text, "is_readonly": { "type": "boolean" },
        },
    })
}
