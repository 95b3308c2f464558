//! One attempt, one link, constant capabilities.
#![expect(clippy::disallowed_methods, reason = "it measures how long an attempt takes")]

use event_core::transport::Attempt;

use super::offered;
use crate::rig::{Rig, event, within};
use crate::subject::Bench;
use crate::verdict::{Verdict, ensure};

pub(crate) async fn names_its_peer(bench: Bench) -> Verdict {
    let transport = bench.transport();
    for _ in 0..2 {
        let link = within("connect", transport.connect(Attempt::first())).await??;
        ensure!(!link.info.peer.is_empty(), "the link does not say to whom it is");
        ensure!(!transport.name().is_empty(), "the transport has no name");
    }
    Ok(())
}

pub(crate) async fn one_attempt(bench: Bench) -> Verdict {
    bench.refuse_connections(true).await?;
    let before = bench.attempts()?;
    let started = tokio::time::Instant::now();
    let refused = within("a refused attempt", bench.transport().connect(Attempt::first())).await?;
    ensure!(refused.is_err(), "a refused attempt gives a link");
    let made = bench.attempts()? - before;
    ensure!(made == 1, "one call made {made} attempts");
    if crate::judge::is_paused() {
        let paused = started.elapsed();
        ensure!(paused.is_zero(), "the attempt paused for {paused:?}");
    }
    bench.refuse_connections(false).await?;
    Rig::open(&bench).await.map(drop)
}

/// What is published without a connection is taken, and arrives with it.
pub(crate) async fn needs_no_service(bench: Bench) -> Verdict {
    let guarantee = offered(&bench.transport().capabilities());
    let mut listener = Rig::subscribed(&bench, guarantee, 10).await?;
    let tx = std::sync::Arc::clone(&listener.tx);
    listener.during("close", tx.close()).await?;
    drop((listener, tx));
    bench.refuse_connections(true).await?;
    let (mut rig, ready) = Rig::link(&bench).await?;
    ensure!(!ready, "a link says that it is connected, and is not");
    rig.subscribe("s", guarantee, 10).await?;
    if rig.capabilities.publish {
        rig.publish(event(1)?).await??;
        rig.silence_for_now()?;
    }
    bench.refuse_connections(false).await?;
    rig.restored().await?;
    if rig.capabilities.publish {
        ensure!(rig.numbers(1).await? == [1], "something else came");
    }
    bench.deliver(&event(2)?).await?;
    ensure!(rig.numbers(1).await? == [2], "a subscription made without a connection is not there with it");
    Ok(())
}

pub(crate) async fn constant(bench: Bench) -> Verdict {
    let transport = bench.transport();
    let (name, first) = (transport.name(), transport.capabilities());
    for _ in 0..2 {
        let mut rig = Rig::open(&bench).await?;
        rig.subscribe("s", offered(&first), 1).await?;
        bench.deliver(&event(1)?).await?;
        rig.numbers(1).await?;
        let now = transport.capabilities();
        ensure!(now == first, "the capabilities were {first:?} and are {now:?}");
        ensure!(transport.name() == name, "the name changed to {}", transport.name());
    }
    Ok(())
}

pub(crate) async fn independent(bench: Bench) -> Verdict {
    let guarantee = offered(&bench.transport().capabilities());
    let (mut one, mut other) = (Rig::open(&bench).await?, Rig::open(&bench).await?);
    one.subscribe("one", guarantee, 2).await?;
    other.subscribe("other", guarantee, 2).await?;
    bench.deliver(&event(1)?).await?;
    ensure!(one.numbers(1).await? == [1], "the first link gets something else");
    ensure!(other.numbers(1).await? == [1], "the second link gets something else");
    let tx = std::sync::Arc::clone(&one.tx);
    one.during("close", tx.close()).await?;
    drop((one, tx));
    bench.deliver(&event(2)?).await?;
    ensure!(other.numbers(1).await? == [2], "closing one link disturbs another");
    Ok(())
}
