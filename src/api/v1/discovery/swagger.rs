//! Swagger 2.0 as Quay writes it (`quay-api` section 9.2): the same keys, also where what they declare is
//! not what the doors answer.

use ::http::Method;
use serde_json::{Map, Value, json};

use super::super::rows::{Parameter, ParameterKind, Row};
use super::{heading, path, scopes};

/// The answers that every operation declares.
const REFUSALS: [(&str, &str); 4] = [
    ("400", "Bad Request"),
    ("401", "Session required"),
    ("403", "Unauthorized access"),
    ("404", "Not found"),
];

/// The document, but for the site's own address.
pub(super) fn describe(rows: &[Row], with_internal: bool) -> Value {
    let mut rows: Vec<&Row> = rows
        .iter()
        .filter(|row| row.pattern.starts_with("/api/v1/"))
        .filter(|row| with_internal || !row.is_internal)
        .collect();
    rows.sort_by_key(|row| row.group);
    let mut paths = Map::new();
    let mut definitions = Map::new();
    let mut groups: Vec<&str> = Vec::new();
    definitions.insert("ApiError".to_owned(), api_error());
    for row in rows {
        let item = paths.entry(path(row)).or_insert_with(|| path_item(row));
        item[row.method.as_str().to_lowercase()] = operation(row, with_internal);
        let told = row.answers.iter().filter_map(|told| told.schema.as_ref());
        for schema in row.body.iter().chain(told) {
            for (name, schema) in &schema.parts {
                definitions.entry(name).or_insert_with(|| lowered(schema));
            }
        }
        if groups.last() != Some(&row.group) {
            groups.push(row.group);
        }
    }
    let tag = |group: &&str| json!({ "name": group, "description": heading(group) });
    let mut tags: Vec<Value> = groups.iter().map(tag).collect();
    // Quay's list ends with the handler of files, which is a view class too.
    tags.push(json!({ "name": "userfiles", "description": "" }));
    json!({
        "swagger": "2.0",
        "host": "",
        "basePath": "/",
        "schemes": ["https"],
        "info": {
            "version": "v1",
            "title": "Quay Frontend",
            "description": "This API allows you to perform many of the operations required to work with \
                            repositories, users, and organizations.",
            "termsOfService": "",
            "contact": {},
        },
        "securityDefinitions": {
            "oauth2_implicit": {
                "type": "oauth2",
                "flow": "implicit",
                "authorizationUrl": "",
                "scopes": scopes(),
            },
        },
        "paths": paths,
        "definitions": definitions,
        "tags": tags,
    })
}

fn path_item(row: &Row) -> Value {
    let mut item = json!({
        "x-name": format!("endpoints.api.{}.{}", row.group, class(row.operation)),
        "x-path": path(row),
        "x-tag": row.group,
    });
    let parameters: Vec<Value> = row
        .path_parameters()
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": meaning(name),
                "type": "string",
            })
        })
        .collect();
    if !parameters.is_empty() {
        item["parameters"] = parameters.into();
    }
    item
}

fn operation(row: &Row, with_internal: bool) -> Value {
    let mut parameters: Vec<Value> = row.query.iter().map(parameter).collect();
    if let Some(body) = &row.body {
        parameters.push(json!({
            "name": "body",
            "in": "body",
            "required": true,
            "description": "Request body contents.",
            "schema": { "$ref": format!("#/definitions/{}", body.name) },
        }));
    }
    let mut operation = json!({
        "operationId": row.operation,
        "parameters": parameters,
        "description": row.summary,
        "tags": [row.group],
    });
    if row.is_internal {
        operation["x-internal"] = true.into();
    }
    if with_internal && row.is_fresh {
        operation["x-requires-fresh-login"] = true.into();
    }
    if let Some(scope) = row.need.scope() {
        operation["security"] = json!([{ "oauth2_implicit": [scope.name()] }]);
    }
    operation["responses"] = responses(row);
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": "query",
        "required": false,
        "description": parameter.meaning,
        "type": match parameter.kind {
            ParameterKind::Text => "string",
            ParameterKind::Number => "integer",
            ParameterKind::Flag => "boolean",
        },
    })
}

fn responses(row: &Row) -> Value {
    let mut responses = Map::new();
    for (status, meaning) in REFUSALS {
        let schema = json!({ "$ref": "#/definitions/ApiError" });
        let told = json!({ "description": meaning, "schema": schema });
        responses.insert(status.to_owned(), told);
    }
    let (status, meaning) = match row.method {
        Method::DELETE => ("204", "Deleted"),
        Method::POST => ("201", "Successful creation"),
        _ => ("200", "Successful invocation"),
    };
    let mut told = json!({ "description": meaning });
    let schema = row.answers.iter().find_map(|told| told.schema.as_ref());
    if let Some(schema) = schema
        && status == "200"
    {
        told["schema"] = json!({ "$ref": format!("#/definitions/{}", schema.name) });
    }
    responses.insert(status.to_owned(), told);
    Value::Object(responses)
}

fn api_error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": { "type": "integer", "description": "Status code of the response." },
            "type": { "type": "string", "description": "Reference to the type of the error." },
            "detail": { "type": "string", "description": "Details about the specific instance of the error." },
            "title": { "type": "string", "description": "Unique error code to identify the type of error." },
            "error_message": { "type": "string", "description": "Deprecated; alias for detail" },
            "error_type": { "type": "string", "description": "Deprecated; alias for detail" },
        },
        "required": ["status", "type", "title"],
    })
}

/// A form of `OpenAPI` 3.1 as Swagger 2.0 can tell it: one type, no alternatives.
fn lowered(schema: &Value) -> Value {
    let Value::Object(fields) = schema else {
        return json!({});
    };
    if let Some(Value::String(reference)) = fields.get("$ref") {
        return json!({ "$ref": reference.replace("#/components/schemas/", "#/definitions/") });
    }
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = fields.get(alternatives) {
            let is_null = |choice: &&Value| choice["type"] != "null";
            let mut choices = choices.iter().filter(is_null);
            return match (choices.next(), choices.next()) {
                (Some(only), None) => lowered(only),
                _ => json!({}),
            };
        }
    }
    let mut told = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("type", Value::Array(types)) => {
                told.insert("x-nullable".to_owned(), true.into());
                let first = types.iter().find(|kind| *kind != "null");
                first.cloned().unwrap_or_else(|| "object".into())
            }
            ("properties", Value::Object(properties)) => {
                let lower = |(name, value): (&String, &Value)| (name.clone(), lowered(value));
                Value::Object(properties.iter().map(lower).collect())
            }
            ("items" | "additionalProperties", Value::Object(_)) => lowered(value),
            (
                "type"
                | "required"
                | "enum"
                | "description"
                | "format"
                | "minimum"
                | "maximum"
                | "additionalProperties",
                value,
            ) => value.clone(),
            _ => continue,
        };
        told.insert(key.clone(), value);
    }
    if told.get("type") == Some(&"array".into()) && !told.contains_key("items") {
        told.insert("items".to_owned(), json!({}));
    }
    Value::Object(told)
}

/// What a parameter of a path stands for.
pub(super) fn meaning(name: &str) -> &'static str {
    match name {
        "repository" => "The full path of the repository. e.g. namespace/name",
        "orgname" => "The name of the organization",
        "namespace" => "The name of the namespace",
        "username" | "membername" => "The name of the user or of the robot",
        "teamname" => "The name of the team",
        "robot_shortname" => {
            "The short name for the robot, without any user or organization prefix"
        }
        "tag" => "The name of the tag",
        "manifestref" => "The digest of the manifest",
        "client_id" => "The OAuth client ID",
        "prototypeid" => "The ID of the prototype",
        "labelid" => "The ID of the label",
        "kid" => "The unique identifier for a service key",
        "uuid" | "token_uuid" | "access_token_uuid" | "policy_uuid" => "The unique ID",
        "email" => "The e-mail address",
        _ => "",
    }
}

/// `listRepoTags` as the name of a class.
fn class(operation: &str) -> String {
    let mut letters = operation.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_in_the_older_language() {
        let schema = json!({
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": { "type": ["string", "null"], "examples": ["x"] },
                "b": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/B" }] },
                "c": { "type": "array", "items": { "type": "integer", "format": "int64" } },
                "d": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
            },
        });
        let expected = json!({
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": { "x-nullable": true, "type": "string" },
                "b": { "$ref": "#/definitions/B" },
                "c": { "type": "array", "items": { "type": "integer", "format": "int64" } },
                "d": {},
            },
        });
        assert_eq!(lowered(&schema), expected);
    }
}
