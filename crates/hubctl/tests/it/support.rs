//! A served hub, and commands run against it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The program under test.
pub(crate) fn hubctl() -> PathBuf {
    snapbox::cmd::cargo_bin("hubctl").clone()
}

/// `hubctl serve` on free ports; ends when dropped.
pub(crate) struct Served {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) ftrack: String,
    pub(crate) imodelhub: String,
    /// The page.
    pub(crate) inspector: String,
    /// The lines that it wrote.
    pub(crate) told: Vec<String>,
}

impl Served {
    pub(crate) fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let mut command = Command::new(hubctl());
        command.args(["serve", "--ftrack", "127.0.0.1:0", "--imodelhub", "127.0.0.1:0"]);
        if !more.contains(&"--inspector") {
            command.args(["--inspector", "127.0.0.1:0"]);
        }
        command.arg("--ready-file").arg(&ready).args(more).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It says so when it serves; the file is complete before the last line is read to its end.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = Vec::new();
        while !told.last().is_some_and(|line: &String| line.contains("IMODELHUB_URL")) {
            told.push(lines.next().unwrap().unwrap());
        }
        let urls = loop {
            match std::fs::read_to_string(&ready) {
                Ok(text) => break serde_json::from_str::<Value>(&text).unwrap(),
                Err(_) => std::thread::yield_now(),
            }
        };
        let url = |name: &str| urls[name].as_str().unwrap().to_owned();
        let (ftrack, imodelhub, inspector) = (url("ftrack"), url("imodelhub"), url("inspector"));
        Self { child, folder, ftrack, imodelhub, inspector, told }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command that connects to this hub.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(args);
        command.env("FTRACK_SERVER", &self.ftrack).env("IMODELHUB_URL", &self.imodelhub);
        command
    }

    /// The same, run to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Its standard output; the command must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that goes on.
    pub(crate) fn start_command(&self, args: &[&str]) -> Going {
        self.going(self.command(args))
    }

    /// The same with more to it.
    #[expect(clippy::unused_self, reason = "a command for this hub")]
    pub(crate) fn going(&self, mut command: Command) -> Going {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Going { child, out }
    }

    /// The state of the emulator, asked by HTTP.
    pub(crate) fn state(&self) -> Value {
        let (status, body) = http(&self.ftrack, "GET /admin/state", "", "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// What the inspector says.
    pub(crate) fn inspect(&self, path: &str) -> Value {
        let (status, body) = http(&self.inspector, &format!("GET {path}"), "", "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Ends it as Ctrl-C does; gives its exit code.
    #[cfg(unix)]
    pub(crate) fn interrupt(&mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap().code()
    }

    /// Waits until so many subscriptions are there.
    pub(crate) fn subscriptions(&self, count: u64) {
        while self.state()["state"]["subscriptions"] != count {
            std::thread::yield_now();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request: status and body. Headers are lines with their ends.
pub(crate) fn http(url: &str, request: &str, headers: &str, body: &str) -> (u16, String) {
    let address = url.strip_prefix("http://").unwrap().trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        },
    )
}

/// A body without the lengths of its chunks.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.push_str(&rest[..length]);
        body = &rest[length + 2..];
    }
}

/// A command without a server; a configuration file of the machine is not looked at.
pub(crate) fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(hubctl());
    command.args(args).stdin(Stdio::null());
    for name in
        ["FTRACK_SERVER", "HUBCTL_JOURNAL", "HUBCTL_PROFILE", "IMODELHUB_URL", "IMODEL_ID", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.env("FTRACK_API_USER", "jane").env("FTRACK_API_KEY", "marked-4711").env("NO_COLOR", "1");
    command.env("IMODELHUB_TOKEN", "marked-4712");
    command
}

/// A command at work.
pub(crate) struct Going {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Going {
    /// The next line that it writes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Its end, and what it wrote meanwhile.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), rest, said)
    }

    /// Ends it as Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Closes the pipe that it writes into.
    #[cfg(unix)]
    pub(crate) fn close_output(self) -> Child {
        self.child
    }
}
