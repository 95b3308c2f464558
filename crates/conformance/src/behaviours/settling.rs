//! At least once: locks, settlement, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use event_core::transport::{Guarantee, RawDelivery, SettleToken, Settlement};
use event_core::{Error, ErrorKind};

use crate::rig::{Rig, event, number, within};
use crate::subject::Bench;
use crate::verdict::{Broken, Verdict, ensure};

/// How far past its end a lock is waited for: the service may look at its locks once a second only.
const SURELY: Duration = Duration::from_secs(2);

/// A link, and a locked delivery of event 1 on it.
async fn holding(bench: &Bench) -> Verdict<(Rig, RawDelivery, SettleToken, Duration)> {
    let mut rig = Rig::subscribed(bench, Guarantee::AtLeastOnce, 5).await?;
    bench.deliver(&event(1)?).await?;
    let mut delivery = rig.delivery().await?;
    let Some(token) = delivery.token.take() else {
        return Err(Broken::promise("an at-least-once delivery has no token"));
    };
    let Some(lock) = delivery.lock else {
        return Err(Broken::promise("an at-least-once delivery does not say how long it is locked"));
    };
    Ok((rig, delivery, token, lock))
}

async fn settle(
    rig: &mut Rig,
    token: SettleToken,
    outcome: Settlement,
) -> Verdict<Result<(), (SettleToken, Error)>> {
    let tx = Arc::clone(&rig.tx);
    let settled = rig.during("settle", tx.settle(token, outcome)).await?;
    Ok(settled.map_err(|failed| (failed.token, failed.error)))
}

async fn must_settle(rig: &mut Rig, token: SettleToken, outcome: Settlement) -> Verdict {
    settle(rig, token, outcome).await?.map_err(|(_, error)| error.into())
}

/// The event comes back, as the second time.
async fn again(rig: &mut Rig) -> Verdict<RawDelivery> {
    let delivery = rig.delivery().await?;
    let came = number(&delivery.event);
    ensure!(came == Some(1), "event {came:?} came where event 1 was to come back");
    ensure!(delivery.attempt == 2, "it comes back as number {}", delivery.attempt);
    ensure!(delivery.token.is_some(), "it comes back without a token");
    Ok(delivery)
}

pub(crate) async fn nothing_to_settle(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, Guarantee::AtMostOnce, 2).await?;
    bench.deliver(&event(1)?).await?;
    let delivery = rig.delivery().await?;
    ensure!(delivery.token.is_none(), "an at-most-once delivery asks for settlement");
    ensure!(delivery.lock.is_none(), "an at-most-once delivery is locked");
    rig.silence().await
}

pub(crate) async fn refused_at_most_once(bench: Bench) -> Verdict {
    super::subscribing::guarantees(bench).await
}

pub(crate) async fn locked(bench: Bench) -> Verdict {
    let (mut rig, _, token, lock) = holding(&bench).await?;
    ensure!(!lock.is_zero(), "the lock has no length");
    // While it is locked nobody else gets it.
    rig.pass(lock / 2).await?;
    rig.silence_for_now()?;
    must_settle(&mut rig, token, Settlement::Complete).await
}

pub(crate) async fn complete(bench: Bench) -> Verdict {
    let (mut rig, _, token, lock) = holding(&bench).await?;
    must_settle(&mut rig, token, Settlement::Complete).await?;
    rig.pass(lock + SURELY).await?;
    rig.silence().await
}

pub(crate) async fn comes_back(bench: Bench) -> Verdict {
    let (mut rig, _, token, lock) = holding(&bench).await?;
    drop(token);
    rig.pass(lock + SURELY).await?;
    let mut delivery = again(&mut rig).await?;
    let Some(token) = delivery.token.take() else { return Ok(()) };
    must_settle(&mut rig, token, Settlement::Complete).await?;
    rig.pass(lock + SURELY).await?;
    rig.silence().await
}

pub(crate) async fn lapsed(bench: Bench) -> Verdict {
    let (mut rig, _, token, lock) = holding(&bench).await?;
    rig.pass(lock + SURELY).await?;
    let delivery = again(&mut rig).await?;
    match settle(&mut rig, token, Settlement::Complete).await? {
        Ok(()) => return Err(Broken::promise("a delivery whose lock lapsed is settled")),
        Err((_token, error)) => {
            ensure!(error.kind() == ErrorKind::LockLost, "it fails with {error:?}");
            ensure!(!error.is_transient(), "it says that another try could help: {error:?}");
        }
    }
    // The new lock is not touched by that.
    match delivery.token {
        Some(token) => must_settle(&mut rig, token, Settlement::Complete).await,
        None => Ok(()),
    }
}

pub(crate) async fn foreign(bench: Bench) -> Verdict {
    let (mut rig, _, token, _) = holding(&bench).await?;
    let Err((given_back, _)) = settle(&mut rig, SettleToken::new("not yours"), Settlement::Complete).await?
    else {
        return Err(Broken::promise("a token of another transport is settled"));
    };
    ensure!(given_back.get() == Some(&"not yours"), "another token is given back");
    must_settle(&mut rig, token, Settlement::Complete).await
}

pub(crate) async fn reject(bench: Bench) -> Verdict {
    let (mut rig, _, token, lock) = holding(&bench).await?;
    if let Err((token, error)) = settle(&mut rig, token, Settlement::Reject).await? {
        ensure!(error.kind() == ErrorKind::Unsupported, "rejecting fails with {error:?}");
        must_settle(&mut rig, token, Settlement::Complete).await?;
    }
    rig.pass(lock + SURELY).await?;
    rig.silence().await
}

pub(crate) async fn abandon(bench: Bench) -> Verdict {
    abandoned(bench, None).await
}

pub(crate) async fn abandon_for(bench: Bench) -> Verdict {
    abandoned(bench, Some(Duration::from_secs(3))).await
}

async fn abandoned(bench: Bench, delay: Option<Duration>) -> Verdict {
    let (mut rig, _, token, lock) = holding(&bench).await?;
    must_settle(&mut rig, token, Settlement::Abandon { delay }).await?;
    // Not by its lock: that would be later.
    let back = again(&mut rig);
    let delivery = tokio::time::timeout((lock / 2).max(delay.unwrap_or_default() * 2), back)
        .await
        .map_err(|_| Broken::promise("an abandoned delivery does not come back before its lock lapses"))??;
    match delivery.token {
        Some(token) => must_settle(&mut rig, token, Settlement::Complete).await,
        None => Ok(()),
    }
}

/// The next link of a name gets what was not settled, and nothing that was.
pub(crate) async fn goes_on(bench: Bench) -> Verdict {
    let mut spec = bench.spec("s", Guarantee::AtLeastOnce).await?;
    spec.durable = Some("place".to_owned());
    let mut rig = Rig::open(&bench).await?;
    rig.try_subscribe(&spec).await??;
    for n in 1..=3 {
        bench.deliver(&event(n)?).await?;
    }
    for n in 1..=2 {
        let delivery = rig.delivery().await?;
        ensure!(number(&delivery.event) == Some(n), "something else came than {n}");
        if let (1, Some(token)) = (n, delivery.token) {
            must_settle(&mut rig, token, Settlement::Complete).await?;
        }
    }
    drop(rig);
    let mut rig = Rig::open(&bench).await?;
    rig.try_subscribe(&spec).await??;
    for n in 2..=3 {
        let delivery = rig.delivery().await?;
        ensure!(number(&delivery.event) == Some(n), "something else came than {n}");
        ensure!(n == 3 || delivery.attempt == 2, "it comes as number {}", delivery.attempt);
        if let Some(token) = delivery.token {
            must_settle(&mut rig, token, Settlement::Complete).await?;
        }
    }
    rig.silence().await
}

pub(crate) async fn no_name(bench: Bench) -> Verdict {
    let mut spec = bench.spec("s", super::offered(&bench.transport().capabilities())).await?;
    spec.durable = Some("place".to_owned());
    let mut rig = Rig::open(&bench).await?;
    let tx = Arc::clone(&rig.tx);
    match rig.during("subscribe", tx.subscribe(&spec)).await? {
        Ok(()) => Err(Broken::promise("a name is taken for a place that is not kept")),
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Unsupported, "it is refused with {error:?}");
            Ok(())
        }
    }
}

pub(crate) async fn extend(bench: Bench) -> Verdict {
    let (mut rig, _, mut token, lock) = holding(&bench).await?;
    let tx = Arc::clone(&rig.tx);
    for _ in 0..3 {
        rig.pass(lock * 2 / 3).await?;
        rig.during("extend", tx.extend(&mut token)).await??;
    }
    rig.silence_for_now()?;
    must_settle(&mut rig, token, Settlement::Complete).await?;
    rig.pass(lock + SURELY).await?;
    rig.silence().await
}

/// Every settling verb says no, and the token comes back.
pub(crate) async fn unsupported(bench: Bench) -> Verdict {
    for outcome in [Settlement::Complete, Settlement::Abandon { delay: None }, Settlement::Reject] {
        settle_is_unsupported(&bench, outcome).await?;
    }
    no_extension(bench).await
}

pub(crate) async fn no_nack(bench: Bench) -> Verdict {
    for delay in [None, Some(Duration::from_secs(1))] {
        settle_is_unsupported(&bench, Settlement::Abandon { delay }).await?;
    }
    Ok(())
}

async fn settle_is_unsupported(bench: &Bench, outcome: Settlement) -> Verdict {
    let mut rig = Rig::open(bench).await?;
    match settle(&mut rig, SettleToken::new(7_u8), outcome).await? {
        Ok(()) => Err(Broken::promise(format!("{outcome:?} is said to be done"))),
        Err((token, error)) => {
            ensure!(error.kind() == ErrorKind::Unsupported, "{outcome:?} answers {error:?}");
            ensure!(token.get() == Some(&7_u8), "another token is given back");
            Ok(())
        }
    }
}

pub(crate) async fn no_extension(bench: Bench) -> Verdict {
    let rig = Rig::open(&bench).await?;
    let mut token = SettleToken::new(7_u8);
    match within("extend", rig.tx.extend(&mut token)).await? {
        Ok(()) => Err(Broken::promise("a lock that is not there is prolonged")),
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Unsupported, "extending answers {error:?}");
            Ok(())
        }
    }
}
