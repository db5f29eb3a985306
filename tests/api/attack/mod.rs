//! What somebody tries who wishes ill, at the doors of the API and of the web; one kind of attack a file.
//!
//! Where it can be, an attack is made on every door: the doors are read from `/api/v1/openapi.json`, which
//! is made from the route table, so that a door that is added is attacked from then on (TP-04).

mod consent;
mod forgery;
mod names;
mod privilege;
mod rebirth;
mod secrets;
mod strange;
mod strangers;
mod tenants;

use reqwest::Method;
use serde_json::Value;

use crate::harness::site::{Answer, Site};

/// Every scope there is.
const EVERYTHING: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// A door as the description tells it.
#[derive(Clone, Debug)]
struct Door {
    method: Method,
    path: String,
    need: String,
}

impl Door {
    fn is_api(&self) -> bool {
        self.path.starts_with("/api/v1/")
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }

    /// The path, each of its parameters replaced by what `value` says of it.
    fn at(&self, value: impl Fn(&str) -> String) -> String {
        let mut path = self.path.clone();
        while let Some(start) = path.find('{') {
            let end = start + path[start..].find('}').expect("a parameter ends");
            let value = value(&path[start + 1..end]);
            path.replace_range(start..=end, &value);
        }
        path
    }
}

/// Every door of the API and of the web.
async fn doors(site: &Site) -> Vec<Door> {
    let document = site.get("/api/v1/openapi.json").await.json();
    let mut doors = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            doors.push(Door {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                need: operation["x-need"].as_str().unwrap().to_owned(),
            });
        }
    }
    assert!(doors.len() > 150, "{} doors", doors.len());
    doors
}

/// Sends a request with a body to a path, with these headers.
async fn send(
    site: &Site,
    method: &Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Answer {
    let body: bytes::Bytes = body.into();
    match *method {
        Method::GET => site.get_with(path, headers).await,
        _ => site.send(method.clone(), path, headers, body).await,
    }
}

/// Sends JSON with the token of somebody.
async fn send_as(site: &Site, token: &str, method: &Method, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    send(site, method, path, &headers, body.to_string()).await
}
