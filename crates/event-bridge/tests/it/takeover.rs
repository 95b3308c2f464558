//! One active bridge at a time, whatever happens to it.

use std::time::{Duration, Instant};

use event_bridge::{Bridge, Report};
use event_core::memory::MemoryHub;
use event_core::{ErrorKind, EventHub};
use nats_server::{Relay, skipped};

use crate::support::{LEASE, Stage, event, gap_of, next, started, stored, streaming, until, wall, within};

fn is_active(report: &Report) -> Option<()> {
    matches!(report, Report::Active).then_some(())
}

#[tokio::test]
async fn a_second_bridge_waits_and_takes_over_when_the_first_is_gone() {
    if skipped("a_second_bridge_waits_and_takes_over_when_the_first_is_gone") {
        return;
    }
    let stage = Stage::set().await;
    let (artist, worker) = (stage.artist().await, stage.worker().await);
    let mut kept = stored(&worker, "topic=shot.done").await;
    let (first, _) = started(stage.bridge().holder("first")).await;
    let second = stage.bridge().holder("second").start().unwrap();
    let mut reports = second.reports();
    let holder = until(&mut reports, |report| match report {
        Report::Waiting { holder } => Some(holder.clone()),
        _ => None,
    });
    assert_eq!(holder.await, "first");
    artist.event_hub().publish(event("shot.done", 1)).await.unwrap();
    assert_eq!(next(&mut kept).await.data_value()["n"], 1);
    assert!(first.is_active() && !second.is_active());

    let (died, at) = (Instant::now(), wall());
    drop(first);
    let gap = until(&mut reports, gap_of).await;
    until(&mut reports, is_active).await;
    assert!(gap.from <= at && gap.to >= at, "{gap:?} {at}");
    assert!(died.elapsed() < LEASE * 3, "{:?}", died.elapsed());
    artist.event_hub().publish(event("shot.done", 2)).await.unwrap();
    assert_eq!(next(&mut kept).await.data_value()["n"], 2);
    assert_eq!((second.stats().forwarded, second.stats().won), (1, 1));
}

#[tokio::test]
async fn a_drained_bridge_hands_over_at_once() {
    if skipped("a_drained_bridge_hands_over_at_once") {
        return;
    }
    let stage = Stage::set().await;
    // So long that whoever had to wait for it would be noticed.
    let long = Duration::from_secs(20);
    let (first, _) = started(stage.bridge().lease(long)).await;
    let second = stage.bridge().lease(long).start().unwrap();
    let mut reports = second.reports();
    until(&mut reports, |report| matches!(report, Report::Waiting { .. }).then_some(())).await;
    let start = Instant::now();
    assert!(first.drain(Duration::from_secs(10)).await);
    until(&mut reports, is_active).await;
    assert!(start.elapsed() < long / 2, "{:?}", start.elapsed());
    assert_eq!(second.stats().lost, 0);
}

#[tokio::test]
async fn a_holder_that_is_cut_off_stops_before_another_starts() {
    if skipped("a_holder_that_is_cut_off_stops_before_another_starts") {
        return;
    }
    let stage = Stage::set().await;
    for silent in [false, true] {
        let relay = Relay::start(stage.server.address()).await.unwrap();
        let (first, mut of_first) = started(stage.bridge_over(&relay.url())).await;
        let second = stage.bridge().start().unwrap();
        let mut of_second = second.reports();
        until(&mut of_second, |report| matches!(report, Report::Waiting { .. }).then_some(())).await;
        // No answer comes any more, or no connection is made.
        if silent {
            relay.hold(true);
        } else {
            relay.refuse(true);
            relay.cut();
        }
        let lost = async {
            until(&mut of_first, |report| matches!(report, Report::Lost).then_some(())).await;
            (Instant::now(), first.is_active())
        };
        let won = async {
            until(&mut of_second, |report| matches!(report, Report::Won).then_some(())).await;
            Instant::now()
        };
        let ((lost, still), won) = tokio::join!(lost, won);
        assert!(
            !still && lost < won,
            "lost {:?} after the other had won",
            lost.saturating_duration_since(won)
        );
        until(&mut of_second, is_active).await;
        // And when it is back, it waits.
        relay.hold(false);
        relay.refuse(false);
        until(&mut of_first, |report| matches!(report, Report::Waiting { .. }).then_some(())).await;
        assert!(second.is_active() && !first.is_active());
        assert!(second.drain(Duration::from_secs(10)).await && first.drain(Duration::from_secs(10)).await);
    }
}

#[tokio::test]
async fn a_bridge_that_cannot_reach_the_service_leaves_it_to_another() {
    if skipped("a_bridge_that_cannot_reach_the_service_leaves_it_to_another") {
        return;
    }
    let stage = Stage::set().await;
    let (cut_off, well) = (MemoryHub::new(), MemoryHub::new());
    let bridge = |bus: &MemoryHub| {
        let bus = bus.clone();
        let make = move || EventHub::builder(bus.transport()).build();
        Bridge::builder("service", make, streaming(&stage.server.url()))
            .lease(Duration::from_secs(2))
            .patience(Duration::from_secs(4))
    };
    let (first, mut of_first) = started(bridge(&cut_off)).await;
    let second = bridge(&well).start().unwrap();
    let mut of_second = second.reports();
    until(&mut of_second, |report| matches!(report, Report::Waiting { .. }).then_some(())).await;
    cut_off.refuse_connections(Some((ErrorKind::Unreachable, "the cable is out")));
    cut_off.cut();
    until(&mut of_first, |report| matches!(report, Report::Resigned(_)).then_some(())).await;
    until(&mut of_second, is_active).await;
    assert!(!first.is_active());
    well.inject(&event("a", 1));
    until(&mut of_second, |report| matches!(report, Report::Forwarded(_)).then_some(())).await;
}

#[tokio::test]
async fn a_bridge_waits_for_servers_that_come_later() {
    if skipped("a_bridge_waits_for_servers_that_come_later") {
        return;
    }
    let stage = Stage::set().await;
    stage.server.kill();
    let bridge = stage.bridge().start().unwrap();
    let mut reports = bridge.reports();
    let kind = until(&mut reports, |report| match report {
        Report::Problem(error) => Some(error.kind()),
        _ => None,
    });
    assert_eq!(kind.await, ErrorKind::Unreachable);
    within(stage.server.restart()).await.unwrap();
    until(&mut reports, is_active).await;
}
