//! F2: the service is down for ten minutes, and then up.

use std::collections::BTreeMap;
use std::time::Duration;

use event_core::supervisor::{Jitter, ReconnectPolicy};
use ftrack_hub::hub::Report;
use ftrack_hub::{ConnectionState, Lifecycle, Session};

use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F2",
    what: "server down 10 min, then up",
    holds: "connected within max delay + 1 s; at most 60 attempts; of 1,000 clients no second has more than 5 % of the \
            reconnects",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const DOWN: Duration = Duration::from_secs(600);
const MOST_ATTEMPTS: u32 = 60;
/// Fewer clients than that say nothing about a crowd.
const CROWD: usize = 1_000;

async fn play(run: Run) -> Result<Figures, Broken> {
    let emulator = stage::emulator(hub_emulator::Builder::without_imodelhub).await?;
    let limit = ReconnectPolicy::default().max + Duration::from_secs(1);
    let mut clients = Vec::new();
    for number in 0..run.pick(20, CROWD) {
        let mut policy = ReconnectPolicy::default();
        policy.jitter = Jitter::Seeded(run.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let session = stage::session(&emulator, "ann", |builder| builder.reconnect(policy))?;
        session.event_hub().connect().await.map_err(broken("connect"))?;
        let counting = tokio::spawn(attempts(session.clone()));
        clients.push((session, counting));
    }
    emulator.stop().await;
    stage::pause(DOWN).await;
    emulator.restart().await.map_err(broken("restart"))?;
    let up = stage::now();
    let mut returns = Vec::new();
    for (session, counting) in clients {
        let attempts = tokio::time::timeout(limit * 2, counting)
            .await
            .map_err(|_| Broken::new(format!("not connected {:?} after the service was up", limit * 2)))?;
        let (attempts, at) = attempts.map_err(broken("count attempts"))??;
        returns.push((at.saturating_duration_since(up), attempts));
        session.event_hub().close().await;
    }
    let slowest = returns.iter().map(|(after, _)| *after).max().unwrap_or_default();
    let most = returns.iter().map(|(_, attempts)| *attempts).max().unwrap_or_default();
    ensure(slowest <= limit, || format!("the last one was back after {slowest:?}, allowed is {limit:?}"))?;
    ensure(most <= MOST_ATTEMPTS, || format!("{most} attempts of one client"))?;
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for (after, _) in &returns {
        *seconds.entry(after.as_secs()).or_default() += 1;
    }
    let fullest = seconds.values().copied().max().unwrap_or_default();
    if returns.len() >= CROWD {
        ensure(fullest * 20 <= returns.len(), || format!("{fullest} of {} in one second", returns.len()))?;
    }
    Ok(Figures::new()
        .with("clients", returns.len())
        .with("slowest s", slowest.as_secs_f64())
        .with("most attempts", most)
        .with("most in one second", fullest))
}

/// How many attempts it took from the break to the new connection, and when that was there.
async fn attempts(session: Session) -> Result<(u32, tokio::time::Instant), Broken> {
    let hub = session.event_hub();
    let mut reports = hub.lifecycle();
    let mut attempts = 0;
    while let Some(report) = reports.next().await {
        match report {
            Report::Happened(Lifecycle::Reconnecting { .. }) => attempts += 1,
            Report::Happened(Lifecycle::Connected { .. }) => return Ok((attempts, stage::now())),
            Report::Missed(missed) => return Err(Broken::new(format!("{missed} reports were missed"))),
            _ => {}
        }
    }
    let state: ConnectionState = hub.state();
    Err(Broken::new(format!("a hub ended: {state}")))
}
