//! A foreign process that does what it is told: commands as lines of JSON go in, answers and events come out.
//!
//! It is ended by its own handle: when it does not answer in time, and at the latest when the handle is dropped. What
//! it wrote beside its answers is kept and shown with a failure.

use std::collections::{HashMap, VecDeque};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long a process may take to be gone once it was ended.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// Lines that are kept of what it wrote beside its answers.
const LAST_WORDS: usize = 40;
/// Characters that are kept of a line.
const LINE: usize = 400;

/// See the module.
#[derive(Debug)]
pub struct Puppet {
    name: &'static str,
    /// Ends with it.
    child: tokio::sync::Mutex<Child>,
    stdin: tokio::sync::Mutex<ChildStdin>,
    shared: Arc<Shared>,
    patience: Duration,
}

/// What a process wrote beside its answers, readable after its handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct LastWords {
    name: &'static str,
    shared: Arc<Shared>,
}

impl LastWords {
    /// With the name of the process in front; nothing if it wrote nothing.
    pub(crate) fn text(&self) -> Option<String> {
        let words = self.shared.words();
        (!words.is_empty()).then(|| format!("{}:\n{words}", self.name))
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    calls: HashMap<u64, oneshot::Sender<Value>>,
    /// Said without being asked, and not taken yet.
    said: VecDeque<Value>,
    /// Standard error, and what is no JSON on standard output.
    words: VecDeque<String>,
    ended: bool,
}

impl Shared {
    fn words(&self) -> String {
        self.state.lock().words.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn hear(&self, line: &str) {
        let mut state = self.state.lock();
        if state.words.len() >= LAST_WORDS {
            state.words.pop_front();
        }
        state.words.push_back(line.chars().take(LINE).collect());
    }
}

impl Puppet {
    /// Starts a program.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self, Failure> {
        let command =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| Failure::new(format!("{name} does not start: {error}")))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::new(format!("{name} has no pipes")));
        };
        let shared = Arc::new(Shared::default());
        let overhearing = tokio::spawn(overhear(stderr, Arc::clone(&shared)));
        tokio::spawn(listen(stdout, overhearing, Arc::clone(&shared)));
        let (child, stdin) = (tokio::sync::Mutex::new(child), tokio::sync::Mutex::new(stdin));
        Ok(Self { name, child, stdin, shared, patience: PATIENCE })
    }

    /// How long an answer or an event may take; 45 s unless said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What it writes, to be shown if it has to be ended from outside.
    pub(crate) fn last_words(&self) -> LastWords {
        LastWords { name: self.name, shared: Arc::clone(&self.shared) }
    }

    /// Has it do something and waits for the answer.
    ///
    /// # Errors
    ///
    /// What it answered, or that it did not: then it was ended.
    pub async fn call(&self, what: &str, args: Value) -> Result<Value, Failure> {
        let answer = self.ask(what, args).await?;
        match answer.get("ok") {
            Some(ok) => Ok(ok.clone()),
            None => Err(self.failure(&format!("{what}: {answer}"))),
        }
    }

    /// Has it do something that must fail, and gives the error's name.
    ///
    /// # Errors
    ///
    /// When it succeeded, or did not answer.
    pub async fn refused(&self, what: &str, args: Value) -> Result<String, Failure> {
        let refusal = self.refusal(what, args).await?;
        Ok(refusal["error"].as_str().unwrap_or_default().to_owned())
    }

    /// Has it do something that must fail, and gives what it tells of the error.
    ///
    /// # Errors
    ///
    /// When it succeeded, or did not answer.
    pub async fn refusal(&self, what: &str, args: Value) -> Result<Value, Failure> {
        let answer = self.ask(what, args).await?;
        match answer.get("error").and_then(Value::as_str) {
            Some(_) => Ok(answer),
            None => Err(self.failure(&format!("{what} should have failed: {answer}"))),
        }
    }

    async fn ask(&self, what: &str, mut args: Value) -> Result<Value, Failure> {
        let (answered, answer) = oneshot::channel();
        let number = {
            let mut state = self.shared.state.lock();
            state.next += 1;
            let number = state.next;
            state.calls.insert(number, answered);
            number
        };
        args["call"] = json!(number);
        args["do"] = json!(what);
        let line = format!("{args}\n");
        let written = self.stdin.lock().await.write_all(line.as_bytes()).await;
        written.map_err(|error| self.failure(&format!("{what}: it does not listen: {error}")))?;
        match timeout(self.patience, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => {
                let how = self.end().await;
                Err(self.failure(&format!("{what}: it ended instead of answering ({how})")))
            }
            Err(_) => {
                let how = self.end().await;
                Err(self
                    .failure(&format!("{what}: no answer within {:?}; it was ended ({how})", self.patience)))
            }
        }
    }

    /// Ends the process; says how it went.
    async fn end(&self) -> String {
        let mut child = self.child.lock().await;
        if let Err(error) = child.start_kill() {
            return error.to_string();
        }
        match timeout(LAST_BREATH, child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("still there after {LAST_BREATH:?}"),
        }
    }

    /// The next event that it got, for which `wanted` holds; others are forgotten.
    ///
    /// # Errors
    ///
    /// When none comes in time.
    pub async fn event(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let found = timeout(self.patience, async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                {
                    let mut state = self.shared.state.lock();
                    while let Some(said) = state.said.pop_front() {
                        if said.get("event").is_some_and(&wanted) {
                            return Some(said);
                        }
                    }
                    if state.ended {
                        return None;
                    }
                }
                changed.await;
            }
        });
        match found.await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(self.failure("it ended instead of getting an event")),
            Err(_) => Err(self.failure(&format!("no such event within {:?}", self.patience))),
        }
    }

    /// The next event on a topic.
    ///
    /// # Errors
    ///
    /// As [`Puppet::event`].
    pub async fn event_on(&self, topic: &str) -> Result<Value, Failure> {
        Ok(self.event(|event| event["topic"] == topic).await?["event"].clone())
    }

    fn failure(&self, message: &str) -> Failure {
        Failure::new(format!("{}: {message}", self.name)).with_output(self.shared.words())
    }
}

async fn listen(stdout: impl AsyncRead + Unpin, overhearing: JoinHandle<()>, shared: Arc<Shared>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            shared.hear(&line);
            continue;
        };
        let mut state = shared.state.lock();
        match value.get("call").and_then(Value::as_u64).and_then(|call| state.calls.remove(&call)) {
            Some(answered) => {
                let _ = answered.send(value);
            }
            None => state.said.push_back(value),
        }
        drop(state);
        shared.changed.notify_waiters();
    }
    // Its last words belong to the failures that are told now.
    let _ = timeout(LAST_BREATH, overhearing).await;
    {
        let mut state = shared.state.lock();
        state.ended = true;
        state.calls.clear();
    }
    shared.changed.notify_waiters();
}

async fn overhear(stderr: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        shared.hear(&line);
    }
}
