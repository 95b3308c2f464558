//! Credit: who decides when an event comes.

use super::offered;
use crate::rig::{Rig, event};
use crate::subject::Bench;
use crate::verdict::{Verdict, ensure};

async fn open(bench: &Bench, credit: u32) -> Verdict<Rig> {
    Rig::subscribed(bench, offered(&bench.transport().capabilities()), credit).await
}

pub(crate) async fn none_without(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 0).await?;
    bench.deliver(&event(1)?).await?;
    rig.silence().await?;
    rig.allow("s", 1);
    ensure!(rig.numbers(1).await? == [1], "something else came");
    Ok(())
}

pub(crate) async fn never_more(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 3).await?;
    for n in 0..10 {
        bench.deliver(&event(n)?).await?;
    }
    ensure!(rig.numbers(3).await? == [0, 1, 2], "something else came");
    rig.silence().await?;
    rig.allow("s", 2);
    ensure!(rig.numbers(2).await? == [3, 4], "something else came");
    rig.silence().await
}

pub(crate) async fn adds_up(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 0).await?;
    for _ in 0..3 {
        rig.allow("s", 1);
    }
    for n in 0..5 {
        bench.deliver(&event(n)?).await?;
    }
    ensure!(rig.numbers(3).await? == [0, 1, 2], "something else came");
    rig.silence().await
}

pub(crate) async fn of_one(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 0).await?;
    rig.subscribe("t", offered(&rig.capabilities), 1).await?;
    // Credit for nobody is no credit for somebody.
    rig.allow("nobody", 5);
    bench.deliver(&event(1)?).await?;
    bench.deliver(&event(2)?).await?;
    ensure!(rig.numbers(1).await? == [1], "something else came");
    rig.silence().await
}

/// Where the service pushes, deliveries need no grant, and a grant changes nothing.
pub(crate) async fn pushed(bench: Bench) -> Verdict {
    let mut rig = open(&bench, 0).await?;
    for n in 0..3 {
        bench.deliver(&event(n)?).await?;
        rig.tx.grant(&"s".into(), 1);
    }
    ensure!(rig.numbers(3).await? == [0, 1, 2], "something else came");
    rig.silence().await
}
