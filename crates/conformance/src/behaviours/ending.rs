//! The end of a link: by its own side, by the other, and what is left.

use std::sync::Arc;

use event_core::ErrorKind;
use event_core::transport::{Attempt, Link};
use futures_util::StreamExt;

use super::offered;
use crate::judge::Tasks;
use crate::rig::{Rig, event, within};
use crate::subject::Bench;
use crate::verdict::{Verdict, ensure};

pub(crate) async fn closed(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 3).await?;
    bench.deliver(&event(1)?).await?;
    rig.numbers(1).await?;
    let tx = Arc::clone(&rig.tx);
    rig.during("close", tx.close()).await?;
    rig.read_to_the_end().await?;
    ensure!(rig.errors.is_empty(), "closing is answered with {:?}", rig.errors);
    within("a second close", tx.close()).await?;
    let refused = tx.send(event(2)?).map(drop);
    ensure!(refused.is_err(), "a closed link takes an event");
    // Waiting on a closed link ends, one way or the other.
    let _ = within("flush after close", tx.flush()).await?;
    ensure!(rig.rx.next().await.is_none(), "the stream goes on after its end");
    Ok(())
}

pub(crate) async fn no_task_after_closing(bench: Bench) -> Verdict {
    let tasks = Tasks::now();
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 3).await?;
    bench.deliver(&event(1)?).await?;
    rig.numbers(1).await?;
    let tx = Arc::clone(&rig.tx);
    rig.during("close", tx.close()).await?;
    rig.read_to_the_end().await?;
    // Both halves are still held.
    tasks.are_back().await
}

pub(crate) async fn no_task_after_dropping(bench: Bench) -> Verdict {
    let tasks = Tasks::now();
    for _ in 0..3 {
        let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 3).await?;
        bench.deliver(&event(1)?).await?;
        rig.numbers(1).await?;
    }
    tasks.are_back().await
}

pub(crate) async fn reader_gone(bench: Bench) -> Verdict {
    let Link { tx, rx, .. } = within("connect", bench.transport().connect(Attempt::first())).await??;
    drop(rx);
    let refused = tx.send(event(1)?).map(drop);
    ensure!(refused.is_err(), "a link that nobody reads takes an event");
    // None of these can be done any more, and none hangs.
    let _ = within("flush", tx.flush()).await?;
    within("close", tx.close()).await
}

/// Without self-healing: one error, then the end, and everything says so.
pub(crate) async fn ends_once(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 3).await?;
    bench.cut().await?;
    rig.read_to_the_end().await?;
    ensure!(rig.errors.len() == 1, "the end of the connection is told as {:?}", rig.errors);
    let refused = rig.tx.send(event(1)?).map(drop).map_err(|not_sent| not_sent.error.kind());
    let expected = [Err(ErrorKind::NotConnected), Err(ErrorKind::Unsupported)];
    ensure!(expected.contains(&refused), "a broken link answers a publish with {refused:?}");
    within("ready", rig.tx.ready()).await?;
    let _ = within("flush", rig.tx.flush()).await?;
    within("close", rig.tx.close()).await
}

/// Without self-healing: the next link is as good as the first.
pub(crate) async fn next_link(bench: Bench) -> Verdict {
    let guarantee = offered(&bench.transport().capabilities());
    for n in 0..3 {
        let mut rig = Rig::subscribed(&bench, guarantee, 1).await?;
        bench.deliver(&event(n)?).await?;
        ensure!(rig.numbers(1).await? == [n], "something else came");
        ensure!(rig.news.is_empty(), "a link that does not heal itself says {:?}", rig.news);
        bench.cut().await?;
        rig.read_to_the_end().await?;
    }
    Ok(())
}
