//! The workers, as the scene holds them: processes that are killed and replaced.

use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::books::Books;
use super::worker::{ASKED, READY};
use super::{PATIENCE, WORKERS};
use crate::figures::{Broken, ensure};
use crate::scenes::stage::broken;

/// What of a worker's output waits to be read.
const OUTPUT: usize = 64 * 1_024;

/// The workers. Dropped, they are killed.
pub(super) struct Group {
    url: String,
    books: Arc<Mutex<Books>>,
    /// The one that is killed next is the first: the one that lived longest.
    workers: std::collections::VecDeque<Worker>,
}

struct Worker {
    number: u16,
    child: Child,
    /// It ends with this.
    orders: ChildStdin,
    /// Writes down what it says, to the end.
    reading: JoinHandle<Result<(), Broken>>,
}

impl Group {
    /// Starts all of them, and returns when each gets events.
    pub(super) async fn start(url: &str, books: &Arc<Mutex<Books>>) -> Result<Self, Broken> {
        ensure(std::env::var_os(ASKED).is_none(), || {
            "a worker plays scenes: its program does not begin with work_if_asked".to_owned()
        })?;
        let mut group = Self { url: url.to_owned(), books: Arc::clone(books), workers: [].into() };
        for _ in 0..WORKERS {
            group.hire().await?;
        }
        Ok(group)
    }

    async fn hire(&mut self) -> Result<(), Broken> {
        let number = self.books.lock().hired();
        let program = std::env::current_exe().map_err(broken("find this program"))?;
        let mut child = Command::new(program)
            .env(ASKED, &self.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken("start a worker"))?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Broken::new("a worker cannot be talked to"));
        };
        let mut output = BufReader::with_capacity(OUTPUT, output);
        let mut first = String::new();
        let said = tokio::time::timeout(PATIENCE, output.read_line(&mut first)).await;
        said.map_err(broken("wait for a worker"))?.map_err(broken("hear a worker"))?;
        let mut pending = None;
        if first.trim_end() != READY {
            // It may have an event before it knows that it is subscribed.
            ensure(!first.is_empty(), || format!("worker {number} does not start"))?;
            pending = Some(first);
        }
        let reading = tokio::spawn(read(number, pending, output, Arc::clone(&self.books)));
        self.workers.push_back(Worker { number, child, orders, reading });
        Ok(())
    }

    /// Kills the one that lived longest, and starts another in its place.
    pub(super) async fn kill_next(&mut self) -> Result<(), Broken> {
        let Some(mut worker) = self.workers.pop_front() else { return Ok(()) };
        self.books.lock().killed(worker.number);
        worker.child.start_kill().map_err(broken("kill a worker"))?;
        worker.child.wait().await.map_err(broken("wait for the end of a worker"))?;
        worker.reading.await.map_err(broken("hear a worker"))??;
        self.hire().await
    }

    /// Lets all of them end, and hears them out.
    pub(super) async fn stop(mut self) -> Result<(), Broken> {
        while let Some(mut worker) = self.workers.pop_front() {
            drop(worker.orders);
            let ended = tokio::time::timeout(PATIENCE, worker.child.wait()).await;
            let status = ended.map_err(broken("let a worker end"))?.map_err(broken("let a worker end"))?;
            ensure(status.success(), || format!("worker {} ends with {status}", worker.number))?;
            worker.reading.await.map_err(broken("hear a worker"))??;
        }
        Ok(())
    }
}

/// Writes down what a worker says, until it ends.
async fn read(
    number: u16,
    first: Option<String>,
    mut output: BufReader<ChildStdout>,
    books: Arc<Mutex<Books>>,
) -> Result<(), Broken> {
    let outcome = async {
        if let Some(line) = first {
            note(number, &line, &books)?;
        }
        let mut line = String::new();
        while output.read_line(&mut line).await.map_err(broken("hear a worker"))? > 0 {
            note(number, &line, &books)?;
            line.clear();
        }
        Ok(())
    };
    let outcome = outcome.await;
    let why = outcome.as_ref().err().map_or_else(String::new, |what: &Broken| format!(": {what}"));
    books.lock().silent(number, format!("worker {number} ended by itself{why}"));
    outcome
}

fn note(number: u16, line: &str, books: &Mutex<Books>) -> Result<(), Broken> {
    let line = line.trim_end();
    if line == READY {
        return Ok(());
    }
    let (n, attempt) = line.split_once(' ').ok_or_else(|| Broken::new(format!("a worker says {line:?}")))?;
    let n = n.parse().map_err(broken("read what a worker handled"))?;
    let attempt = attempt.parse().map_err(broken("read what a worker handled"))?;
    books.lock().note(number, n, attempt);
    Ok(())
}
