//! Which service, and where it is.

use event_core::{Error, ErrorKind, Result};

/// Which iModelHub.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Environment {
    /// Bentley's service.
    #[default]
    Production,
    /// Its test installation.
    Qa,
    /// Its development installation.
    Dev,
    /// Another one, or an iModelBank: its URL without `/sv1.1`.
    Url(String),
}

impl Environment {
    /// Where iModelHub's REST side is.
    pub(crate) fn base(&self) -> Result<String> {
        let url = self.url()?;
        Ok(if matches!(self, Self::Url(_)) {
            format!("{url}/sv1.1")
        } else {
            format!("{url}/imodelhub/sv1.1")
        })
    }

    /// Where the iTwin Platform is.
    #[cfg(feature = "webhooks")]
    pub(crate) fn platform(&self) -> Result<String> {
        self.url().map(str::to_owned)
    }

    fn url(&self) -> Result<&str> {
        Ok(match self {
            Self::Production => "https://api.bentley.com",
            Self::Qa => "https://qa-api.bentley.com",
            Self::Dev => "https://dev-api.bentley.com",
            Self::Url(url) => {
                let url = url.trim().trim_end_matches('/');
                let authority = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
                let wrong = match authority {
                    None => Some("it must begin with https:// or http://"),
                    Some(rest) if rest.split('/').next().is_none_or(str::is_empty) => Some("it has no host"),
                    Some(rest) if rest.contains(['?', '#', '@']) => {
                        Some("it has a query, a fragment or a login")
                    }
                    Some(_) => None,
                };
                if let Some(wrong) = wrong {
                    let message = format!("the service URL cannot be used: {wrong}");
                    return Err(Error::new(ErrorKind::InvalidUrl, "build client", message));
                }
                url
            }
        })
    }
}
