//! On what and with what it was measured: no names of machines, no paths.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::Serialize;

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The model of the processor.
    pub processor: String,
    /// How many of its cores there are.
    pub cores: usize,
    /// The system and the release of its kernel.
    pub kernel: String,
    /// Versions of compilers, interpreters and packages.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // What follows the numbers names who built it, or for what.
        let release = release.split('-').next().unwrap_or_default().trim();
        let kernel = format!("{} {release}", std::env::consts::OS);
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: kernel.trim().to_owned(),
            versions: versions(),
        }
    }
}

/// The compiler, in one line.
pub fn rustc() -> String {
    said("rustc", &["--version"]).unwrap_or_else(|| "unknown".to_owned())
}

fn versions() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    versions.insert("this project".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    versions.insert("rustc".to_owned(), rustc());
    for (name, program, args) in [("node", "node", "--version"), ("python", "python3", "--version")] {
        versions.extend(said(program, &[args]).map(|version| (name.to_owned(), version)));
    }
    let lock = include_str!("../../../Cargo.lock");
    for name in ["tokio", "tokio-tungstenite", "tungstenite", "serde_json", "reqwest", "hyper"] {
        versions.extend(locked(lock, name).map(|version| (name.to_owned(), version)));
    }
    for package in interop::foreign_packages() {
        if let Some((name, version)) = package.rsplit_once("==").or_else(|| package.rsplit_once('@')) {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    versions
}

fn locked(lock: &str, name: &str) -> Option<String> {
    let rest = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    Some(rest.split_once('"')?.0.to_owned())
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_locked_package_is_found() {
        let lock = "[[package]]\nname = \"tokio\"\nversion = \"1.2.3\"\n";
        assert_eq!(locked(lock, "tokio").as_deref(), Some("1.2.3"));
        assert_eq!(locked(lock, "toki"), None);
    }
}
