//! The receiving half of a link, which also does the writing: polled, not a task.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use event_core::transport::{Acknowledgement, Inbound, RawDelivery};
use event_core::{Error, ErrorKind, Event, EventReader, Result};
use futures_core::Stream;
use futures_util::Sink;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use crate::dial::ReadAhead;
use crate::errors;
use crate::packet::{LikelyAck, LikelyEvent, Packet};
use crate::session::{CloseReason, Output, Session};
use crate::transport::{Shared, acknowledgement};

/// Messages read in a row before what else there is gets its turn.
const BURST: usize = 32;
/// The longest words of an acknowledgement that are kept for the next one, in bytes.
const WORDS: usize = 1024;

/// Drives a session over a websocket.
pub(crate) struct Shell {
    websocket: WebSocketStream<ReadAhead>,
    shared: Arc<Shared>,
    /// What the link has to tell, in order.
    ready: VecDeque<Result<Inbound>>,
    reader: EventReader,
    /// Frames that the websocket has not taken yet; bounded by the session's window.
    outgoing: VecDeque<Message>,
    /// Something may not be on the wire yet: a frame, or what the websocket answers of itself.
    unwritten: bool,
    /// How many times the session had something to say, of what is collected.
    collected: u64,
    /// There is room in the window, of which nobody has heard yet.
    room: bool,
    /// The words of the last acknowledgement and what they mean: a hub says the same every time.
    words: Option<(Box<str>, Acknowledgement)>,
    sleep: Pin<Box<Sleep>>,
    seen: u64,
    /// The websocket has no whole message until more comes.
    dry: bool,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    /// The session is over by our own wish: what is queued goes out, then the websocket is closed.
    Leaving,
    Over,
}

impl Shell {
    pub(crate) fn new(websocket: WebSocketStream<ReadAhead>, shared: Arc<Shared>) -> Self {
        Self {
            websocket,
            shared,
            ready: VecDeque::new(),
            reader: EventReader::new(),
            outgoing: VecDeque::new(),
            unwritten: true,
            collected: 0,
            room: false,
            words: None,
            sleep: Box::pin(tokio::time::sleep(std::time::Duration::ZERO)),
            seen: 0,
            dry: false,
            phase: Phase::Connecting,
        }
    }

    /// Drives the session until the server has said `1::`.
    pub(crate) fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let pending = self.drive(cx).is_pending();
        match self.phase {
            Phase::Connecting if pending => Poll::Pending,
            Phase::Over => {
                let failure = self.ready.drain(..).find_map(Result::err);
                Poll::Ready(Err(failure.unwrap_or_else(|| {
                    Error::new(ErrorKind::Disconnected, "connect", "the session ended before it began")
                })))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Moves everything that can move. Ready when there is something to tell or the link is over.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.collect(cx);
            let written = self.write(cx);
            if self.phase == Phase::Over || (!self.ready.is_empty() && self.phase != Phase::Connecting) {
                return Poll::Ready(());
            }
            if self.phase == Phase::Leaving {
                if written {
                    self.over();
                    continue;
                }
                return Poll::Pending;
            }
            let was = self.phase;
            if self.read(cx) || self.tick(cx) {
                continue;
            }
            self.collect(cx);
            if self.outgoing.is_empty() && self.ready.is_empty() && self.phase == was {
                return Poll::Pending;
            }
        }
    }

    /// Takes what the session has to say.
    fn collect(&mut self, cx: &Context<'_>) {
        let shared = Arc::clone(&self.shared);
        let mut wire = shared.wire.lock();
        if wire.shell.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            wire.shell = Some(cx.waker().clone());
        }
        self.collected = wire.emitted;
        self.unwritten |= wire.is_unflushed();
        let mut room = std::mem::take(&mut self.room);
        while let Some(output) = wire.session.poll_output() {
            match output {
                Output::Send(frame) => self.outgoing.push_back(text(frame)),
                Output::Connected => self.phase = Phase::Connected,
                Output::Event { name, args } => self.event(&name, args),
                Output::Acknowledged { id, args } => {
                    if let Some(confirmer) = wire.confirmers.remove(id) {
                        confirmer.confirm(acknowledgement(&args));
                    }
                    room = true;
                }
                Output::Unconfirmed { id, .. } => {
                    wire.confirmers.remove(id);
                    room = true;
                }
                Output::Problem(problem) => {
                    self.ready.push_back(Ok(Inbound::Problem(errors::problem(problem))));
                }
                Output::Closed(reason) => {
                    tracing::debug!(%reason, "websocket session over");
                    if let Some(error) = errors::closed(reason, shared.renews) {
                        self.ready.push_back(Err(error));
                        self.phase = Phase::Over;
                    } else {
                        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                        self.outgoing.push_back(Message::Close(Some(goodbye)));
                        self.phase = Phase::Leaving;
                    }
                    debug_assert!(reason == CloseReason::Local || self.phase == Phase::Over);
                }
            }
        }
        if self.phase == Phase::Over {
            wire.ended = true;
            wire.confirmers.clear();
        }
        drop(wire);
        if room || self.phase == Phase::Over {
            shared.changed.notify_waiters();
        }
    }

    fn event(&mut self, name: &str, args: Vec<Bytes>) {
        if name != self.shared.event_name {
            tracing::debug!(name, "an event of another name is ignored");
            return;
        }
        if args.is_empty() {
            let error = Error::new(ErrorKind::Protocol, "receive", "an event came without its argument");
            self.ready.push_back(Ok(Inbound::Problem(error)));
        }
        for arg in args {
            self.ready.push_back(Ok(match Event::from_json(arg) {
                Ok(event) => Inbound::Delivery(RawDelivery::matched(event)),
                Err(error) => Inbound::Problem(error),
            }));
        }
    }

    /// Writes what the websocket takes. `true` when everything is on the wire.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.outgoing.is_empty() && !self.unwritten {
            return true;
        }
        self.unwritten = true;
        let outcome = self.try_write(cx);
        match outcome {
            Poll::Ready(Ok(())) => {
                self.unwritten = false;
                let mut wire = self.shared.wire.lock();
                // What came meanwhile is not among it.
                let before = std::mem::replace(&mut wire.flushed, self.collected);
                drop(wire);
                if before != self.collected {
                    self.shared.changed.notify_waiters();
                }
                true
            }
            Poll::Ready(Err(cause)) => {
                tracing::debug!(%cause, "cannot write to the websocket");
                self.outgoing.clear();
                if self.phase == Phase::Leaving {
                    return true;
                }
                self.tell_session(Session::handle_eof);
                false
            }
            Poll::Pending => false,
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let mut websocket = Pin::new(&mut self.websocket);
        while !self.outgoing.is_empty() {
            match websocket.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            if let Some(frame) = self.outgoing.pop_front() {
                websocket.as_mut().start_send(frame)?;
            }
        }
        websocket.poll_flush(cx)
    }

    /// Reads what is there: one message, or events and acknowledgements one after the other. `true` when there was any, or the end.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        // One look at the clock for all of them.
        let mut now = None;
        for taken in 0..BURST {
            let message = match self.poll_message(cx) {
                Poll::Ready(message) => message,
                Poll::Pending if taken > 0 => return true,
                Poll::Pending => {
                    self.part_of_a_message();
                    return false;
                }
            };
            let Some(Ok(Message::Text(text))) = message else {
                self.other(message);
                return true;
            };
            let now = *now.get_or_insert_with(|| Instant::now().into_std());
            if let Some(event) = self.read_event(&text) {
                self.deliver(event, now, text.len());
            } else if let Some((id, acknowledgement)) = self.read_acknowledgement(&text) {
                if !self.acknowledged(id, acknowledgement, now, text.len()) {
                    // What the session has to say to that comes before whatever follows.
                    return true;
                }
            } else {
                self.shared.wire.lock().session.handle_text(now, text);
                return true;
            }
        }
        true
    }

    /// The next message. Most of the time nothing has come since the last look, and the library is not asked again.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, WsError>>> {
        if self.dry && self.websocket.get_mut().poll_some(cx).is_pending() {
            return Poll::Pending;
        }
        let message = Pin::new(&mut self.websocket).poll_next(cx);
        self.dry = message.is_pending();
        message
    }

    /// The event of a packet of the usual form, found in the one pass that reads it; `None` for every other packet.
    fn read_event(&mut self, text: &Utf8Bytes) -> Option<Event> {
        let likely = LikelyEvent::of(text, &self.shared.event_name).filter(|likely| likely.id.is_none())?;
        // A copy: an event that is kept does not keep all that was read with it, and the websocket's buffer is free again.
        self.reader.read(text.get(likely.argument)?).ok()
    }

    /// An acknowledgement, whose words are looked into if they are not those of the last one; `None` for every other
    /// packet.
    fn read_acknowledgement(&mut self, text: &str) -> Option<(u64, Acknowledgement)> {
        let LikelyAck { id, words } = LikelyAck::of(text)?;
        if let Some((known, meaning)) = &self.words
            && **known == *words
        {
            return Some((id, meaning.clone()));
        }
        let Ok(Packet::Ack { args, .. }) = Packet::decode(text) else { return None };
        let meaning = acknowledgement(&args);
        if words.len() <= WORDS {
            self.words = Some((words.into(), meaning.clone()));
        }
        Some((id, meaning))
    }

    /// Whether it is the last word on a publish.
    fn acknowledged(
        &mut self,
        id: u64,
        acknowledgement: Acknowledgement,
        now: std::time::Instant,
        bytes: usize,
    ) -> bool {
        let mut wire = self.shared.wire.lock();
        if !wire.session.handle_acknowledgement(now, bytes, id) {
            return false;
        }
        self.room = true;
        if let Some(confirmer) = wire.confirmers.remove(id) {
            confirmer.confirm(acknowledgement);
        }
        true
    }

    fn deliver(&mut self, event: Event, now: std::time::Instant, bytes: usize) {
        if self.shared.wire.lock().session.handle_event(now, bytes) {
            self.ready.push_back(Ok(Inbound::Delivery(RawDelivery::matched(event))));
        }
    }

    /// Part of a long message is a sign of life, too.
    fn part_of_a_message(&mut self) {
        let read = self.websocket.get_ref().bytes_come();
        if read != self.seen {
            self.seen = read;
            self.tell_session(Session::handle_activity);
        }
    }

    fn other(&mut self, message: Option<Result<Message, WsError>>) {
        // The library answers a ping and a close.
        self.unwritten = true;
        self.tell_session(|session, now| match message {
            Some(Ok(Message::Binary(_))) => session.handle_binary(now),
            Some(Ok(Message::Close(frame))) => {
                session.handle_peer_close(now, frame.map(|frame| frame.code.into()));
            }
            Some(Ok(_)) => session.handle_activity(now),
            Some(Err(WsError::Capacity(_))) => session.handle_too_large(now),
            // The end of the stream: `socket.io` 0.9.19 leaves without a close frame.
            Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                session.handle_eof(now);
            }
            Some(Err(WsError::Protocol(_) | WsError::Utf8(_) | WsError::AttackAttempt)) => {
                session.handle_broken_framing(now);
            }
            Some(Err(_)) | None => session.handle_eof(now),
        });
    }

    /// Lets the session see the time when it asked to. `true` when it did.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.shared.wire.lock().session.poll_timeout() else { return false };
        let deadline = Instant::from_std(deadline);
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.tell_session(Session::handle_timeout);
        true
    }

    fn tell_session(&self, tell: impl FnOnce(&mut Session, std::time::Instant)) {
        tell(&mut self.shared.wire.lock().session, Instant::now().into_std());
    }

    fn over(&mut self) {
        self.phase = Phase::Over;
        let mut wire = self.shared.wire.lock();
        wire.ended = true;
        wire.confirmers.clear();
        drop(wire);
        self.shared.changed.notify_waiters();
    }
}

/// A whole text message. The text is UTF-8 by the session's word, and not looked through for that once more.
fn text(text: Bytes) -> Message {
    Message::Frame(Frame::message(text, OpCode::Data(Data::Text), true))
}

impl Stream for Shell {
    type Item = Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ready.is_empty() && self.phase != Phase::Over && self.drive(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(self.ready.pop_front())
    }
}

impl Drop for Shell {
    /// The link is gone, and whoever waits on it hears that.
    fn drop(&mut self) {
        self.over();
    }
}
