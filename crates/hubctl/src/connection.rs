//! Which server, and as whom: from options, the environment, or a profile, in this order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ftrack_hub::{EventHub, Secret, Session};

use crate::exit::{Failure, Result};
use crate::profiles::{self, Profile, Profiles};

/// The options of every command that connects to an ftrack hub.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Address of the server
    #[arg(long, short, env = "FTRACK_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// API user
    #[arg(long, short, env = "FTRACK_API_USER", value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// File with the API key; without it the key is taken from FTRACK_API_KEY
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Profile of the configuration file
    #[arg(long, short, env = "HUBCTL_PROFILE", value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Configuration file instead of the one in the configuration folder
    #[arg(long, env = "HUBCTL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A server, a user and a key. `Debug` does not show the key.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) server: String,
    pub(crate) user: String,
    pub(crate) key: Secret,
}

impl Connection {
    /// The profile that was asked for, or the default one.
    pub(crate) fn profile(&self) -> Result<Profile> {
        Profiles::load(self.config.as_deref())?.get(self.profile.as_deref())
    }

    /// Puts together who connects where.
    pub(crate) fn login(&self) -> Result<Login> {
        let profile = self.profile()?;
        let missing = |what: &str, how: &str| {
            let file =
                profiles::default_path().map_or_else(String::new, |path| format!(" ({})", path.display()));
            Failure::usage(format!("no {what}: give {how}, or a profile{file}"))
                .next("hubctl serve, which is a hub of its own and prints what to set")
        };
        let server = self.server.clone().or(profile.server.clone());
        let server = server.ok_or_else(|| missing("server", "--server or FTRACK_SERVER"))?;
        let user = self.user.clone().or(profile.user.clone());
        let user = user.ok_or_else(|| missing("user", "--user or FTRACK_API_USER"))?;
        let key = key(self.key_file.as_deref(), &profile, |name| std::env::var(name).ok())?;
        let key = key.ok_or_else(|| missing("key", "--key-file or FTRACK_API_KEY"))?;
        Ok(Login { server, user, key })
    }

    /// A session, connected. `Ctrl-C` ends the wait like any other.
    pub(crate) async fn connect(&self) -> Result<Session> {
        let session = self.login()?.session(Duration::from_secs(30))?;
        session.event_hub().connect().await?;
        Ok(session)
    }
}

impl Login {
    /// A session that is not connected, whose calls may take so long.
    pub(crate) fn session(&self, timeout: Duration) -> Result<Session> {
        Ok(self.build(timeout)?)
    }

    /// The same as a hub for a bridge.
    pub(crate) fn bridged(&self, timeout: Duration) -> ftrack_hub::Result<event_bridge::Hub> {
        Ok(self.build(timeout)?.event_hub().engine().clone())
    }

    fn build(&self, timeout: Duration) -> ftrack_hub::Result<Session> {
        Session::builder(&self.server, &self.user, self.key.clone())
            .application_id("hubctl")
            .user_agent(concat!("hubctl/", env!("CARGO_PKG_VERSION")))
            .publish_timeout(timeout)
            .request_timeout(timeout)
            .subscribe_timeout(timeout)
            .build()
    }
}

/// Ends a session in good order.
pub(crate) async fn leave(hub: &EventHub) {
    hub.close().await;
}

/// The key: from the file of the option, the environment, the file or the variable of the profile.
fn key(
    option: Option<&Path>,
    profile: &Profile,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<Secret>> {
    if let Some(file) = option {
        return read(file).map(Some);
    }
    if let Some(key) = lookup("FTRACK_API_KEY").filter(|key| !key.is_empty()) {
        return Ok(Some(key.into()));
    }
    if let Some(file) = &profile.key_file {
        return read(file).map(Some);
    }
    Ok(profile.key_env.as_deref().and_then(lookup).map(Into::into))
}

fn read(file: &Path) -> Result<Secret> {
    match std::fs::read_to_string(file) {
        Ok(key) => Ok(key.trim().to_owned().into()),
        Err(error) => Err(Failure::usage(format!("cannot read the key from {}: {error}", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_comes_from_the_environment_before_the_profile() {
        let profile = Profile { key_env: Some("MINE".to_owned()), ..Profile::default() };
        let found = |known: &'static [(&'static str, &'static str)]| {
            let lookup =
                |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
            key(None, &profile, lookup).unwrap().map(|key| key.expose().to_owned())
        };
        assert_eq!(found(&[("FTRACK_API_KEY", "a"), ("MINE", "b")]).as_deref(), Some("a"));
        assert_eq!(found(&[("FTRACK_API_KEY", ""), ("MINE", "b")]).as_deref(), Some("b"));
        assert_eq!(found(&[]), None);
        let failure = key(Some(Path::new("/no/such/file")), &profile, |_| None).unwrap_err();
        assert!(failure.to_string().contains("/no/such/file"));
    }

    #[test]
    fn debug_shows_no_key() {
        let login =
            Login { server: "s".to_owned(), user: "u".to_owned(), key: "marked-4711".to_owned().into() };
        assert!(!format!("{login:?}").contains("4711"));
    }
}
