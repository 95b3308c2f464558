//! Who connects.

use std::path::PathBuf;

use async_nats::ConnectOptions;
use event_core::{Error, ErrorKind, Result, Secret};

/// Who connects, as the server's configuration knows it. `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// A user and a password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// The seed of a user's nkey, `SU...`.
    NKey(Secret),
    /// A credentials file, as `nsc` writes it. It is read at every attempt to connect.
    File(PathBuf),
    /// What stands in a credentials file.
    Text(Secret),
}

impl Credentials {
    /// A user and a password.
    pub fn user_password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::UserPassword { user: user.into(), password: password.into() }
    }

    pub(crate) async fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions> {
        // What the library says of a text that it cannot read is left out: it may show part of it.
        let unreadable = |what: &str| {
            let message =
                format!("{what} is not what nsc writes: a JWT and a seed, each between its two lines");
            Error::new(ErrorKind::InvalidCredentials, "connect", message)
        };
        match self {
            Self::UserPassword { user, password } => {
                Ok(options.user_and_password(user.clone(), password.expose().to_owned()))
            }
            Self::Token(token) => Ok(options.token(token.expose().to_owned())),
            Self::NKey(seed) => Ok(options.nkey(seed.expose().trim().to_owned())),
            Self::Text(text) => {
                options.credentials(text.expose()).map_err(|_| unreadable("the text of the credentials"))
            }
            Self::File(path) => {
                let shown = path.display();
                let text = tokio::fs::read_to_string(path).await.map_err(|cause| {
                    let message = format!("the credentials file {shown} cannot be read: {cause}");
                    Error::new(ErrorKind::InvalidCredentials, "connect", message).with_source(cause)
                })?;
                let text = Secret::from(text);
                options
                    .credentials(text.expose())
                    .map_err(|_| unreadable(&format!("the credentials file {shown}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_secret_is_shown_and_what_is_no_credential_says_so() {
        let secret = "marked-4711";
        for credentials in [
            Credentials::user_password("ann", secret),
            Credentials::Token(secret.into()),
            Credentials::NKey(secret.into()),
            Credentials::Text(secret.into()),
        ] {
            assert!(!format!("{credentials:?}").contains("4711"));
            if let Err(error) = credentials.apply(ConnectOptions::new()).await {
                assert_eq!(error.kind(), ErrorKind::InvalidCredentials);
                assert!(!format!("{error:?}").contains("4711"), "{error:?}");
            }
        }
        let missing = Credentials::File("no-such-folder/user.creds".into());
        let error = missing.apply(ConnectOptions::new()).await.unwrap_err();
        assert!(error.message().contains("no-such-folder/user.creds"), "{error}");
    }
}
