//! The foreign software, at pinned versions, in a cache folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::Failure;

/// From npm, each set in a folder of its own: the old server wants an old websocket library.
const NPM: [(&str, &[&str]); 3] = [
    ("ftrack", &["@ftrack/api@1.11.2", "ws@8.18.0"]),
    ("socketio", &["socket.io@0.9.19"]),
    (
        "imodelhub",
        &[
            "@bentley/imodelhub-client@2.19.53",
            "@bentley/bentleyjs-core@2.19.53",
            "@bentley/itwin-client@2.19.53",
            "azure-sb@0.11.2",
        ],
    ),
];
/// From PyPI.
const PYPI: [&str; 2] = ["ftrack-python-api==3.1.0", "setuptools==80.9.0"];
/// How long an installation may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is installed, as npm and pip are told: name, `@` or `==`, version.
pub fn foreign_packages() -> impl Iterator<Item = &'static str> {
    NPM.iter().flat_map(|(_, packages)| packages.iter().copied()).chain(PYPI)
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The folder of Node's packages, one folder in it for each set; or why there is none.
    pub node: Result<PathBuf, String>,
    /// The Python of the virtual environment; or why there is none.
    pub python: Result<PathBuf, String>,
    /// The folder of our scripts.
    pub scripts: PathBuf,
}

impl Tools {
    /// Finds what there is and installs what is missing.
    ///
    /// # Errors
    ///
    /// When the cache folder cannot be made.
    pub async fn prepare() -> Result<Self, Failure> {
        let cache = cache_folder();
        std::fs::create_dir_all(&cache)
            .map_err(|error| Failure::new(format!("cannot make the cache folder: {error}")))?;
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign");
        Ok(Self { node: node(&cache).await, python: python(&cache).await, scripts })
    }

    /// Why something is not there, if something is not.
    pub fn missing(&self) -> Option<&str> {
        self.node.as_ref().err().or(self.python.as_ref().err()).map(String::as_str)
    }

    /// A script run by Node, with one set of packages.
    ///
    /// # Errors
    ///
    /// Why it cannot be.
    pub fn node(&self, set: &str, script: &str) -> Result<Command, Failure> {
        let packages = self.node.as_ref().map_err(Failure::new)?.join(set).join("node_modules");
        let mut command = Command::new("node");
        command.arg(self.scripts.join(script)).env("NODE_PATH", &packages).current_dir(&packages);
        Ok(command)
    }

    /// A script run by Python.
    ///
    /// # Errors
    ///
    /// Why it cannot be.
    pub fn python(&self, script: &str) -> Result<Command, Failure> {
        let python = self.python.as_ref().map_err(Failure::new)?;
        let mut command = Command::new(python);
        command.arg("-u").arg(self.scripts.join(script));
        Ok(command)
    }
}

/// `INTEROP_CACHE`, or a folder of this project in the user's cache folder.
fn cache_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("INTEROP_CACHE") {
        return folder.into();
    }
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("LOCALAPPDATA").map(PathBuf::from))
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("event-sdk").join("interop")
}

async fn node(cache: &Path) -> Result<PathBuf, String> {
    for program in ["node", "npm"] {
        run(Command::new(program).arg("--version"))
            .await
            .map_err(|why| format!("{program} is needed and does not run: {why}"))?;
    }
    let all = cache.join("npm");
    for (set, wanted) in NPM {
        install(&all.join(set), wanted).await?;
    }
    Ok(all)
}

async fn install(folder: &Path, wanted: &[&str]) -> Result<(), String> {
    if is_done(folder, wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    std::fs::write(folder.join("package.json"), r#"{"name":"interop","private":true}"#)
        .map_err(|error| error.to_string())?;
    let mut install = Command::new("npm");
    // No scripts: what they would compile is not needed.
    install
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps"])
        .args(wanted)
        .current_dir(folder);
    run(&mut install).await.map_err(|why| format!("npm install: {why}"))?;
    done(folder, wanted)
}

async fn python(cache: &Path) -> Result<PathBuf, String> {
    let folder = cache.join("python");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if is_done(&folder, &PYPI) {
        return Ok(python);
    }
    let system = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(system).args(["-m", "venv"]).arg(&folder))
        .await
        .map_err(|why| format!("{system} with venv is needed and does not run: {why}"))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYPI);
    run(&mut install).await.map_err(|why| format!("pip install: {why}"))?;
    done(&folder, &PYPI)?;
    Ok(python)
}

/// Whether exactly this was installed here before.
fn is_done(folder: &Path, wanted: &[&str]) -> bool {
    std::fs::read_to_string(folder.join("installed.txt")).is_ok_and(|found| found == wanted.join("\n"))
}

fn done(folder: &Path, wanted: &[&str]) -> Result<(), String> {
    std::fs::write(folder.join("installed.txt"), wanted.join("\n")).map_err(|error| error.to_string())
}

async fn run(command: &mut Command) -> Result<(), String> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("not done within {PATIENCE:?}")),
    }
}
