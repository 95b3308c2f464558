//! Sending: acknowledged, in order, within the window and the limit, and never silently lost.

use std::sync::Arc;

use event_core::transport::{Confirmation, PublishError};
use event_core::{ErrorKind, Event};
use futures_util::future::join_all;

use super::delivering::{carrying, payloads, same};
use super::offered;
use crate::rig::{Rig, event, within};
use crate::subject::{Bench, TOPIC};
use crate::verdict::{Broken, Verdict, ensure};

async fn listening(bench: &Bench) -> Verdict<Rig> {
    Rig::subscribed(bench, offered(&bench.transport().capabilities()), 100).await
}

pub(crate) async fn acknowledged(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    for n in 0..3 {
        rig.publish(event(n)?).await??;
    }
    Ok(())
}

pub(crate) async fn reaches(bench: Bench) -> Verdict {
    let mut rig = listening(&bench).await?;
    let mut sender = Rig::open(&bench).await?;
    sender.publish(event(7)?).await??;
    ensure!(rig.numbers(1).await? == [7], "something else came");
    Ok(())
}

pub(crate) async fn byte_for_byte(bench: Bench) -> Verdict {
    let mut rig = listening(&bench).await?;
    for data in payloads() {
        let sent = carrying(&data)?;
        rig.publish(sent.clone()).await??;
        same(&sent, &rig.delivery().await?.event)?;
    }
    Ok(())
}

pub(crate) async fn in_order(bench: Bench) -> Verdict {
    let mut rig = listening(&bench).await?;
    let mut confirmations = Vec::new();
    for n in 0..20 {
        confirmations.push(rig.tx.send(event(n)?)?);
    }
    let numbers = rig.numbers(20).await?;
    ensure!(numbers.iter().copied().eq(0..20), "they come as {numbers:?}");
    rig.during("the confirmations", join_all(confirmations)).await?;
    Ok(())
}

pub(crate) async fn refused(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let good = rig.tx.send(event(1)?)?;
    let bad = rig.tx.send(bench.refused_event(true)?)?;
    let _ = bench.refused_event(false)?;
    let also_good = rig.tx.send(event(2)?)?;
    let outcomes = rig.during("the confirmations", join_all([good, bad, also_good])).await?;
    let mut failed = Vec::new();
    for outcome in outcomes {
        failed.push(rig.answer(outcome)?.is_err());
    }
    ensure!(failed == [false, true, false], "refused of three, where the second was to be: {failed:?}");
    Ok(())
}

/// Sends what is not acknowledged.
async fn unacknowledged(bench: &Bench, rig: &Rig) -> Verdict<Vec<Confirmation>> {
    bench.withhold(true).await?;
    (0..3).map(|n| Ok(rig.tx.send(event(n)?)?)).collect()
}

async fn unconfirmed(confirmations: Vec<Confirmation>) -> Verdict {
    for outcome in within("open confirmations", join_all(confirmations)).await? {
        ensure!(
            matches!(outcome, Err(PublishError::Unconfirmed)),
            "an open publish ends as {outcome:?} and not as unconfirmed"
        );
    }
    Ok(())
}

pub(crate) async fn cut(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let confirmations = unacknowledged(&bench, &rig).await?;
    bench.cut().await?;
    let waiting = unconfirmed(confirmations);
    rig.during("open confirmations", waiting).await?
}

pub(crate) async fn closed(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let confirmations = unacknowledged(&bench, &rig).await?;
    let tx = Arc::clone(&rig.tx);
    rig.during("close", tx.close()).await?;
    // Those that were acknowledged on the way out are confirmed; none stays open.
    for outcome in within("open confirmations", join_all(confirmations)).await? {
        ensure!(
            matches!(outcome, Ok(_) | Err(PublishError::Unconfirmed)),
            "an open publish ends as {outcome:?}"
        );
    }
    Ok(())
}

pub(crate) async fn not_unsent(bench: Bench) -> Verdict {
    let mut rig = listening(&bench).await?;
    for n in 0..5 {
        drop(rig.tx.send(event(n)?)?);
    }
    let numbers = rig.numbers(5).await?;
    ensure!(numbers == [0, 1, 2, 3, 4], "they come as {numbers:?}");
    Ok(())
}

pub(crate) async fn window(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let Some(window) = rig.capabilities.window else { return Ok(()) };
    bench.withhold(true).await?;
    let mut confirmations = Vec::new();
    for n in 0..window as u64 {
        confirmations.push(rig.tx.send(event(n)?)?);
    }
    let Err(not_sent) = rig.tx.send(event(1_000_000)?) else {
        return Err(Broken::promise(format!("a window of {window} takes one more")));
    };
    ensure!(not_sent.error.kind() == ErrorKind::Full, "it is refused with {:?}", not_sent.error);
    ensure!(crate::rig::number(&not_sent.event) == Some(1_000_000), "another event is given back");
    let tx = Arc::clone(&rig.tx);
    ensure!(futures_util::poll!(std::pin::pin!(tx.ready())).is_pending(), "it is ready although it is full");
    bench.withhold(false).await?;
    rig.during("room", tx.ready()).await?;
    confirmations.push(rig.tx.send(not_sent.event)?);
    for outcome in rig.during("the confirmations", join_all(confirmations)).await? {
        rig.answer(outcome)??;
    }
    Ok(())
}

/// Without a window of its own a transport takes everything, or gives back what it does not.
pub(crate) async fn no_window(bench: Bench) -> Verdict {
    let rig = Rig::open(&bench).await?;
    if !rig.capabilities.publish {
        return unsupported(bench).await;
    }
    bench.withhold(true).await?;
    for n in 0..200 {
        if let Err(not_sent) = rig.tx.send(event(n)?) {
            ensure!(not_sent.error.kind() == ErrorKind::Full, "it is refused with {:?}", not_sent.error);
            ensure!(crate::rig::number(&not_sent.event) == Some(n), "another event is given back");
        }
    }
    Ok(())
}

pub(crate) async fn too_large(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let Some(limit) = rig.capabilities.max_payload else { return Ok(()) };
    let empty = Event::builder(TOPIC).id("x").data("").build()?.to_json().len();
    let sized = |bytes: usize| Event::builder(TOPIC).id("x").data(&"x".repeat(bytes - empty)).build();
    let Err(not_sent) = rig.tx.send(sized(limit + 1)?) else {
        return Err(Broken::promise(format!("an event of {} bytes is taken, over {limit}", limit + 1)));
    };
    ensure!(not_sent.error.kind() == ErrorKind::TooLarge, "it is refused with {:?}", not_sent.error);
    ensure!(not_sent.event.to_json().len() == limit + 1, "another event is given back");
    // As large as it may be.
    Ok(rig.publish(sized(limit)?).await??)
}

/// Without a limit a megabyte goes.
pub(crate) async fn no_limit(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    if !rig.capabilities.publish {
        return unsupported(bench).await;
    }
    let large = Event::new(TOPIC, &"x".repeat(1 << 20))?;
    Ok(rig.publish(large).await??)
}

pub(crate) async fn flush(bench: Bench) -> Verdict {
    let mut rig = listening(&bench).await?;
    let confirmations: Vec<_> = (0..3).map(|n| Ok(rig.tx.send(event(n)?)?)).collect::<Verdict<_>>()?;
    let tx = Arc::clone(&rig.tx);
    rig.during("flush", tx.flush()).await??;
    ensure!(rig.numbers(3).await? == [0, 1, 2], "something else came");
    rig.during("the confirmations", join_all(confirmations)).await?;
    Ok(())
}

/// Where nothing is sent, everything always is.
pub(crate) async fn nothing_to_flush(bench: Bench) -> Verdict {
    let mut rig = Rig::open(&bench).await?;
    let tx = Arc::clone(&rig.tx);
    rig.during("flush", tx.flush()).await??;
    unsupported(bench).await
}

pub(crate) async fn reply(bench: Bench) -> Verdict {
    let mut rig = listening(&bench).await?;
    let reply = Event::builder(TOPIC).target("id=s").in_reply_to("asked-1").data(&1).build()?;
    rig.publish(reply).await??;
    let came = rig.delivery().await?.event;
    let answers = came.in_reply_to().map(|id| id.as_str().to_owned());
    ensure!(answers.as_deref() == Some("asked-1"), "the reply answers {answers:?}");
    Ok(())
}

pub(crate) async fn no_reply(bench: Bench) -> Verdict {
    let rig = Rig::open(&bench).await?;
    if rig.capabilities.publish {
        // A reply is an event among others, and nobody said that it finds the asker.
        return Ok(());
    }
    let reply = Event::builder(TOPIC).target("id=s").in_reply_to("asked-1").data(&1).build()?;
    is_unsupported(&rig, reply)
}

/// The event comes back, with the reason.
pub(crate) async fn unsupported(bench: Bench) -> Verdict {
    let rig = Rig::open(&bench).await?;
    is_unsupported(&rig, event(1)?)?;
    // Waiting for room is no way to wait for ever.
    within("ready", rig.tx.ready()).await
}

fn is_unsupported(rig: &Rig, event: Event) -> Verdict {
    let id = event.id().cloned();
    match rig.tx.send(event) {
        Ok(_) => Err(Broken::promise("it takes an event although it does not publish")),
        Err(not_sent) => {
            let kind = not_sent.error.kind();
            ensure!(kind == ErrorKind::Unsupported, "it answers {:?}", not_sent.error);
            ensure!(not_sent.event.id() == id.as_ref(), "another event is given back");
            Ok(())
        }
    }
}

/// Without receipts a confirmation says that the event was sent, or there is no publishing at all.
pub(crate) async fn no_receipt(bench: Bench) -> Verdict {
    if !bench.transport().capabilities().publish {
        return unsupported(bench).await;
    }
    let mut rig = Rig::open(&bench).await?;
    let confirmation = rig.tx.send(event(1)?)?;
    rig.during("a confirmation", confirmation)
        .await?
        .map_err(|error| Broken::promise(format!("{error:?}")))?;
    Ok(())
}
