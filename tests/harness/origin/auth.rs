//! How the server wants to be authenticated to, and its token endpoint at `/token`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::wire::{Recorded, Reply};
use super::{Shared, State};

/// What is asked of clients.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic {
        user: &'static str,
        password: &'static str,
    },
    Bearer(Bearer),
}

/// Bearer tokens, with the variants that registries have.
#[derive(Clone)]
pub(crate) struct Bearer {
    /// Where tokens come from; this server's own `/token` by default.
    pub(crate) realm: Option<String>,
    pub(crate) service: Option<&'static str>,
    /// The scope named and wanted, instead of `repository:NAME:pull`.
    pub(crate) scope: Option<&'static str>,
    pub(crate) field: TokenField,
    pub(crate) expires_in: Option<u64>,
    /// Who gets a token; anyone if `None`.
    pub(crate) account: Option<(&'static str, &'static str)>,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            realm: None,
            service: Some("origin.test"),
            scope: None,
            field: TokenField::Both,
            expires_in: Some(300),
            account: None,
        }
    }
}

/// Which names the token has in the answer.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum TokenField {
    Both,
    Token,
    AccessToken,
}

impl State {
    /// The refusal, if `request` for `repository` is not authenticated as it should be.
    pub(super) fn challenge(
        &self,
        shared: &Shared,
        request: &Recorded,
        repository: Option<&str>,
    ) -> Option<Reply> {
        let given = request.header("authorization");
        let challenge = match &self.auth {
            Auth::None => return None,
            Auth::Basic { user, password } => {
                if given == Some(&basic(user, password)) {
                    return None;
                }
                "Basic realm=\"origin\"".to_owned()
            }
            Auth::Bearer(bearer) => {
                let scope = bearer.scope(repository);
                let start = format!("Bearer {}/{scope}/", self.generation);
                if given.is_some_and(|value| value.starts_with(&start)) {
                    return None;
                }
                bearer.challenge(shared, &scope, given.is_some())
            }
        };
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        let reply = Reply::new(401, "application/json", body.as_bytes().to_vec());
        Some(reply.with("WWW-Authenticate", challenge))
    }

    /// The answer of `/token`. A token says itself what it is good for.
    pub(super) fn token(&mut self, request: &Recorded) -> Reply {
        let bearer = match &self.auth {
            Auth::Bearer(bearer) => bearer.clone(),
            _ => Bearer::default(),
        };
        if let Some((user, password)) = bearer.account
            && request.header("authorization") != Some(&basic(user, password))
        {
            return Reply::new(401, "application/json", b"{}".to_vec());
        }
        self.issued += 1;
        let scope = request.parameter("scope").unwrap_or_default();
        let token = format!("{}/{scope}/{}", self.generation, self.issued);
        let mut body = json!({"issued_at": "2020-01-01T00:00:00Z"});
        if bearer.field != TokenField::AccessToken {
            body["token"] = json!(token);
        }
        if bearer.field != TokenField::Token {
            body["access_token"] = json!(token);
        }
        if let Some(seconds) = bearer.expires_in {
            body["expires_in"] = json!(seconds);
        }
        Reply::new(200, "text/plain", body.to_string().into_bytes())
    }
}

impl Bearer {
    fn scope(&self, repository: Option<&str>) -> String {
        match (self.scope, repository) {
            (Some(scope), _) => scope.to_owned(),
            (None, Some(repository)) => format!("repository:{repository}:pull"),
            (None, None) => String::new(),
        }
    }

    fn challenge(&self, shared: &Shared, scope: &str, had_token: bool) -> String {
        let own = || shared.url("127.0.0.1", "/token");
        let mut text = format!(
            "Bearer realm=\"{}\"",
            self.realm.clone().unwrap_or_else(own)
        );
        if let Some(service) = self.service {
            text += &format!(",service=\"{service}\"");
        }
        if !scope.is_empty() {
            text += &format!(",scope=\"{scope}\"");
        }
        if had_token {
            text += ",error=\"invalid_token\"";
        }
        text
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
