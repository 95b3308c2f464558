//! What subscriptions take of the heap: a program of its own, for its allocator counts.

use std::process::ExitCode;

use async_trait::async_trait;
use bench::party::{self, Party, number, text};
use ftrack_hub::Session;
use futures_util::{StreamExt, TryStreamExt, stream};
use interop::Failure;
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Subscriptions asked for at a time.
const AT_A_TIME: usize = 64;
const BUFFER: usize = 1_024;

#[derive(Default)]
struct Heap {
    session: Option<Session>,
    streams: Vec<event_core::hub::EventStream>,
}

impl Heap {
    async fn subscribe(&mut self, count: u64) -> Result<Value, Failure> {
        let session = self.session.as_ref().ok_or_else(|| Failure::new("connect it first"))?;
        let hub = session.event_hub();
        let streams = &mut self.streams;
        streams.reserve_exact(usize::try_from(count).unwrap_or(0));
        let before = HEAP.current_usage();
        let subscribing = (0..count).map(|n| {
            let subscribe = hub.subscribe(format!("topic=show.task{n}.update and data.x={n}").as_str());
            subscribe.buffer(BUFFER, event_core::Overflow::DropOldest).stream()
        });
        let mut subscribing = stream::iter(subscribing).buffer_unordered(AT_A_TIME);
        while let Some(made) = subscribing.try_next().await? {
            streams.push(made);
        }
        drop(subscribing);
        Ok(json!({ "bytes": HEAP.current_usage() - before }))
    }
}

#[async_trait]
impl Party for Heap {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "connect" => {
                let session = Session::builder(text(args, "url")?, "ann", "her-key").build()?;
                session.event_hub().connect().await?;
                self.session = Some(session);
                Ok(json!({}))
            }
            "subscribe" => self.subscribe(number(args, "count")?).await,
            _ => party::unknown(what),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match party::obey(Heap::default()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
