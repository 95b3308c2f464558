//! Bridges as processes of their own: this program once more, told by its environment what to be.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use event_bridge::{Bridge, Report, Told};
use ftrack_hub::Session;
use tokio::sync::mpsc;
use transport_nats::{JetStream, NatsTransport, NewStream};

use crate::figures::Broken;

/// Where a child finds its addresses.
const CHILD: &str = "FAULTS_BRIDGE";
/// The lease of the bridges.
const LEASE: Duration = Duration::from_secs(2);

/// What a bridge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Waiting,
    Active,
    Lost,
    /// Its process is gone.
    Ended,
}

/// Plays a bridge if this process was started to be one, until its parent is gone; `false` if it was not. To be called
/// first by every program that plays scenes.
pub fn bridge_child() -> bool {
    let Ok(order) = std::env::var(CHILD) else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let outcome = runtime.block_on(child(&order)).map_err(|error| error.to_string());
        runtime.shutdown_background();
        outcome
    });
    if let Err(error) = outcome {
        say(&format!("error {error}"));
    }
    true
}

async fn child(order: &str) -> event_core::Result<()> {
    let (service, nats) = order.split_once(' ').unwrap_or_default();
    let service = service.to_owned();
    let make =
        move || Ok(Session::builder(&service, "bridge", "any-key").build()?.event_hub().engine().clone());
    let transport =
        NatsTransport::builder([nats]).jetstream(JetStream::new("EVENTS").create(NewStream::default()));
    let bridge = Bridge::builder("ftrack", make, transport).lease(LEASE).start()?;
    let mut reports = bridge.reports();
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    tokio::pin!(parent);
    loop {
        let told = tokio::select! {
            _ = &mut parent => return Ok(()),
            told = reports.next() => told,
        };
        match told {
            Some(Told::Happened(Report::Waiting { .. })) => say("waiting"),
            Some(Told::Happened(Report::Active)) => say("active"),
            Some(Told::Happened(Report::Lost)) => say("lost"),
            None => return Ok(()),
            Some(_) => {}
        }
    }
}

/// One line for the parent. If it is gone, so is whoever would read it.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Two of them, killed when this is dropped.
pub(crate) struct Bridges {
    order: String,
    children: [Option<Child>; 2],
    words: mpsc::Sender<(usize, Word)>,
}

impl Bridges {
    /// Starts both. Their words come with the number of who said them.
    pub(crate) fn start(service: &str, nats: &str) -> Result<(Self, mpsc::Receiver<(usize, Word)>), Broken> {
        let (words, heard) = mpsc::channel(64);
        let mut bridges = Self { order: format!("{service} {nats}"), children: [None, None], words };
        bridges.spawn(0)?;
        bridges.spawn(1)?;
        Ok((bridges, heard))
    }

    /// Starts one that is not running.
    pub(crate) fn spawn(&mut self, who: usize) -> Result<(), Broken> {
        let failed = |error: std::io::Error| Broken::new(format!("start a bridge: {error}"));
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .env(CHILD, &self.order)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        self.children[who] = Some(child);
        let words = self.words.clone();
        std::thread::spawn(move || {
            let lines =
                output.into_iter().flat_map(|output| BufReader::new(output).lines().map_while(Result::ok));
            for line in lines {
                let word = match line.as_str() {
                    "waiting" => Word::Waiting,
                    "active" => Word::Active,
                    "lost" => Word::Lost,
                    _ => continue,
                };
                if words.blocking_send((who, word)).is_err() {
                    return;
                }
            }
            let _ = words.blocking_send((who, Word::Ended));
        });
        Ok(())
    }

    /// Kills one, without a word of warning.
    pub(crate) fn kill(&mut self, who: usize) -> Result<(), Broken> {
        let Some(mut child) = self.children[who].take() else { return Ok(()) };
        let killed = child.kill().and_then(|()| child.wait().map(drop));
        killed.map_err(|error| Broken::new(format!("kill a bridge: {error}")))
    }
}

impl Drop for Bridges {
    fn drop(&mut self) {
        for who in 0..self.children.len() {
            let _ = self.kill(who);
        }
    }
}
