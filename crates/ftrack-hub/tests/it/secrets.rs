//! The API key is in one header of the handshake, and nowhere else: no URL, no log, no debug text, no error.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ftrack_hub::{ConnectionState, Error, Event, Json, Session, SessionBuilder};
use hub_emulator::Emulator;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{ClosedPort, event, quick, state, within};
use crate::wire::Wire;

/// What both secrets have in common, and nothing else has: no time, no id, no port.
const MARK: &str = "never-shown";
const KEY: &str = "key-never-shown-4711";
const COOKIE: &str = "session=never-shown-0815";

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn marked(emulator: &Emulator, wire: &Wire) -> SessionBuilder {
    Session::builder(emulator.ftrack_url(), "ann", KEY)
        .header("Cookie", COOKIE)
        .reconnect(quick())
        .dialer(wire.clone())
}

fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {}", error.message());
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

/// Connect, publish, ask, fail, break, connect again, leave. Gives everything that can be shown on the way.
async fn a_whole_life(emulator: &Emulator, wire: &Wire) -> String {
    let describing = marked(emulator, wire);
    let mut all = format!("{describing:?} {describing:#?}");
    let session = describing.build().unwrap();
    let hub = session.event_hub();
    within(hub.connect()).await.unwrap();
    within(hub.subscribe("topic=ask").handle(async |_: Event| Json("answer"))).await.unwrap();
    within(hub.publish_and_wait_for_reply(event("ask", "question"))).await.unwrap();
    write!(all, "{session:?} {session:#?} {hub:?} {:?} {:?}", hub.engine(), hub.stats()).unwrap();
    let publish = hub.publish(event("ftrack.meta.subscribe", 1));
    write!(all, "{publish:?}").unwrap();
    all += &shown(&within(publish).await.unwrap_err());
    let request = hub.publish_and_wait_for_reply(event("t", 1)).timeout(Duration::from_millis(5));
    write!(all, "{request:?}").unwrap();
    all += &shown(&within(request).await.unwrap_err());
    all += &shown(&within(hub.subscribe("topic=").stream()).await.unwrap_err());
    for round in 0..2 {
        if round == 0 {
            emulator.cut_all()
        } else {
            emulator.disconnect_all()
        };
        state(hub, |state| !state.is_connected()).await;
        write!(all, "{hub:?} {}", hub.state()).unwrap();
        state(hub, ConnectionState::is_connected).await;
    }
    within(hub.publish(event("t", 2))).await.unwrap();
    hub.close().await;
    all
}

/// Everything that goes wrong with a connection.
async fn failures(emulator: &Emulator) -> String {
    let mut all = String::new();
    let closed = ClosedPort::new();
    for builder in [
        Session::builder(emulator.ftrack_url(), "mallory", KEY),
        Session::builder(closed.url(), "ann", KEY),
        Session::builder(emulator.ftrack_url(), "ann", format!("{KEY}\n")),
        Session::builder("", "ann", KEY),
        Session::builder("ftp://a.b", "ann", KEY),
        Session::builder(emulator.ftrack_url(), "", KEY),
        Session::builder(emulator.ftrack_url(), "ann", KEY).header("bad name", KEY),
        Session::builder(format!("http://ann:{KEY}@127.0.0.1"), "ann", KEY),
        Session::builder(format!("http://127.0.0.1/?api_key={KEY}"), "ann", KEY),
        Session::builder(format!("http://127.0.0.1/{KEY}\u{7f} "), "ann", KEY),
    ] {
        write!(all, "{builder:?}").unwrap();
        let error = match builder.reconnect(quick()).build() {
            Err(error) => error,
            Ok(session) => {
                let error = within(session.event_hub().connect()).await.unwrap_err();
                write!(all, "{session:?} {} {:?}", session.event_hub().state(), session.event_hub()).unwrap();
                all += &shown(
                    &within(session.event_hub().publish(event("t", 1)).into_future()).await.unwrap_err(),
                );
                error
            }
        };
        all += &shown(&error);
    }
    all
}

#[tokio::test]
async fn the_key_shows_in_no_log_no_debug_text_and_no_error() {
    let capture = Capture::default();
    let writer = capture.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    // While there is only one subscriber, a line of code that another test reaches first, without a subscriber, is
    // switched off for this one too (`tracing-core` 0.1 asks the present thread's). With two it asks both.
    let second =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::sink).finish();
    let _second = tracing::Dispatch::new(second);
    // The runtime of this test has one thread, so everything it does is seen.
    let guard = tracing::subscriber::set_default(subscriber);
    let emulator = Emulator::builder().user("ann", KEY).start().await.unwrap();
    let shown = a_whole_life(&emulator, &Wire::new()).await + &failures(&emulator).await;
    drop(guard);
    let log = String::from_utf8(capture.0.lock().unwrap().clone()).unwrap();
    for line in ["websocket session stands", "connected", "received", "disconnected", "reconnecting"] {
        assert!(log.contains(line), "the capture sees what the client logs: {line}");
    }
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "at every level");
    assert!(!log.contains(MARK), "{:?}", log.lines().find(|line| line.contains(MARK)));
    let at = shown.find(MARK);
    assert!(at.is_none(), "{:?}", at.map(|at| shown.get(at.saturating_sub(200)..at + 10)));
    // What is shown is not just empty.
    for word in ["Session", "ann", "Unauthenticated", "Unreachable", "InvalidUrl", "Refused", "Timeout"] {
        assert!(shown.contains(word), "{word}");
    }
}

#[tokio::test]
async fn the_key_is_in_no_url_and_no_frame_but_in_one_header_of_the_handshake() {
    let emulator = Emulator::builder().user("ann", KEY).start().await.unwrap();
    let wire = Wire::new();
    a_whole_life(&emulator, &wire).await;
    let sent = wire.sent();
    assert_eq!(sent.len(), 6, "three connections, each a handshake and a websocket");
    for stream in &sent {
        let (line, headers) = stream.head.split_first().unwrap();
        assert!(line.starts_with("GET /socket.io/1/") && !line.contains('?'), "{line}");
        assert!(!line.contains(MARK) && !line.contains("ann"), "{line}");
        let with_key: Vec<&String> = headers.iter().filter(|header| header.contains(KEY)).collect();
        if stream.is_websocket() {
            assert!(with_key.is_empty(), "{headers:?}");
            assert!(!stream.frames.is_empty());
        } else {
            assert_eq!(with_key, [&format!("ftrack-api-key: {KEY}")]);
        }
        assert!(headers.iter().any(|header| header.eq_ignore_ascii_case(&format!("cookie: {COOKIE}"))));
    }
    // Unmasked, no frame has it either; and all bytes together have it three times.
    let frames = sent.iter().flat_map(|stream| &stream.frames);
    assert!(frames.clone().all(|frame| !String::from_utf8_lossy(&frame.payload).contains(MARK)));
    assert!(frames.count() > 10);
    let raw: Vec<u8> = wire.bytes().concat();
    assert_eq!(raw.windows(KEY.len()).filter(|bytes| *bytes == KEY.as_bytes()).count(), 3);
}
