//! Brings one subject and one behaviour together, in a runtime of their own.

use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::behaviour::Behaviour;
use crate::rig::patience;
use crate::subject::{Entry, Tool};
use crate::verdict::{Broken, Verdict, ensure};

/// The whole of one judgement; what hangs outside of all waits ends here.
const LIMIT: Duration = Duration::from_secs(50);
const PAUSED_LIMIT: Duration = Duration::from_secs(30 * 24 * 3_600);

std::thread_local! {
    static PAUSED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Judgement {
    /// The capability is there, and the transport keeps what it promises.
    Holds,
    /// The capability is not there, and the transport says so.
    SaysNo,
    /// The service cannot be brought into the situation, as its entry admits.
    NotJudged(Tool),
}

/// Judges one transport by one behaviour, with a fresh subject, on a runtime of its own. Blocks.
///
/// # Errors
///
/// [`Broken`], when the transport does something else, or leaves a task behind.
pub fn judge(entry: &Entry, behaviour: &Behaviour) -> Verdict<Judgement> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(entry.paused);
    let runtime = builder.build().map_err(|cause| Broken::promise(format!("no runtime: {cause}")))?;
    PAUSED.set(entry.paused);
    let limit = if entry.paused { PAUSED_LIMIT } else { LIMIT };
    let outcome = runtime.block_on(async {
        tokio::time::timeout(limit, run(entry, behaviour))
            .await
            .unwrap_or_else(|_| Err(Broken::promise("it takes too long")))
    });
    match outcome {
        Err(Broken::Missing(tool)) if entry.without.contains(&tool) => Ok(Judgement::NotJudged(tool)),
        other => other,
    }
}

async fn run(entry: &Entry, behaviour: &Behaviour) -> Verdict<Judgement> {
    let bench = (entry.make)().await?;
    let tasks = Tasks::now();
    let able = behaviour.need.is_met(&bench.transport().capabilities());
    let body = if able { behaviour.holds } else { behaviour.lacks };
    body(std::sync::Arc::clone(&bench)).await?;
    // Whatever a behaviour is about: its links are gone by now, and so is what served them.
    tasks.are_back().await?;
    Ok(if able { Judgement::Holds } else { Judgement::SaysNo })
}

/// Whether the judgement on this thread goes on in paused time.
pub(crate) fn is_paused() -> bool {
    PAUSED.get()
}

/// How many tasks there were.
#[derive(Clone, Copy)]
pub(crate) struct Tasks(usize);

impl Tasks {
    pub(crate) fn now() -> Self {
        Self(Handle::current().metrics().num_alive_tasks())
    }

    /// Holds as soon as there are no more than then. The service may need a moment to see that a link is gone.
    pub(crate) async fn are_back(self) -> Verdict {
        let waiting = async {
            while Self::now().0 > self.0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let back = tokio::time::timeout(patience(), waiting).await.is_ok();
        ensure!(back, "{} tasks where there were {}: one is left behind", Self::now().0, self.0);
        Ok(())
    }
}
