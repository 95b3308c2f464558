//! Recorded sessions: the official clients' frames played to the emulator, and the recorded server's frames played
//! to our client, whose own frames are compared with the recorded ones member by member.

mod client;
mod emulator;
mod script;

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::{Direction, Failure, Needs, Scenario, Stage};

const PATIENCE: Duration = Duration::from_secs(20);

/// A recorded session of an official client.
#[derive(Debug)]
struct Recording {
    with: &'static str,
    lines: &'static str,
    /// Members of our events that the recorded ones do not have; everything else must be there in both.
    ours_alone: &'static [&'static str],
    /// Members of the recorded events that ours lack.
    theirs_alone: &'static [&'static str],
}

/// The host name is a feature that may be off; the Python client adds user and host to a subscriber that has
/// replied.
static PYTHON: Recording = Recording {
    with: "ftrack-python-api 3.1.0",
    lines: include_str!("../../data/ftrack-python-3.1.0-story.jsonl"),
    ours_alone: &["source.applicationId", "data.subscriber.applicationId"],
    theirs_alone: &[
        "source.host",
        "data.subscriber.user",
        "data.subscriber.user.username",
        "data.subscriber.host",
    ],
};

/// The JavaScript client has no `sent`.
static JS: Recording = Recording {
    with: "@ftrack/api 1.11.2",
    lines: include_str!("../../data/ftrack-js-1.11.2-story.jsonl"),
    ours_alone: &["data.subscriber.applicationId", "sent", "source.host"],
    theirs_alone: &[],
};

/// Packets of every form sent to the historical server, and what it answered.
static PROBE: Recording = Recording {
    with: "socket.io 0.9.19",
    lines: include_str!("../../data/socketio-0.9.19-probe.jsonl"),
    ours_alone: &[],
    theirs_alone: &[],
};

type Boxed = futures_util::future::BoxFuture<'static, Result<(), Failure>>;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let plain = |with: &'static str, name: &'static str, play: fn(Stage) -> Boxed| {
        Scenario::new(Direction::Transcript, with, Needs::Nothing, name, play)
    };
    let python = |name, play| plain(PYTHON.with, name, play);
    let js = |name, play| plain(JS.with, name, play);
    vec![
        python("the_emulator_answers_the_recorded_session_as_recorded", |stage| {
            Box::pin(emulator::replay(stage, &PYTHON))
        }),
        js("the_emulator_answers_the_recorded_session_as_recorded", |stage| {
            Box::pin(emulator::replay(stage, &JS))
        }),
        python("the_emulator_acknowledges_before_the_consequence", |stage| {
            Box::pin(emulator::ack_first(stage))
        }),
        python("the_emulator_sends_events_without_a_packet_id", |stage| Box::pin(emulator::no_ids(stage))),
        plain(PROBE.with, "the_emulator_answers_every_form_of_packet_as_recorded", |stage| {
            Box::pin(emulator::probe(stage, &PROBE))
        }),
        python("our_client_says_what_the_recorded_one_says", |_| Box::pin(client::our_frames(&PYTHON))),
        js("our_client_says_what_the_recorded_one_says", |_| Box::pin(client::our_frames(&JS))),
        python("our_client_understands_the_recorded_server", |_| Box::pin(client::their_frames(&PYTHON))),
        js("our_client_understands_the_recorded_server", |_| Box::pin(client::their_frames(&JS))),
    ]
}

/// A recorded frame.
struct Frame {
    connection: u64,
    from_client: bool,
    /// None: the end of the connection.
    text: Option<String>,
}

impl Recording {
    /// The recorded packets of both directions, in order; heartbeats and `1::` aside, which come when they are due.
    fn packets(&self) -> Vec<(u64, bool, String)> {
        let packets = self.frames().into_iter().filter_map(|frame| {
            let text = frame.text.filter(|text| !text.starts_with("2:") && text != "1::")?;
            Some((frame.connection, frame.from_client, text))
        });
        packets.collect()
    }

    fn frames(&self) -> Vec<Frame> {
        let records = self.lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records
            .filter(|record| record["kind"] == "ws-text" || record["kind"] == "tcp-fin")
            .map(|record| Frame {
                connection: record["conn"].as_u64().unwrap_or_default(),
                from_client: record["dir"] == "client->server",
                text: record["text"].as_str().map(str::to_owned),
            })
            .collect()
    }

    /// The recorded client's events on a topic, in order.
    fn events(&self, topic: &str) -> Vec<Value> {
        let events = self.packets().into_iter().filter(|(_, from_client, _)| *from_client);
        events.filter_map(|(_, _, text)| event_of(&text)).filter(|event| event["topic"] == topic).collect()
    }
}

/// The event of an event packet.
fn event_of(frame: &str) -> Option<Value> {
    let json = frame.strip_prefix('5').and_then(|rest| rest.find('{').map(|at| &rest[at..]))?;
    let packet: Value = serde_json::from_str(json).ok()?;
    packet["args"].get(0).cloned()
}

async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::new(format!("not within {PATIENCE:?}")))
}
