//! What the room counts.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Counters of logins and tokens.
#[derive(Clone)]
pub struct Metrics {
    logins: IntCounterVec,
    /// Tokens signed.
    pub(super) issued: IntCounter,
    /// Signatures of tokens checked; a token seen before costs none.
    pub(super) signatures: IntCounter,
    /// Passwords hashed to compare them.
    pub(super) hashed: IntCounter,
    /// Rights read from the store; those remembered are not counted.
    pub(super) rights: IntCounter,
}

/// What stood in the Authorization header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Credential {
    Password,
    Robot,
    AppToken,
    Bearer,
    Oauth,
    Other,
}

impl Credential {
    const ALL: [Self; 6] = [
        Self::Password,
        Self::Robot,
        Self::AppToken,
        Self::Bearer,
        Self::Oauth,
        Self::Other,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Robot => "robot",
            Self::AppToken => "app_token",
            Self::Bearer => "bearer",
            Self::Oauth => "oauth",
            Self::Other => "other",
        }
    }
}

/// How a login ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Accepted,
    Refused,
    Throttled,
    Failed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::Throttled, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }

    pub(super) const fn of<T>(result: &Result<T, super::Error>) -> Self {
        match result {
            Ok(_) => Self::Accepted,
            Err(super::Error::Throttled { .. }) => Self::Throttled,
            Err(error) if error.is_refusal() => Self::Refused,
            Err(_) => Self::Failed,
        }
    }
}

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let logins = Opts::new(
            "entrepot_auth_logins_total",
            "Credentials and tokens looked at, by kind and outcome.",
        );
        let logins = IntCounterVec::new(logins, &["credential", "outcome"])?;
        registry.register(Box::new(logins.clone()))?;
        for credential in Credential::ALL {
            for outcome in Outcome::ALL {
                logins.with_label_values(&[credential.as_str(), outcome.as_str()]);
            }
        }
        Ok(Self {
            logins,
            issued: counter("entrepot_auth_tokens_issued_total", "Tokens signed.")?,
            signatures: counter(
                "entrepot_auth_signature_checks_total",
                "Signatures of tokens checked; a token seen before costs none.",
            )?,
            hashed: counter(
                "entrepot_auth_password_checks_total",
                "Passwords hashed to compare them.",
            )?,
            rights: counter(
                "entrepot_auth_rights_reads_total",
                "Rights read from the store; those remembered are not counted.",
            )?,
        })
    }

    pub(super) fn count(&self, credential: Credential, outcome: Outcome) {
        self.logins
            .with_label_values(&[credential.as_str(), outcome.as_str()])
            .inc();
    }
}
