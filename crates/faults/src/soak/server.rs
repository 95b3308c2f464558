//! The services, in a process of their own, so that what they hold is not counted. They do what they are told on
//! standard input, one line of JSON at a time, and end with it.

use std::process::Stdio;
use std::time::Duration;

use hub_emulator::{Emulator, ftrack, imodelhub};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::figures::Broken;
use crate::scenes::stage::broken;

/// The iModel of the run.
pub(super) const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";
/// How long a client may be silent, so that half-open connections are noticed within the run.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a message is locked.
pub(super) const LOCK: Duration = Duration::from_secs(10);

/// What the services are told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Ask {
    /// This happens to the open connections of a user.
    Strike { user: String, action: ftrack::Action },
    /// This happens to connections to come.
    Next { fault: ftrack::Fault },
    /// This happens to requests to come.
    Request { fault: imodelhub::Fault },
    /// Both services stop, and come back on their ports.
    Restart { down_ms: u64 },
    /// An event of the iModel, with this number.
    Publish { n: u64 },
    /// SAS tokens end.
    ExpireSas,
    /// Whatever waits to go wrong is forgotten.
    Calm,
}

/// Where the services are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Urls {
    pub(super) ftrack: String,
    pub(super) imodelhub: String,
}

/// Runs the services until standard input ends.
///
/// # Errors
///
/// [`Broken`] when they cannot start or their orders cannot be read.
pub async fn serve() -> Result<(), Broken> {
    let emulator = Emulator::builder()
        .heartbeat_interval(Duration::from_secs(5))
        .heartbeat_timeout(SILENCE)
        .sas_lifetime(Duration::from_secs(60))
        .lock_duration(LOCK)
        .captures(0)
        .start()
        .await
        .map_err(broken("start the emulator"))?;
    let urls = Urls { ftrack: emulator.ftrack_url(), imodelhub: emulator.imodelhub_url() };
    let mut out = tokio::io::stdout();
    say(&mut out, &serde_json::to_string(&urls).map_err(broken("write"))?).await?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await.map_err(broken("read an order"))? {
        let done = match serde_json::from_str(&line) {
            Ok(ask) => obey(&emulator, ask).await,
            Err(error) => Err(Broken::new(error.to_string())),
        };
        let answer = match done {
            Ok(count) => json!({"done": count}),
            Err(what) => json!({"error": what.to_string()}),
        };
        say(&mut out, &answer.to_string()).await?;
    }
    Ok(())
}

async fn say(out: &mut (impl AsyncWriteExt + Unpin), line: &str) -> Result<(), Broken> {
    out.write_all(format!("{line}\n").as_bytes()).await.map_err(broken("answer"))?;
    out.flush().await.map_err(broken("answer"))
}

async fn obey(emulator: &Emulator, ask: Ask) -> Result<usize, Broken> {
    match ask {
        Ask::Strike { user, action } => {
            let faults = emulator.ftrack_faults();
            let mut struck = 0;
            for connection in emulator.connections().iter().filter(|connection| connection.user == user) {
                let hit = faults.fire_at(connection.id, action.clone()).map_err(broken("fire"))?;
                struck += usize::from(hit);
            }
            Ok(struck)
        }
        Ask::Next { fault } => emulator.ftrack_faults().add(fault).map(|()| 1).map_err(broken("add")),
        Ask::Request { fault } => emulator.add_fault(fault).map(|()| 1).map_err(broken("add")),
        Ask::Restart { down_ms } => {
            emulator.stop().await;
            tokio::time::sleep(Duration::from_millis(down_ms)).await;
            emulator.restart().await.map(|()| 1).map_err(broken("restart"))
        }
        Ask::Publish { n } => {
            let body = json!({"VersionName": n.to_string()});
            Ok(emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(body)))
        }
        Ask::ExpireSas => Ok(emulator.expire_sas()),
        Ask::Calm => Ok(emulator.ftrack_faults().clear() + emulator.imodelhub_faults().clear()),
    }
}

/// The services as the run sees them. Dropped, they end.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) urls: Urls,
    talk: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

impl Services {
    /// Starts this very program as the services.
    pub(super) async fn start() -> Result<Self, Broken> {
        let program = std::env::current_exe().map_err(broken("find this program"))?;
        let mut child = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken("start the services"))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Broken::new("the services cannot be talked to"));
        };
        let mut answers = BufReader::new(answers).lines();
        let first = answers.next_line().await.map_err(broken("hear the services"))?.unwrap_or_default();
        let urls = serde_json::from_str(&first).map_err(broken("read where the services are"))?;
        Ok(Self { urls, talk: Mutex::new((orders, answers)), _child: child })
    }

    /// Gives an order and waits until it is done; says how much it hit.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<usize, Broken> {
        let line = serde_json::to_string(ask).map_err(broken("write an order"))?;
        let mut talk = self.talk.lock().await;
        let (orders, answers) = &mut *talk;
        say(orders, &line).await?;
        let answer = answers.next_line().await.map_err(broken("hear the services"))?.unwrap_or_default();
        drop(talk);
        let answer: serde_json::Value = serde_json::from_str(&answer).map_err(broken("hear the services"))?;
        let count = answer["done"].as_u64().and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| Broken::new(format!("{line}: {}", answer["error"])))
    }
}
