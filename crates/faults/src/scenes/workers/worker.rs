//! One worker: this very program again, told by its environment where the server is. It says on standard output what it
//! handled, before it is acknowledged, and ends with its standard input.

use std::io::Write as _;
use std::process::ExitCode;

use event_core::Overflow;
use event_core::{Event, EventHub};
use tokio::io::AsyncReadExt as _;
use transport_nats::NatsTransport;

use super::{GROUP, IN_FLIGHT, TOPIC, stream};
use crate::figures::Broken;
use crate::scenes::stage::broken;

/// Where the server is, for a worker.
pub(super) const ASKED: &str = "FAULTS_WORKER";
/// What a worker says when it gets events.
pub(super) const READY: &str = "ready";
/// Events that a worker handles at a time.
const AT_A_TIME: usize = 16;

/// Does what a scene started this program for, if one did: the first thing that a program does in which scenes are
/// played. Gives how to end.
#[must_use]
pub fn work_if_asked() -> Option<ExitCode> {
    let url = std::env::var(ASKED).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(broken("start a runtime")).and_then(|runtime| {
        let outcome = runtime.block_on(work(url));
        runtime.shutdown_background();
        outcome
    });
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            let _ = writeln!(std::io::stderr(), "worker: {what}");
            ExitCode::FAILURE
        }
    })
}

async fn work(url: String) -> Result<(), Broken> {
    let transport = NatsTransport::builder([url]).jetstream(stream());
    let transport = transport.build().map_err(broken("build transport"))?;
    let hub = EventHub::builder(transport).connect().await.map_err(broken("connect"))?;
    let in_flight = usize::try_from(IN_FLIGHT).map_err(broken("subscribe"))?;
    let subscribe = hub.subscribe(format!("topic={TOPIC}")).durable(GROUP);
    let subscribe = subscribe.buffer(in_flight, Overflow::DropNewest).concurrency(AT_A_TIME);
    let subscription = subscribe.handle_ctx(async |event: Event, context| {
        let id = event.id().map(|id| id.as_str().to_owned()).unwrap_or_default();
        say(&format!("{id} {}", context.attempt()))
    });
    let _subscription = subscription.await.map_err(broken("subscribe"))?;
    say(READY).map_err(broken("say that it is ready"))?;
    let mut orders = Vec::new();
    tokio::io::stdin().read_to_end(&mut orders).await.map_err(broken("wait for the end"))?;
    hub.close().await;
    Ok(())
}

/// One line in one piece: a kill does not leave half of it.
fn say(line: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes())
}
