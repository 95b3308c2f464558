//! What comes: all of it, in order, unchanged, and addressed.

use std::time::Duration;

use event_core::Event;
use event_core::transport::{Inbound, Route};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::offered;
use crate::rig::{Rig, event, number};
use crate::subject::{Bench, TOPIC};
use crate::verdict::{Broken, Verdict, ensure};

const MANY: u64 = 40;

async fn open(bench: &Bench, credit: u32) -> Verdict<Rig> {
    Rig::subscribed(bench, offered(&bench.transport().capabilities()), credit).await
}

pub(crate) async fn in_order(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 40).await?;
    for n in 0..MANY {
        bench.deliver(&event(n)?).await?;
    }
    let numbers = rig.numbers(40).await?;
    ensure!(numbers.iter().copied().eq(0..MANY), "they come as {numbers:?}");
    rig.silence().await
}

pub(crate) async fn routed(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 1).await?;
    rig.subscribe("t", offered(&rig.capabilities), 1).await?;
    bench.deliver(&event(1)?).await?;
    let mut named = Vec::new();
    while named.len() < 2 {
        match rig.delivery().await?.route {
            Route::Direct(id) => named.push(id),
            // Whoever matches is found by the hub: one delivery may be for both.
            _ => return Ok(()),
        }
    }
    named.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    ensure!(named == ["s", "t"], "one event for two subscriptions is delivered to {named:?}");
    Ok(())
}

pub(crate) async fn first_attempt(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 1).await?;
    bench.deliver(&event(1)?).await?;
    let delivery = rig.delivery().await?;
    ensure!(delivery.attempt == 1, "a first delivery says that it is number {}", delivery.attempt);
    Ok(())
}

/// Texts in which something gets lost when bytes are taken for characters.
pub(crate) fn payloads() -> Vec<serde_json::Value> {
    let unicode =
        "\u{1f600} e\u{301} \u{feff} \u{2028} \u{0} \\ \" \u{7f} \u{202e} \u{10ffff} 日本語 ~m~ 5:::{}";
    vec![
        serde_json::json!({ "text": unicode }),
        serde_json::json!({ "numbers": [0, -1, 9_007_199_254_740_993_u64, 1.5e300], "null": null }),
        serde_json::json!({ "text": "äöü€".repeat(40_000) }),
        serde_json::json!({}),
    ]
}

/// An event with this data, as text.
pub(crate) fn carrying(data: &serde_json::Value) -> Verdict<Event> {
    Ok(Event::new(TOPIC, data)?)
}

/// Holds when a delivered event says what was sent.
pub(crate) fn same(sent: &Event, came: &Event) -> Verdict {
    let text =
        |event: &Event| event.raw_data().value().map(|data| data.as_str().to_owned()).unwrap_or_default();
    let (sent_text, came_text) = (text(sent), text(came));
    ensure!(
        sent_text == came_text,
        "{} bytes of data came as {}: {:.80}",
        sent_text.len(),
        came_text.len(),
        came_text
    );
    ensure!(came.topic() == sent.topic(), "the topic came as {:?}", came.topic().as_str());
    Ok(())
}

pub(crate) async fn byte_for_byte(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 8).await?;
    for data in payloads() {
        let sent = carrying(&data)?;
        bench.deliver(&sent).await?;
        same(&sent, &rig.delivery().await?.event)?;
    }
    Ok(())
}

pub(crate) async fn cancel_safe(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 40).await?;
    let mut numbers = Vec::new();
    for n in 0..MANY {
        // Given up before there is anything, and while it is on its way.
        if let std::task::Poll::Ready(item) = futures_util::poll!(rig.rx.next()) {
            numbers.extend(delivered(item)?);
        }
        bench.deliver(&event(n)?).await?;
        if n % 2 == 0 {
            tokio::task::yield_now().await;
        }
        if let std::task::Poll::Ready(item) = futures_util::poll!(rig.rx.next()) {
            numbers.extend(delivered(item)?);
        }
    }
    let mut patience = 20_000;
    while numbers.len() < 40 {
        patience -= 1;
        ensure!(patience > 0, "of {MANY} events there came only {numbers:?}");
        if let Ok(item) = timeout(Duration::from_millis(1), rig.rx.next()).await {
            numbers.extend(delivered(item)?);
        }
    }
    ensure!(numbers.iter().copied().eq(0..MANY), "they come as {numbers:?}");
    Ok(())
}

fn delivered(item: Option<event_core::Result<Inbound>>) -> Verdict<Option<u64>> {
    match item {
        Some(Ok(Inbound::Delivery(delivery))) => Ok(number(&delivery.event)),
        Some(Ok(_)) => Ok(None),
        end => Err(Broken::promise(format!("the link ended: {end:?}"))),
    }
}
