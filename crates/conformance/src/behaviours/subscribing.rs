//! Subscriptions: confirmed, filtered, taken back, and refused when they ask for too much.

use std::sync::Arc;

use event_core::transport::Guarantee;
use event_core::{ErrorKind, Event};

use super::offered;
use crate::rig::{Rig, event};
use crate::subject::{Bench, OTHER_TOPIC};
use crate::verdict::{Verdict, ensure};

pub(crate) async fn confirmed(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 1).await?;
    // Nothing is waited for in between: confirmed means that the next event comes.
    bench.deliver(&event(1)?).await?;
    ensure!(rig.numbers(1).await? == [1], "something else came");
    Ok(())
}

pub(crate) async fn unsubscribed(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let guarantee = offered(&rig.capabilities);
    let spec = rig.subscribe("s", guarantee, 5).await?;
    bench.deliver(&event(1)?).await?;
    rig.numbers(1).await?;
    rig.unsubscribe(&spec).await?;
    bench.deliver(&event(2)?).await?;
    rig.silence().await?;
    // The link goes on.
    rig.subscribe("t", guarantee, 1).await?;
    bench.deliver(&event(3)?).await?;
    ensure!(rig.numbers(1).await? == [3], "another subscription gets what was for the old one");
    Ok(())
}

pub(crate) async fn verb(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let spec = bench.spec("s", offered(&rig.capabilities)).await?;
    let by_event = rig.dialect.subscribe(&spec).is_some();
    let tx = Arc::clone(&rig.tx);
    for subscribe in [true, false] {
        let outcome = if subscribe {
            rig.during("subscribe", tx.subscribe(&spec)).await?
        } else {
            rig.during("unsubscribe", tx.unsubscribe(&spec)).await?
        };
        match outcome {
            Ok(()) => ensure!(!by_event, "the verb says that it did what only an event does"),
            Err(error) if by_event => {
                ensure!(error.kind() == ErrorKind::Unsupported, "the verb answers {error:?}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(crate) async fn guarantees(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let tx = Arc::clone(&rig.tx);
    for guarantee in [Guarantee::AtMostOnce, Guarantee::AtLeastOnce] {
        let spec = bench.spec(&format!("{guarantee:?}"), guarantee).await?;
        if rig.capabilities.guarantees.contains(guarantee) {
            rig.try_subscribe(&spec).await??;
            continue;
        }
        match rig.during("subscribe", tx.subscribe(&spec)).await? {
            Ok(()) => ensure!(false, "{guarantee:?} is not offered and was subscribed to"),
            Err(error) => ensure!(error.kind() == ErrorKind::Unsupported, "it is refused with {error:?}"),
        }
    }
    Ok(())
}

pub(crate) async fn on_a_closed_link(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let spec = bench.spec("s", offered(&rig.capabilities)).await?;
    let tx = Arc::clone(&rig.tx);
    rig.during("close", tx.close()).await?;
    let outcome = rig.during("subscribe", tx.subscribe(&spec)).await?;
    ensure!(outcome.is_err(), "a subscription on a closed link is confirmed");
    Ok(())
}

pub(crate) async fn filtered(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 2).await?;
    bench.deliver(&Event::new(OTHER_TOPIC, &serde_json::json!({"n": 1}))?).await?;
    bench.deliver(&event(2)?).await?;
    let numbers = rig.numbers(1).await?;
    ensure!(numbers == [2], "{numbers:?} came first although it does not match");
    Ok(())
}

/// Without a filter what matches comes all the same.
pub(crate) async fn unfiltered(bench: Bench) -> Verdict {
    confirmed(bench).await
}
