//! A foreign process that does what it is told: commands as lines of JSON go in, answers and events come out.
//!
//! It is ended by its own handle, at the latest when that is dropped. What it wrote to standard error is kept and
//! shown with a failure.

use std::collections::{HashMap, VecDeque};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(45);
/// Lines of standard error that are kept.
const LAST_WORDS: usize = 40;

/// See the module.
#[derive(Debug)]
pub struct Puppet {
    name: &'static str,
    /// Ends with it.
    _child: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
    shared: Arc<Shared>,
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
    stderr: VecDeque<String>,
    ended: bool,
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
        tokio::spawn(listen(stdout, Arc::clone(&shared)));
        tokio::spawn(overhear(stderr, Arc::clone(&shared)));
        Ok(Self { name, _child: child, stdin: tokio::sync::Mutex::new(stdin), shared })
    }

    /// Has it do something and waits for the answer.
    ///
    /// # Errors
    ///
    /// What it answered, or that it did not.
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
    /// When it succeeded.
    pub async fn refused(&self, what: &str, args: Value) -> Result<String, Failure> {
        let answer = self.ask(what, args).await?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Ok(error.to_owned()),
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
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.failure(&format!("{what}: it ended instead of answering"))),
            Err(_) => Err(self.failure(&format!("{what}: no answer within {PATIENCE:?}"))),
        }
    }

    /// The next event that it got, for which `wanted` holds; others are forgotten.
    ///
    /// # Errors
    ///
    /// When none comes in time.
    pub async fn event(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let found = timeout(PATIENCE, async {
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
            Err(_) => Err(self.failure(&format!("no such event within {PATIENCE:?}"))),
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

    /// The events that it has got so far, which are forgotten.
    pub fn events(&self) -> Vec<Value> {
        let mut state = self.shared.state.lock();
        state.said.drain(..).filter_map(|said| said.get("event").cloned()).collect()
    }

    fn failure(&self, message: &str) -> Failure {
        let last_words: Vec<String> = self.shared.state.lock().stderr.iter().cloned().collect();
        Failure::new(format!("{}: {message}", self.name)).with_output(last_words.join("\n"))
    }
}

async fn listen(stdout: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
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
        let mut state = shared.state.lock();
        if state.stderr.len() >= LAST_WORDS {
            state.stderr.pop_front();
        }
        state.stderr.push_back(line);
    }
}
