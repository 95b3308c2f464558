//! What the measurements are made with: this program in its parts, the foreign ones, and how large a round is.

use std::path::{Path, PathBuf};

use interop::{Failure, Puppet, Tools};
use serde_json::{Value, json};
use tokio::process::Command;

/// See the module.
#[derive(Debug)]
pub struct Stage {
    tools: Tools,
    program: PathBuf,
    /// Short rounds.
    pub quick: bool,
    /// How often each party has its turn.
    pub rounds: usize,
    taskset: bool,
}

/// Where a process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// On all.
    All,
    /// On the first alone.
    One,
}

impl Stage {
    /// Installs what is missing of the foreign software.
    ///
    /// # Errors
    ///
    /// When there is no cache folder or this program does not know its path.
    pub async fn set(quick: bool, rounds: usize) -> Result<Self, Failure> {
        let tools = Tools::prepare().await?;
        let tools = Tools { scripts: Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign"), ..tools };
        let program = std::env::current_exe().map_err(|error| Failure::new(error.to_string()))?;
        let taskset = Command::new("taskset").arg("-V").output().await.is_ok();
        Ok(Self { tools, program, quick, rounds, taskset })
    }

    /// The size of a round: whole, or for a short one.
    pub fn size(&self, whole: u64, short: u64) -> u64 {
        if self.quick { short } else { whole }
    }

    /// Another program of this crate, beside this one.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.program.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// One of our parts.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn role(&self, role: &'static str, cores: Cores) -> Result<Puppet, Failure> {
        let mut command = Command::new(&self.program);
        command.args(["role", role]);
        Self::start(role, command, cores)
    }

    /// A script run by Node, with a set of packages.
    ///
    /// # Errors
    ///
    /// When there is no Node, or it does not start.
    pub fn node(&self, set: &str, script: &'static str, cores: Cores) -> Result<Puppet, Failure> {
        Self::start(script, self.tools.node(set, script)?, cores)
    }

    /// A script run by Python.
    ///
    /// # Errors
    ///
    /// When there is no Python, or it does not start.
    pub fn python(&self, script: &'static str) -> Result<Puppet, Failure> {
        Self::start(script, self.tools.python(script)?, Cores::All)
    }

    /// Why there are no JavaScript parties, if so.
    pub fn lacks_node(&self) -> Option<&str> {
        self.tools.node.as_ref().err().map(String::as_str)
    }

    /// Why there are no Python parties, if so.
    pub fn lacks_python(&self) -> Option<&str> {
        self.tools.python.as_ref().err().map(String::as_str)
    }

    /// Where everybody runs, by name: all on one core, so that nobody is charged for waking another one up, where
    /// processes can be kept there; and wherever the kernel puts them.
    pub fn places(&self) -> &'static [(Cores, &'static str)] {
        const PLACES: [(Cores, &str); 2] = [(Cores::One, "on one core"), (Cores::All, "unpinned")];
        if self.taskset { &PLACES } else { &PLACES[1..] }
    }

    fn start(name: &'static str, command: Command, cores: Cores) -> Result<Puppet, Failure> {
        if cores == Cores::All {
            return Puppet::start(name, command);
        }
        let inner = command.as_std();
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", "0"]).arg(inner.get_program()).args(inner.get_args());
        for (key, value) in inner.get_envs() {
            if let Some(value) = value {
                pinned.env(key, value);
            }
        }
        if let Some(folder) = inner.get_current_dir() {
            pinned.current_dir(folder);
        }
        Puppet::start(name, pinned)
    }

    /// An emulator in a process of its own: it and the address of its ftrack side.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn emulator(&self, cores: Cores) -> Result<(Puppet, Value), Failure> {
        let server = self.role("server", cores)?;
        let urls = server.call("start", json!({})).await?;
        Ok((server, urls))
    }
}

/// A member of an answer as a number; not a number where there is none.
pub fn figure(answer: &Value, name: &str) -> f64 {
    answer[name].as_f64().unwrap_or(f64::NAN)
}

/// The processor time that parties took so far, in all.
///
/// # Errors
///
/// When one of them does not answer.
pub async fn cpu_of(parties: &[&Puppet]) -> Result<f64, Failure> {
    let mut total = 0.0;
    for party in parties {
        total += figure(&party.call("usage", json!({})).await?, "cpu_us");
    }
    Ok(total)
}
