//! Who connects: a user and a key, or somebody who is asked for them at every attempt.

use std::fmt;

use async_trait::async_trait;
use event_core::{Error, ErrorKind, Result, Secret};
use transport_ws::{HandshakeCredentials, SecretHeaders};

/// The header of the API user.
pub(crate) const USER: &str = "ftrack-user";
/// The header of the API key.
pub(crate) const KEY: &str = "ftrack-api-key";

/// An API user and key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The API user.
    pub user: String,
    /// The API key.
    pub key: Secret,
}

impl Credentials {
    /// A user and a key; the key may be a [`Secret`] or text.
    pub fn new(user: impl Into<String>, key: impl Into<Secret>) -> Self {
        Self { user: user.into(), key: key.into() }
    }
}

/// Gives the user and the key for each connect attempt: from a vault, a file, a login service.
///
/// ```
/// use ftrack_hub::{CredentialProvider, Credentials, Result, Session};
///
/// struct Vault;
///
/// #[async_trait::async_trait]
/// impl CredentialProvider for Vault {
///     async fn credentials(&self, refused: bool) -> Result<Credentials> {
///         // `refused`: the key that was given last is not good any more, so nothing kept is used.
///         let key = if refused { "fetched-anew" } else { "kept" };
///         Ok(Credentials::new("jane.doe", key))
///     }
/// }
///
/// let builder = Session::builder("https://studio.ftrackapp.com", "jane.doe", "").credentials(Vault);
/// ```
#[async_trait]
pub trait CredentialProvider: Send + Sync + 'static {
    /// The credentials for the attempt that is about to be made. `refused` says that the server has just refused
    /// the last ones: then others are wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthenticated`] when there are no others, which ends the attempts; a transient error to be
    /// asked again with the next attempt.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; the next attempt asks anew.
    async fn credentials(&self, refused: bool) -> Result<Credentials>;
}

/// The same ones for ever.
#[async_trait]
impl CredentialProvider for Credentials {
    async fn credentials(&self, refused: bool) -> Result<Credentials> {
        if refused {
            let message =
                "the server refused the API key, and there is no other; give a provider that has one";
            return Err(Error::new(ErrorKind::Unauthenticated, "authenticate", message));
        }
        Ok(self.clone())
    }
}

/// Asks a provider on behalf of the handshakes.
pub(crate) struct Provided(Box<dyn CredentialProvider>);

impl Provided {
    pub(crate) fn new(provider: impl CredentialProvider) -> Self {
        Self(Box::new(provider))
    }
}

#[async_trait]
impl HandshakeCredentials for Provided {
    async fn headers(&self, refused: bool) -> Result<SecretHeaders> {
        let Credentials { user, key } = self.0.credentials(refused).await?;
        SecretHeaders::new().with(USER, &user)?.with(KEY, key.expose())
    }
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provided")
    }
}
