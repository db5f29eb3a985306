//! The REST API as its clients use it: JSON in, JSON out, with the token of somebody.

use std::time::Duration;

use entrepot::accounts::{ApplicationFields, NewOauthToken};
use entrepot::model::{Performer, UserId};
use reqwest::Method;
use serde_json::Value;

use super::site::{Answer, Site};
use super::soon;

/// The API of a site, asked by one client.
#[derive(Clone, Copy)]
pub(crate) struct Api<'a> {
    site: &'a Site,
    token: Option<&'a str>,
}

impl Site {
    /// The API as a client with this OAuth token has it.
    pub(crate) const fn api<'a>(&'a self, token: &'a str) -> Api<'a> {
        Api {
            site: self,
            token: Some(token),
        }
    }

    /// The API as nobody has it.
    pub(crate) const fn api_of_nobody(&self) -> Api<'_> {
        Api {
            site: self,
            token: None,
        }
    }
}

impl Site {
    /// A token for those scopes of the user, of an application in the user's own namespace.
    pub(crate) async fn oauth_token(&self, user: UserId, scope: &str) -> String {
        let accounts = self.accounts();
        let record = accounts.user(user).await.unwrap().unwrap();
        let fields = ApplicationFields {
            name: "tests".to_owned(),
            ..ApplicationFields::default()
        };
        let by = &Performer::SYSTEM;
        let made = accounts.create_application(record.namespace, &fields, by);
        let new = NewOauthToken {
            application: made.await.unwrap().0,
            user,
            scope: scope.to_owned(),
            life: Duration::from_secs(3600),
        };
        let token = accounts.create_oauth_token(new).await.unwrap();
        token.expose().to_owned()
    }
}

impl Api<'_> {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a request below `/api/v1` and reads its whole answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = self.site.url(&format!("/api/v1{path}"));
        let bearer = self.token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|it| ("authorization", it.as_str()))
            .collect();
        let mut request = self.site.request(method, &url, &headers);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        soon(path, async {
            let response = request.send().await.unwrap();
            Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await.unwrap(),
            }
        })
        .await
    }
}

impl Site {
    /// The lines of the usage log, newest first, with those of that kind only.
    pub(crate) async fn lines(&self, kind: &str) -> Vec<Value> {
        let found = self.accounts().user_by_name("log-reader").await.unwrap();
        let reader = match found {
            Some((id, _)) => id,
            None => self.superuser("log-reader").await,
        };
        let token = self.oauth_token(reader, "super:user").await;
        let answer = self.api(&token).get("/superuser/logs").await;
        let body = answer.json();
        let lines = body["logs"].as_array().expect("lines").clone();
        let mut lines = lines;
        lines.retain(|line| line["kind"] == kind);
        lines
    }
}

/// The names of an object's fields, in their order.
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}
