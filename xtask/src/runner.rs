//! Runs processes and steps, and reports on both.

use std::cell::{OnceCell, RefCell};
use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::metadata::{self, Package};
use crate::steps::Step;

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything holds; with a note, possibly empty.
    Passed(String),
    /// Something does not hold; with what.
    Failed(String),
    /// It could not be checked here; with the reason.
    Skipped(String),
}

impl Outcome {
    /// Passed with a note, or failed with the reason.
    pub(crate) fn from_result(result: Result<String, String>) -> Self {
        match result {
            Ok(note) => Self::Passed(note),
            Err(reason) => Self::Failed(reason),
        }
    }
}

/// What every step is given.
pub(crate) struct Context {
    /// The folder of the workspace.
    pub(crate) root: PathBuf,
    /// Whether this is continuous integration (`CI=true`): required tools must be there, the tree clean.
    pub(crate) ci: bool,
    /// Whether tests run at their full sizes.
    pub(crate) full: bool,
    /// Whether to show the output of what succeeds.
    pub(crate) verbose: bool,
    cargo: OsString,
    packages: OnceCell<Vec<Package>>,
    closing: RefCell<Vec<String>>,
}

impl Context {
    pub(crate) fn new(full: bool, verbose: bool) -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Cargo says at run time where this package is; the path of the build may be another by now.
        let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| here.to_path_buf(), PathBuf::from);
        let root = here.parent().ok_or("the folder of the workspace is not known")?.to_path_buf();
        Ok(Self {
            root,
            ci: env::var_os("CI").is_some_and(|value| value == "true" || value == "1"),
            full,
            verbose,
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            packages: OnceCell::new(),
            closing: RefCell::default(),
        })
    }

    /// A command run in the workspace's folder, without the variables by which cargo described xtask: build
    /// scripts that look at them would be run again.
    pub(crate) fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let is_own = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_")
                    || name.starts_with("CARGO_MANIFEST_")
                    || name == "CARGO_BIN_NAME"
            });
            if is_own {
                command.env_remove(name);
            }
        }
        command
    }

    /// `cargo` with arguments.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.command(&self.cargo);
        command.args(args);
        command
    }

    /// `cargo` with arguments, for subcommands that compile: with the profile and the lock file of continuous
    /// integration when this is it.
    pub(crate) fn build<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.cargo(args);
        if self.ci {
            command.args(["--profile", "ci", "--locked"]);
        }
        command
    }

    /// The packages of the workspace.
    pub(crate) fn packages(&self) -> Result<&[Package], String> {
        if let Some(packages) = self.packages.get() {
            return Ok(packages);
        }
        let mut command = self.cargo(["metadata", "--no-deps", "--format-version", "1"]);
        let packages = metadata::parse(&stdout_of(&mut command)?)?;
        Ok(self.packages.get_or_init(|| packages))
    }

    /// Keeps a line to be repeated below the summary.
    pub(crate) fn close_with(&self, line: String) {
        self.closing.borrow_mut().push(line);
    }

    /// The lines kept so far.
    pub(crate) fn closing_lines(&self) -> Vec<String> {
        self.closing.borrow().clone()
    }

    /// The outcome of a step whose tool is not there: in continuous integration a required tool must be.
    pub(crate) fn missing_required(&self, tool: &str, how: &str) -> Outcome {
        let reason = format!("{tool} is not installed ({how})");
        if self.ci { Outcome::Failed(reason) } else { Outcome::Skipped(reason) }
    }

    /// Whether a cargo subcommand is installed.
    pub(crate) fn has_subcommand(&self, name: &str) -> bool {
        succeeds(&mut self.cargo([name, "--version"]))
    }
}

/// Whether a command can be started and succeeds; its output is dropped. For looking at the machine.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The standard output of a command that must succeed; not announced.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("`{}` does not start: {error}", shown(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("`{}` failed: {}", shown(command), output.status))
    }
}

/// Prints a command as one would type it.
pub(crate) fn announce(command: &Command) {
    println!("$ {}", shown(command));
}

/// Announces a command and runs it, its output passed on.
pub(crate) fn stream(command: &mut Command) -> Result<(), String> {
    announce(command);
    let status = command.stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed: {status}", shown(command))),
        Err(error) => Err(format!("`{}` does not start: {error}", shown(command))),
    }
}

/// A finished command with what it wrote.
pub(crate) struct Finished {
    /// How it exited; `None` when it was stopped at its time limit.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Announces a command and runs it, its output both passed on and kept.
pub(crate) fn tee(command: &mut Command) -> Result<Finished, String> {
    announce(command);
    run_kept(command, true, None)
}

/// Runs a command with a time limit, at which it is killed, and keeps its output.
pub(crate) fn limited(command: &mut Command, limit: Duration) -> Result<Finished, String> {
    run_kept(command, false, Some(limit))
}

#[expect(clippy::disallowed_methods, reason = "waits for a process, outside of any async runtime")]
fn run_kept(command: &mut Command, echo: bool, limit: Option<Duration>) -> Result<Finished, String> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = piped.spawn().map_err(|error| format!("`{}` does not start: {error}", shown(command)))?;
    let stdout = child.stdout.take().map(|pipe| thread::spawn(move || keep(pipe, echo)));
    let stderr = child.stderr.take().map(|pipe| thread::spawn(move || keep(pipe, echo)));
    let mut poll = || -> std::io::Result<Option<ExitStatus>> {
        let Some(limit) = limit else { return child.wait().map(Some) };
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if started.elapsed() >= limit {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(20));
        }
    };
    let status = poll().map_err(|error| format!("waiting for `{}`: {error}", shown(command)))?;
    let join = |reader: Option<thread::JoinHandle<String>>| reader.and_then(|reader| reader.join().ok());
    Ok(Finished {
        status,
        stdout: join(stdout).unwrap_or_default(),
        stderr: join(stderr).unwrap_or_default(),
    })
}

/// Reads a pipe to its end, line by line.
fn keep(pipe: impl Read, echo: bool) -> String {
    let mut reader = BufReader::new(pipe);
    let mut kept = String::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line);
        if echo {
            // A reader of our output that went away is no reason to stop the command.
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        kept.push_str(&text);
        line.clear();
    }
    kept
}

/// A command as one would type it: the variables that are set for it, the program, the arguments.
fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.display(), quoted(&value.to_string_lossy())));
        }
    }
    let program = Path::new(command.get_program());
    words.push(program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned());
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains(char::is_whitespace) { format!("'{word}'") } else { word.to_owned() }
}

/// A line of the summary.
struct Row {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

/// Runs steps in order, prints the summary, and says how the process should exit.
#[expect(clippy::disallowed_methods, reason = "measures how long a step takes")]
pub(crate) fn run_steps(context: &Context, steps: &[&'static Step], fail_fast: bool) -> ExitCode {
    let mut rows: Vec<Row> = Vec::new();
    for step in steps {
        println!("\n== {}: {}", step.name, step.about);
        let started = Instant::now();
        let outcome = (step.run)(context);
        let failed = matches!(outcome, Outcome::Failed(_));
        if let Outcome::Failed(reason) | Outcome::Skipped(reason) = &outcome {
            println!("{}: {}: {reason}", step.name, if failed { "FAILED" } else { "skipped" });
        }
        rows.push(Row { name: step.name, outcome, time: started.elapsed() });
        if failed && fail_fast {
            break;
        }
    }
    println!("\n{}", table(&rows));
    let count = |wanted: fn(&Outcome) -> bool| rows.iter().filter(|row| wanted(&row.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    for line in context.closing.borrow().iter() {
        println!("{line}");
    }
    let left = steps.len() - rows.len();
    if left > 0 {
        println!("stopped at the first failure: {left} not run");
    }
    println!("steps: {} ok, {failed} failed, {skipped} skipped", rows.len() - failed - skipped);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The summary: a line per step with its seconds, its result and its note, then the seconds altogether.
fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("total".len());
    let mut lines = vec![format!("{:<width$}  {:>7}  result", "step", "seconds")];
    for row in rows {
        let result = match &row.outcome {
            Outcome::Passed(note) if note.is_empty() => "ok".to_owned(),
            Outcome::Passed(note) => format!("ok      {note}"),
            Outcome::Failed(reason) => format!("FAILED  {reason}"),
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
        };
        lines.push(format!("{:<width$}  {:>7.1}  {result}", row.name, row.time.as_secs_f64()));
    }
    let total: Duration = rows.iter().map(|row| row.time).sum();
    lines.push(format!("{:<width$}  {:>7.1}", "total", total.as_secs_f64()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, outcome: Outcome, millis: u64) -> Row {
        Row { name, outcome, time: Duration::from_millis(millis) }
    }

    #[test]
    fn table_lines_up_and_names_reasons() {
        let rows = [
            row("fmt", Outcome::Passed(String::new()), 400),
            row("doctest", Outcome::Passed("7 doctests".into()), 61_250),
            row("doc", Outcome::Failed("`cargo doc` failed".into()), 0),
            row("advisories", Outcome::Skipped("offline".into()), 0),
        ];
        let expected = "\
step        seconds  result
fmt             0.4  ok
doctest        61.2  ok      7 doctests
doc             0.0  FAILED  `cargo doc` failed
advisories      0.0  skipped: offline
total          61.6";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("/some/where/cargo");
        command
            .args(["doc", "--features", "a b"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .env_remove("CARGO_PKG_NAME");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --features 'a b'");
    }

    #[test]
    fn a_command_over_its_limit_is_stopped() {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "runner::tests::sleeps_only_when_asked"]).env("XTASK_TEST_SLEEP", "1");
        let finished = limited(&mut command, Duration::from_millis(300)).unwrap();
        assert!(finished.status.is_none());
        assert!(!finished.success());
    }

    /// The process that the test above stops; alone, it does nothing.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "has to outlast the limit")]
    fn sleeps_only_when_asked() {
        if env::var_os("XTASK_TEST_SLEEP").is_some() {
            thread::sleep(Duration::from_secs(60));
        }
    }
}
