//! The life of one websocket: a reader that never waits for the client to read. What it has to hear goes through an
//! [outlet](super::outlet).
//!
//! Frames to clients are written here rather than by a websocket library, because what must *not* be sent is the
//! point: no Close frame (the Python client goes deaf), no pongs (the old server's were broken, so nobody may
//! rely on them), no extension. A text frame from a server is two to ten bytes and the text.

use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use event_core::Event;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Join, Sink};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use transport_ws::packet::{Advice, LikelyEvent, Packet, PacketId, Reason};

use super::frame::Frame;
use super::hub::{Cut, Hub};
use super::link::Attached;
use super::rounds::Round;
use super::router::{ConnectionId, EVENT_NAME};
use super::writer::{LINGER, Writer};
use crate::net::{Fate, ReadHalf, Socket, Tasks};

/// Bytes read at a time, and held by every idle connection.
const READ_BUFFER: usize = 8 * 1024;
/// Messages handled before other tasks get a turn.
const TURN: usize = 128;

type Reader = WebSocketStream<Join<ReadHalf, Sink>>;

/// Serves a websocket whose handshake was used for `user`, until either side ends it.
pub(super) async fn serve(hub: Arc<Hub>, tasks: Tasks, stream: Socket, early: Bytes, user: Arc<str>) {
    let valve = Arc::clone(stream.valve());
    let (read_half, write_half) = stream.into_split();
    let attached = hub.attach(user, write_half, Arc::clone(&valve), tasks.stop.child_token());
    let id = attached.id;
    tracing::debug!(connection = id, "connected");
    tasks.tracker.spawn(Writer::new(&attached).write());
    let mut reader = reader(read_half, early, hub.config.max_frame).await;
    read(&attached, &mut reader).await;
    tracing::debug!(connection = id, "disconnected");
    drop(attached);
    if valve.fate() == Fate::Open {
        drain(reader.into_inner().into_inner().0, &tasks.stop).await;
    }
}

/// Tells a client that its session id is not valid, and closes.
pub(super) async fn refuse(tasks: Tasks, stream: Socket) {
    let (read_half, mut write_half) = stream.into_split();
    let packet = Packet::Error {
        endpoint: "",
        reason: Some(Reason::ClientNotHandshaken),
        advice: Some(Advice::Reconnect),
    };
    let frame = Frame::from(packet);
    let _ = timeout(LINGER, write_half.write_all(frame.rest(0))).await;
    let _ = timeout(LINGER, write_half.shutdown()).await;
    drain(read_half, &tasks.stop).await;
}

/// Reads what the client still sends, so that closing ends in a FIN: a reset could overtake the last packet.
async fn drain(mut read_half: ReadHalf, stop: &CancellationToken) {
    let mut scrap = vec![0; 16 * 1024];
    let to_the_end = async { while read_half.read(&mut scrap).await.is_ok_and(|n| n > 0) {} };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = timeout(LINGER, to_the_end) => {}
    }
}

/// The reading side alone: whatever the library wants to answer goes nowhere.
async fn reader(read_half: ReadHalf, early: Bytes, max_frame: usize) -> Reader {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame));
    let stream = tokio::io::join(read_half, tokio::io::sink());
    WebSocketStream::from_partially_read(stream, early.into(), Role::Server, Some(config)).await
}

async fn read(attached: &Attached, reader: &mut Reader) {
    let hub = &attached.hub;
    let cut = pin!(attached.ends.signals.cut.cancelled());
    let mut inbox = Inbox {
        hub,
        reader,
        cut,
        silence: Silence::new(hub.config.heartbeat_timeout),
        round: Round::default(),
    };
    for turn in 1.. {
        match inbox.next().await {
            Next::Silent => {
                hub.cut(attached.id, Cut::Silent);
                break;
            }
            Next::Message(Some(Ok(Message::Text(text)))) => gauge(attached, &text),
            Next::Cut | Next::Message(Some(Ok(Message::Close(_))) | None) => break,
            Next::Message(Some(Ok(_))) => hub.count(|stats| stats.frames_ignored += 1),
            Next::Message(Some(Err(WsError::Capacity(_)))) => {
                hub.cut(attached.id, Cut::Oversize);
                break;
            }
            Next::Message(Some(Err(error))) => {
                tracing::debug!(connection = attached.id, %error, "the websocket failed");
                break;
            }
        }
        if turn % TURN == 0 {
            inbox.round.send_to_few(hub);
            tokio::task::yield_now().await;
        }
    }
    inbox.round.send_to_few(hub);
}

/// What a client says, and what has to be done before waiting for it.
struct Inbox<'a, 'c> {
    hub: &'a Hub,
    reader: &'a mut Reader,
    cut: Pin<&'a mut WaitForCancellationFuture<'c>>,
    silence: Silence,
    round: Round,
}

enum Next {
    Message(Option<Result<Message, WsError>>),
    Cut,
    Silent,
}

impl Inbox<'_, '_> {
    async fn next(&mut self) -> Next {
        poll_fn(|cx| {
            if self.cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Cut);
            }
            if let Poll::Ready(message) = self.reader.poll_next_unpin(cx) {
                self.silence.broken = true;
                return Poll::Ready(Next::Message(message));
            }
            self.round.send_to_few(self.hub);
            self.silence.poll(cx).map(|()| Next::Silent)
        })
        .await
    }
}

/// How long a client has said nothing. The timer is moved when it ends, not for each message.
struct Silence {
    longest: Duration,
    /// Something was said since the clock was looked at.
    broken: bool,
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

#[expect(clippy::disallowed_methods, reason = "tokio's clock, which tests can pause")]
impl Silence {
    fn new(longest: Duration) -> Self {
        Self { longest, broken: false, heard: Instant::now(), timer: Box::pin(sleep(longest)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if mem::take(&mut self.broken) {
            self.heard = Instant::now();
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let end = self.heard + self.longest;
            if end <= self.timer.deadline() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// One packet from a client, when something may go wrong and when nothing may.
fn gauge(attached: &Attached, text: &Utf8Bytes) {
    let (hub, id) = (&attached.hub, attached.id);
    if !attached.ends.signals.gauged.load(Ordering::Relaxed) {
        handle(hub, id, text);
    } else if hub.arrives(id, text.len()) {
        handle(hub, id, text);
        hub.dealt_with(id);
    }
}

/// One packet from a client.
fn handle(hub: &Hub, from: ConnectionId, text: &Utf8Bytes) {
    if let Some((id, event)) = likely_event(text) {
        return hub.receive(from, id, &Ok(event));
    }
    let ignore = || hub.count(|stats| stats.frames_ignored += 1);
    match Packet::decode(text) {
        Ok(packet) if !packet.endpoint().is_empty() => ignore(),
        Ok(Packet::Event { id, name, args, .. }) if !lacks_a_colon(text) => {
            hub.receive(from, id, &event(text, &name, &args));
        }
        Ok(Packet::Heartbeat) => hub.count(|stats| stats.heartbeats_received += 1),
        Ok(Packet::Disconnect { .. }) => hub.leave(from),
        Ok(
            Packet::Message { id: Some(PacketId { number, wants_data: false }), .. }
            | Packet::Json { id: Some(PacketId { number, wants_data: false }), .. },
        ) => {
            ignore();
            hub.acknowledge_plainly(from, number);
        }
        Ok(_) => ignore(),
        Err(error) => {
            tracing::debug!(connection = from, %error, "ignored");
            ignore();
        }
    }
}

/// The event of a packet of the usual form, found in the one pass that reads it.
fn likely_event(text: &Utf8Bytes) -> Option<(Option<PacketId>, Event)> {
    let likely = LikelyEvent::of(text, EVENT_NAME)?;
    let event = Event::from_json(Bytes::from(text.clone()).slice(likely.argument)).ok()?;
    Some((likely.id, event))
}

/// `5::{..}`: the codec forgives it, the old server does not.
fn lacks_a_colon(text: &str) -> bool {
    text.splitn(3, ':').nth(2).is_some_and(|rest| rest.starts_with('{'))
}

/// The event of an event packet, as a slice of the packet.
fn event(text: &Utf8Bytes, name: &str, args: &[&str]) -> Result<Event, String> {
    if name != EVENT_NAME {
        return Err(format!("events travel under the name \"{EVENT_NAME}\""));
    }
    match args {
        [only] => {
            let whole = Bytes::from(text.clone());
            Event::from_json(whole.slice_ref(only.as_bytes())).map_err(|error| error.message().to_owned())
        }
        _ => Err(format!("\"args\" has {} members; put exactly one event there", args.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_its_third_colon_is_told_apart() {
        for (text, lacks) in [
            (r#"5::{"name":"ftrack.event"}"#, true),
            (r#"5:1+:{"name":"ftrack.event"}"#, true),
            (r#"5:::{"name":"ftrack.event"}"#, false),
            (r#"5:1+::{"name":"ftrack.event"}"#, false),
            ("5", false),
        ] {
            assert_eq!(lacks_a_colon(text), lacks, "{text}");
        }
    }
}
