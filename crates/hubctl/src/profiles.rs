//! Profiles: servers and users with names, in a file of the user's configuration folder.
//!
//! ```toml
//! default = "studio"
//!
//! [profiles.studio]
//! server = "https://studio.ftrackapp.com"
//! user = "jane.doe"
//! key_file = "studio.key"   # beside this file; or: key_env = "STUDIO_KEY"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::exit::{Failure, Result};

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    default: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// One server and user. The key itself does not stand here, so that the file can be shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) server: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) key_env: Option<String>,
    /// Servers of NATS, for `hubctl bridge`.
    #[serde(default)]
    pub(crate) nats: Vec<String>,
    pub(crate) nats_credentials: Option<PathBuf>,
}

impl Profiles {
    /// Reads a file, or the one in the configuration folder, which may be missing.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self> {
        let (path, required) = match path {
            Some(path) => (path.to_owned(), true),
            None => match default_path() {
                Some(path) => (path, false),
                None => return Ok(Self::default()),
            },
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text, &path)?.beside(path.parent().unwrap_or(Path::new("")))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(Self::default()),
            Err(error) => Err(Failure::usage(format!("{}: {error}", path.display()))),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            Failure::usage(format!("{}: {}", path.display(), error.to_string().trim_end()))
                .next("see `hubctl tail --help` for an example of a profile")
        })
    }

    /// With relative paths taken from the folder of the file.
    fn beside(mut self, folder: &Path) -> Self {
        for profile in self.profiles.values_mut() {
            for file in [&mut profile.key_file, &mut profile.nats_credentials] {
                *file = file.take().map(|file| folder.join(file));
            }
        }
        self
    }

    /// The profile of a name, or the default one; empty when neither is asked for nor set.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<Profile> {
        let Some(name) = name.or(self.default.as_deref()) else { return Ok(Profile::default()) };
        self.profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            Failure::usage(format!("no profile is called {name:?}; known: {known}"))
        })
    }
}

/// `hubctl/config.toml` below the configuration folder of the platform.
pub(crate) fn default_path() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("hubctl").join("config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "default = \"a\"\n[profiles.a]\nserver = \"http://h\"\n[profiles.b]\nuser = \"u\"\nkey_env = \"K\"\n";

    #[test]
    fn a_profile_is_found_by_name_or_default() {
        let profiles = Profiles::parse(TEXT, Path::new("f")).unwrap();
        assert_eq!(profiles.get(None).unwrap().server.as_deref(), Some("http://h"));
        assert_eq!(profiles.get(Some("b")).unwrap().key_env.as_deref(), Some("K"));
        let failure = profiles.get(Some("c")).unwrap_err().to_string();
        assert!(failure.contains("\"c\"; known: a, b"), "{failure}");
        assert!(Profiles::default().get(None).unwrap().server.is_none());
    }

    #[test]
    fn key_files_are_looked_for_beside_the_configuration() {
        let text = "[profiles.a]\nkey_file = \"a.key\"\n[profiles.b]\nkey_file = \"/keys/b\"\n";
        let profiles = Profiles::parse(text, Path::new("f")).unwrap().beside(Path::new("folder"));
        let file = |name| profiles.get(Some(name)).unwrap().key_file.unwrap();
        assert_eq!(file("a"), Path::new("folder").join("a.key"));
        assert_eq!(file("b"), Path::new("/keys/b"));
    }

    #[test]
    fn an_unknown_member_is_refused_with_its_place() {
        let failure = Profiles::parse("[profiles.a]\nkey = \"secret-4711\"\n", Path::new("f")).unwrap_err();
        assert!(failure.to_string().contains("key"), "{failure}");
    }
}
