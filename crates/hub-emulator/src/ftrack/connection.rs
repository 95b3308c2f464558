//! The life of one websocket: a reader that never waits for the client to read, and a writer that empties a queue.
//!
//! Frames to clients are written here rather than by a websocket library, because what must *not* be sent is the
//! point: no Close frame (the Python client goes deaf), no pongs (the old server's were broken, so nobody may
//! rely on them), no extension. A text frame from a server is two to ten bytes and the text.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use event_core::Event;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Join, ReadHalf, Sink, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;
use transport_ws::packet::{Advice, LikelyEvent, Packet, PacketId, Reason};

use super::frame::{Frame, put_frame, put_header};
use super::hub::{Cut, Hub};
use super::link::{Attached, Signals};
use super::router::{ConnectionId, EVENT_NAME};
use crate::net::{Fate, Socket, Tasks};

/// How long a client that is put out has to read what is left, and to close its own side.
const LINGER: Duration = Duration::from_secs(1);
/// Small frames are gathered up to this size before they are written.
const GATHER: usize = 64 * 1024;
/// Bytes read at a time, and held by every idle connection.
const READ_BUFFER: usize = 8 * 1024;
/// Messages handled before other tasks get a turn.
const TURN: usize = 128;

type Reader = WebSocketStream<Join<ReadHalf<Socket>, Sink>>;

/// Serves a websocket whose handshake was used for `user`, until either side ends it.
pub(super) async fn serve(hub: Arc<Hub>, tasks: Tasks, stream: Socket, early: Bytes, user: Arc<str>) {
    let valve = Arc::clone(stream.valve());
    let (read_half, write_half) = split(stream);
    let mut attached = hub.attach(user, Arc::clone(&valve), tasks.stop.child_token());
    let id = attached.id;
    tracing::debug!(connection = id, "connected");
    if let Some(queue) = attached.ends.queue.take() {
        tasks.tracker.spawn(write(Writer::new(&attached, queue, write_half)));
    }
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
    let (read_half, mut write_half) = split(stream);
    let packet = Packet::Error {
        endpoint: "",
        reason: Some(Reason::ClientNotHandshaken),
        advice: Some(Advice::Reconnect),
    };
    let mut frame = Vec::new();
    put_frame(&mut frame, packet.encode().as_bytes());
    let _ = timeout(LINGER, write_half.write_all(&frame)).await;
    let _ = timeout(LINGER, write_half.shutdown()).await;
    drain(read_half, &tasks.stop).await;
}

/// Reads what the client still sends, so that closing ends in a FIN: a reset could overtake the last packet.
async fn drain(mut read_half: ReadHalf<Socket>, stop: &CancellationToken) {
    let mut scrap = vec![0; 16 * 1024];
    let to_the_end = async { while read_half.read(&mut scrap).await.is_ok_and(|n| n > 0) {} };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = timeout(LINGER, to_the_end) => {}
    }
}

/// The reading side alone: whatever the library wants to answer goes nowhere.
async fn reader(read_half: ReadHalf<Socket>, early: Bytes, max_frame: usize) -> Reader {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame));
    let stream = tokio::io::join(read_half, tokio::io::sink());
    WebSocketStream::from_partially_read(stream, early.into(), Role::Server, Some(config)).await
}

async fn read(attached: &Attached, reader: &mut Reader) {
    let hub = &attached.hub;
    let cut = attached.ends.signals.cut.cancelled();
    tokio::pin!(cut);
    for turn in 1.. {
        let next = tokio::select! {
            biased;
            () = &mut cut => return,
            next = timeout(hub.config.heartbeat_timeout, reader.next()) => next,
        };
        match next {
            Err(_) => return hub.cut(attached.id, Cut::Silent),
            Ok(Some(Ok(Message::Text(text)))) => gauge(attached, &text),
            Ok(Some(Ok(Message::Close(_))) | None) => return,
            Ok(Some(Ok(_))) => hub.count(|stats| stats.frames_ignored += 1),
            Ok(Some(Err(WsError::Capacity(_)))) => return hub.cut(attached.id, Cut::Oversize),
            Ok(Some(Err(error))) => {
                tracing::debug!(connection = attached.id, %error, "the websocket failed");
                return;
            }
        }
        if turn % TURN == 0 {
            tokio::task::yield_now().await;
        }
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

struct Writer {
    hub: Arc<Hub>,
    queue: mpsc::Receiver<Frame>,
    signals: Signals,
    socket: WriteHalf<Socket>,
}

impl Writer {
    fn new(attached: &Attached, queue: mpsc::Receiver<Frame>, socket: WriteHalf<Socket>) -> Self {
        Self { hub: Arc::clone(&attached.hub), queue, signals: attached.ends.signals.clone(), socket }
    }

    /// Writes until the queue ends or the socket fails.
    async fn run(&mut self) {
        let period = self.hub.config.heartbeat_interval;
        let mut beat = interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        let mut batch = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let written = tokio::select! {
                biased;
                _ = beat.tick() => {
                    self.hub.count(|stats| stats.heartbeats_sent += 1);
                    put_frame(&mut buffer, b"2::");
                    self.flush(&mut buffer).await
                }
                taken = self.queue.recv_many(&mut batch, TURN) => {
                    if taken == 0 {
                        return;
                    }
                    self.write_batch(&mut batch, &mut buffer).await
                }
            };
            if written.is_err() {
                return;
            }
        }
    }

    async fn write_batch(&mut self, batch: &mut Vec<Frame>, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let mut bytes = 0;
        for frame in batch.drain(..) {
            bytes += frame.len();
            if buffer.len() + frame.len() > GATHER {
                self.flush(buffer).await?;
            }
            let packet = match frame {
                Frame::Text(packet) => {
                    put_header(buffer, packet.len());
                    packet
                }
                Frame::Raw(raw) => raw,
            };
            if packet.len() > GATHER {
                self.flush(buffer).await?;
                self.socket.write_all(&packet).await?;
            } else {
                buffer.extend_from_slice(&packet);
            }
        }
        self.flush(buffer).await?;
        self.signals.queued.fetch_sub(bytes, Ordering::Relaxed);
        Ok(())
    }

    async fn flush(&mut self, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        self.socket.write_all(buffer).await?;
        buffer.clear();
        Ok(())
    }
}

async fn write(mut writer: Writer) {
    let Signals { leave, cut, .. } = writer.signals.clone();
    let overdue = async {
        leave.cancelled().await;
        sleep(LINGER).await;
    };
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = overdue => {}
        () = writer.run() => {}
    }
    // The FIN; with TLS the client is told before.
    let _ = timeout(LINGER, writer.socket.shutdown()).await;
    drop(writer);
    cut.cancel();
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
