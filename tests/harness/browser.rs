//! A browser at the web doors: it keeps its cookie, shows its CSRF token, and follows no redirect by
//! itself.

use std::sync::Mutex;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::people::password;
use super::site::{Answer, Site};
use super::soon;

pub(crate) struct Browser {
    client: Client,
    base: String,
    cookie: Mutex<Option<String>>,
    csrf: Mutex<String>,
}

impl Browser {
    /// A browser without a cookie.
    pub(crate) fn new(site: &Site) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none());
        Self {
            client: client.build().unwrap(),
            base: site.url(""),
            cookie: Mutex::default(),
            csrf: Mutex::default(),
        }
    }

    /// A browser in which somebody has signed in who was made by [`Site::user`].
    pub(crate) async fn signed_in(site: &Site, name: &str) -> Self {
        let browser = Self::new(site);
        let answer = browser.sign_in(name, &password(name)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        browser
    }

    /// Signs in, as Quay's page does: the token first.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.fetch_csrf().await;
        let body = json!({ "username": name, "password": password });
        self.post("/api/v1/signin", body).await
    }

    pub(crate) async fn fetch_csrf(&self) -> String {
        let answer = self.get("/csrf_token").await;
        let token = answer.json()["csrf_token"].as_str().unwrap().to_owned();
        token.clone_into(&mut self.csrf.lock().unwrap());
        token
    }

    pub(crate) fn csrf(&self) -> String {
        self.csrf.lock().unwrap().clone()
    }

    /// The cookie as it would be sent.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    pub(crate) fn set_cookie(&self, cookie: Option<String>) {
        *self.cookie.lock().unwrap() = cookie;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(path, request).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.change(Method::POST, path, body).await
    }

    pub(crate) async fn change(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path);
        let request = request
            .header("x-csrf-token", self.csrf())
            .header("content-type", "application/json")
            .body(body.to_string());
        self.send(path, request).await
    }

    /// Sends a form, with the CSRF token in it.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf();
        let fields = fields
            .iter()
            .copied()
            .chain([("_csrf_token", csrf.as_str())]);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.request(Method::POST, path);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        self.send(path, request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match self.cookie() {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Answer {
        soon(path, async {
            let response = request.send().await.unwrap();
            let headers = response.headers().clone();
            if let Some(set) = headers.get("set-cookie") {
                let pair = set.to_str().unwrap().split(';').next().unwrap();
                let is_set = !pair.ends_with('=');
                self.set_cookie(is_set.then(|| pair.to_owned()));
            }
            if let Some(next) = headers.get("x-next-csrf-token") {
                next.to_str()
                    .unwrap()
                    .clone_into(&mut self.csrf.lock().unwrap());
            }
            Answer {
                status: response.status(),
                headers,
                body: response.bytes().await.unwrap(),
            }
        })
        .await
    }
}

/// The value of a parameter in the query or behind the `#` of an address.
pub(crate) fn parameter(location: &str, name: &str) -> Option<String> {
    let pairs = location.split(['?', '#']).skip(1);
    let mut pairs = pairs.flat_map(|part| url::form_urlencoded::parse(part.as_bytes()));
    let found = pairs.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}
