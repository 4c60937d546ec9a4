//! Credentials, from the places that a worker is started with, and fresh whenever they change.
//!
//! | place | taken when | fresh because |
//! |---|---|---|
//! | environment | `AWS_ACCESS_KEY_ID` is set | never: it cannot change |
//! | the task's role | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI` is set | asked again five minutes before they expire |
//! | shared file | otherwise: `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials` | looked at before each call, read again when it changed |
//!
//! All are read again when the region says that a token has expired ([`Provider::distrust`]). The SDK's own provider for
//! files reads once and keeps what it read for ever.

mod endpoint;
mod file;

use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

pub use endpoint::Endpoint;
pub use file::{File, Stamp, parse};

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No place was named.
    #[error(
        "no credentials: set AWS_SHARED_CREDENTIALS_FILE to the file that the box keeps, or run as a task with a role"
    )]
    Nowhere,
    /// Half of a pair.
    #[error("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both or none")]
    Half,
    /// The file could not be read.
    #[error(
        "could not read the credentials file '{path}': {source}; give the courier's user the right to read it"
    )]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is much longer than any such file.
    #[error("the credentials file '{path}' is longer than 64 KiB; it is not one of credentials")]
    Long {
        /// The file.
        path: String,
    },
    /// The file has no such profile.
    #[error(
        "the credentials file '{path}' has no profile [{profile}]; add it, or set AWS_PROFILE to one that is there"
    )]
    NoProfile {
        /// The file.
        path: String,
        /// The profile.
        profile: String,
    },
    /// The profile lacks a key.
    #[error("the profile [{profile}] in '{path}' has no '{key}'; add it")]
    NoKey {
        /// The file.
        path: String,
        /// The profile.
        profile: String,
        /// The key.
        key: &'static str,
    },
    /// A line that is no line of such a file.
    #[error(
        "line {line} of '{path}' is neither a [profile], a key = value, nor a remark, or has control characters in it; \
         correct or remove it"
    )]
    Line {
        /// The file.
        path: String,
        /// The line.
        line: usize,
    },
    /// An address that credentials must not be fetched from.
    #[error(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is not http to this host or to the agent's own addresses; credentials are not \
         fetched from anywhere else"
    )]
    Address,
    /// The endpoint did not answer as it should.
    #[error("the task's credentials endpoint {0}; see whether the agent runs and the task has a role")]
    Endpoint(&'static str),
}

/// Where credentials come from.
#[derive(Debug)]
enum Source {
    Fixed(Credentials),
    File(Mutex<File>),
    Endpoint(Box<Endpoint>),
}

/// Credentials for the SDK, from one source.
#[derive(Debug, Clone)]
pub struct Provider(Arc<Source>);

impl Provider {
    /// The source that the environment names; `variable` looks a variable up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let source = if let Some(id) = variable("AWS_ACCESS_KEY_ID") {
            let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or(Error::Half)?;
            let token = variable("AWS_SESSION_TOKEN");
            Source::Fixed(Credentials::new(id, secret, token, None, "environment"))
        } else if let Some(endpoint) = Endpoint::from_environment(variable)? {
            Source::Endpoint(Box::new(endpoint))
        } else {
            let path = variable("AWS_SHARED_CREDENTIALS_FILE")
                .or_else(|| variable("HOME").map(|home| format!("{home}/.aws/credentials")))
                .ok_or(Error::Nowhere)?;
            let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
            Source::File(Mutex::new(File::new(path, profile)))
        };
        Ok(Self(Arc::new(source)))
    }

    /// Credentials of a file.
    pub fn from_file(path: &str, profile: &str) -> Self {
        Self(Arc::new(Source::File(Mutex::new(File::new(path.to_owned(), profile.to_owned())))))
    }

    /// The region does not take them any more: read or ask again before the next call.
    pub fn distrust(&self) {
        match &*self.0 {
            Source::Fixed(_) => {}
            Source::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).forget(),
            Source::Endpoint(endpoint) => endpoint.forget(),
        }
    }

    /// Another value when there are other credentials; `None` while there are none yet. Of a file only: all else is asked
    /// when it is wanted.
    pub fn stamp(&self) -> Option<Stamp> {
        match &*self.0 {
            Source::Fixed(_) | Source::Endpoint(_) => Some(Stamp::default()),
            Source::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).stamp(),
        }
    }

    /// The credentials as they are now.
    pub async fn current(&self) -> Result<Credentials, Error> {
        match &*self.0 {
            Source::Fixed(credentials) => Ok(credentials.clone()),
            // Local and small: a look at its time, and on a change a read of some hundred bytes.
            Source::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).current(),
            Source::Endpoint(endpoint) => endpoint.current().await,
        }
    }

    async fn provide(&self) -> provider::Result {
        self.current().await.map_err(CredentialsError::provider_error)
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}
