//! F7: requests of which half is never answered, some are dropped, and some are answered twice or too late.

use std::time::Duration;

use event_core::dialect::plain_reply;
use event_core::{ErrorKind, Event, EventHub, EventStream, RawJson, Subscriber};
use tokio::task::JoinHandle;

use super::services::Pushing;
use super::stage::{self, broken};
use super::watch::{resident, until};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F7",
    what: "1 M requests: half unanswered, 10 % dropped, 10 % answered twice, 10 % too late",
    holds: "open requests back to 0; memory growth under 5 MiB; late and repeated replies counted",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// So many are open at a time: fewer than the hub remembers when they are over.
const WAVE: u64 = 250;
const WAIT: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(30);
const MOST_GROWTH: u64 = 5 * 1024;

/// What happens to a request, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lot {
    /// Nobody answers.
    Ignored,
    /// The answer comes after the timeout.
    Late,
    /// The answer comes after whoever asked has dropped the future.
    Dropped,
    /// Two answers come.
    Twice,
    Answered,
}

fn lot(n: u64) -> Lot {
    match n % 10 {
        0..4 => Lot::Ignored,
        4 => Lot::Late,
        5 => Lot::Dropped,
        6 => Lot::Twice,
        _ => Lot::Answered,
    }
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let requests: u64 = run.pick(5_000, 1_000_000);
    let mut figures = Figures::new().with("requests", requests);
    for service in Pushing::each(64).await? {
        figures = figures.and(&format!("{}:", service.name()), one(&service, requests).await?);
    }
    Ok(figures)
}

async fn one(service: &Pushing, requests: u64) -> Result<Figures, Broken> {
    let ann = service.connected("ann").await?;
    let ben = service.connected("ben").await?;
    let mut asked = ben.subscribe("topic=ask").stream().await.map_err(broken("subscribe"))?;
    let waves = requests / WAVE;
    let mut settled = None;
    for wave in 0..waves {
        // By then everything that is bounded has reached its bound.
        if wave == waves / 2 {
            settled = resident();
        }
        one_wave(service, &ann, &mut asked, wave * WAVE).await?;
    }
    let growth = settled.zip(resident()).map(|(then, now)| now.saturating_sub(then));
    let stats = ann.stats();
    ensure(stats.open_requests == 0, || format!("{} requests are open", stats.open_requests))?;
    ensure(stats.outstanding == 0, || format!("{} events wait", stats.outstanding))?;
    let tenth = requests / 10;
    let (late, twice, answered) = (2 * tenth, tenth, 4 * tenth);
    ensure(stats.late_replies == late, || format!("{late} replies were late: {stats:?}"))?;
    ensure(stats.duplicate_replies == twice, || format!("{twice} came twice: {stats:?}"))?;
    ensure(stats.replies == answered, || format!("{answered} were answered: {stats:?}"))?;
    ensure(stats.foreign_replies + stats.overflowed_replies == 0, || format!("{stats:?}"))?;
    // In a small run nothing has reached its bound.
    let full = requests >= 1_000_000;
    ensure(!full || growth.is_none_or(|growth| growth < MOST_GROWTH), || {
        format!("memory grew by {growth:?} KiB in the second half")
    })?;
    ann.close().await;
    ben.close().await;
    let growth = growth.map_or_else(|| "not told by this system".to_owned(), |growth| growth.to_string());
    Ok(Figures::new()
        .with("open", stats.open_requests)
        .with("answered", answered)
        .with("late", late)
        .with("twice", twice)
        .with("growth in the second half, KiB", growth))
}

type Open = (u64, JoinHandle<event_core::Result<Event>>);

async fn one_wave(
    service: &Pushing,
    ann: &EventHub,
    asked: &mut EventStream,
    first: u64,
) -> Result<(), Broken> {
    let mut open: Vec<Open> = Vec::new();
    for n in first..first + WAVE {
        let event = Event::new("ask", &n).map_err(broken("make an event"))?;
        open.push((n, tokio::spawn(ann.request(event).timeout(WAIT).into_future())));
    }
    let mut heard = Vec::new();
    while heard.len() < open.len() {
        let next = tokio::time::timeout(SOON, asked.next()).await;
        let delivery = next.map_err(|_| Broken::new("a request does not arrive"))?;
        let delivery = delivery.ok_or_else(|| Broken::new("the stream ended"))?.map_err(broken("read"))?;
        heard.push(delivery.into_event());
    }
    let (dropped, open): (Vec<Open>, Vec<Open>) =
        open.into_iter().partition(|(n, _)| lot(*n) == Lot::Dropped);
    for (_, request) in &dropped {
        request.abort();
    }
    until("dropped requests are gone", SOON, || ann.stats().open_requests == open.len()).await?;
    for event in &heard {
        match lot(value(event)) {
            Lot::Answered | Lot::Dropped => answer(service, event)?,
            Lot::Twice => {
                answer(service, event)?;
                answer(service, event)?;
            }
            Lot::Ignored | Lot::Late => {}
        }
    }
    for (n, request) in open {
        let outcome = request.await.map_err(broken("join"))?;
        let fits = match (lot(n), outcome) {
            (Lot::Answered | Lot::Twice, Ok(reply)) => value(&reply) == n,
            (Lot::Ignored | Lot::Late, Err(error)) => error.kind() == ErrorKind::Timeout,
            _ => false,
        };
        ensure(fits, || format!("request {n} ended in another way than it should"))?;
    }
    for event in heard.iter().filter(|event| lot(value(event)) == Lot::Late) {
        answer(service, event)?;
    }
    // Whatever is on its way arrives.
    stage::pause(Duration::from_millis(1)).await;
    Ok(())
}

fn value(event: &Event) -> u64 {
    event.data_value().as_u64().unwrap_or(u64::MAX)
}

/// Answers with the number that was asked with.
fn answer(service: &Pushing, asked: &Event) -> Result<(), Broken> {
    let data = RawJson::from_serialize(&value(asked)).map_err(broken("make a reply"))?;
    let by = Subscriber::new("answerer");
    let reply = plain_reply(service.reply_topic(), asked, &by, data).map_err(broken("make a reply"))?;
    let reply =
        reply.to_builder().id(event_core::EventId::random()).build().map_err(broken("make a reply"))?;
    service.inject(&reply)
}
