//! Many connections that want everything and do nothing with it: the audience of a fan-out, or idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use interop::Failure;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::socket;
use crate::party::{self, Party, Stretch, number, text};
use crate::usage;

/// Connections made at a time.
const AT_A_TIME: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Idle {
    readers: JoinSet<()>,
    count: Arc<Count>,
    taken: u64,
}

#[derive(Default)]
struct Count {
    events: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Count {
    fn one(&self) {
        let now = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        if now >= self.target.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }
}

impl Idle {
    async fn open(
        &mut self,
        url: &str,
        connections: u64,
        expression: Option<&str>,
    ) -> Result<Value, Failure> {
        let opening = (0..connections).map(|n| async move {
            let mut socket = socket::connect(url).await?;
            if let Some(expression) = expression {
                socket::subscribe(&mut socket, expression, &format!("idle{n}")).await?;
            }
            Ok::<_, Failure>(socket)
        });
        let mut opening = stream::iter(opening).buffer_unordered(AT_A_TIME);
        while let Some(opened) = opening.next().await {
            let (mut socket, count) = (opened?, Arc::clone(&self.count));
            self.readers.spawn(async move {
                while let Ok(text) = socket::next(&mut socket).await {
                    if text.starts_with("5:") {
                        count.one();
                    }
                }
            });
        }
        Ok(json!({ "open": self.readers.len() }))
    }

    /// Waits until so many more events have come, over all connections.
    async fn receive(&mut self, count: u64) -> Value {
        self.taken += count;
        let stretch = Stretch::begin();
        self.count.target.store(self.taken, Ordering::Relaxed);
        while self.count.events.load(Ordering::Relaxed) < self.taken {
            self.count.reached.notified().await;
        }
        stretch.end(count)
    }
}

#[async_trait]
impl Party for Idle {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "descriptors" => Ok(json!({ "descriptors": usage::raise_descriptors() })),
            "open" => {
                let connections = number(args, "connections")?;
                self.open(text(args, "url")?, connections, args["expression"].as_str()).await
            }
            "receive" => Ok(self.receive(number(args, "count")?).await),
            _ => party::unknown(what),
        }
    }
}
