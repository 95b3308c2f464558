//! The shell, from one end of an in-memory pipe; a scripted server sits at the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_core::transport::{Attempt, Inbound, Link, PublishError, Transport};
use event_core::{Error, ErrorKind, Event, Retry};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use transport_ws::dial::BoxedIo;
use transport_ws::{Dialer, Endpoint, WsTransport, WsTransportBuilder};

/// Hands the server the other end of each stream that is dialled.
struct Pipes(mpsc::Sender<DuplexStream>);

#[async_trait]
impl Dialer for Pipes {
    async fn dial(&self, _endpoint: &Endpoint) -> event_core::Result<BoxedIo> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        if self.0.send(theirs).await.is_err() {
            return Err(Error::new(ErrorKind::Unreachable, "connect", "no server"));
        }
        Ok(Box::new(ours))
    }
}

struct Server {
    streams: Mutex<mpsc::Receiver<DuplexStream>>,
}

type Socket = WebSocketStream<DuplexStream>;

fn websocket_key(head: &str) -> String {
    let key = head.lines().find_map(|line| {
        line.strip_prefix("sec-websocket-key: ").or_else(|| line.strip_prefix("Sec-WebSocket-Key: "))
    });
    key.unwrap().trim().to_owned()
}

/// The answer to a websocket request with this key.
fn switching_protocols(key: &str) -> String {
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

impl Server {
    fn new() -> (Arc<Self>, WsTransportBuilder) {
        let (tx, rx) = mpsc::channel(4);
        let builder = WsTransport::builder(Endpoint::new("h", 80, false), "ftrack.event").dialer(Pipes(tx));
        (Arc::new(Self { streams: Mutex::new(rx) }), builder)
    }

    /// Reads one HTTP request, answers it, and returns what it said.
    async fn http(&self, answer: &str) -> String {
        let mut stream = self.streams.lock().await.recv().await.unwrap();
        let head = read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    }

    async fn grant(&self, body: &str) -> String {
        self.http(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
    }

    /// Accepts the websocket, without any help from the client's library.
    async fn websocket(&self) -> (String, Socket) {
        let mut stream = self.streams.lock().await.recv().await.unwrap();
        let head = read_head(&mut stream).await;
        let answer = switching_protocols(&websocket_key(&head));
        stream.write_all(answer.as_bytes()).await.unwrap();
        (head, WebSocketStream::from_raw_socket(stream, Role::Server, None).await)
    }

    /// A whole connection up to `1::`.
    async fn accept(&self) -> Socket {
        self.grant("SID:60:60:websocket").await;
        let (_, mut socket) = self.websocket().await;
        say(&mut socket, "1::").await;
        socket
    }
}

async fn read_head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text.to_owned())).await.unwrap();
}

async fn hear(socket: &mut Socket) -> String {
    socket.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

async fn connected(builder: WsTransportBuilder, server: &Arc<Server>) -> (Link, Socket) {
    let transport = builder.build().unwrap();
    let (link, socket) = tokio::join!(transport.connect(Attempt::first()), server.accept());
    (link.unwrap(), socket)
}

fn event(n: u32) -> Event {
    Event::builder("t").id(n.to_string()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn credentials_go_with_the_handshake_only_and_never_into_a_path() {
    let (server, builder) = Server::new();
    let transport = builder
        .path_prefix("/proxy/")
        .secret_header("ftrack-user", "jane")
        .secret_header("ftrack-api-key", "marked-4711")
        .header("Cookie", "a=1")
        .build()
        .unwrap();
    let serving = async {
        let handshake = server.grant("SID:60:60:websocket,xhr-polling").await;
        let (upgrade, mut socket) = server.websocket().await;
        say(&mut socket, "1::").await;
        (handshake, upgrade, socket)
    };
    let (link, (handshake, upgrade, _socket)) = tokio::join!(transport.connect(Attempt::first()), serving);
    let link = link.unwrap();
    assert!(handshake.starts_with("GET /proxy/socket.io/1/ HTTP/1.1\r\n"), "{handshake}");
    let lower = handshake.to_lowercase();
    assert!(lower.contains("\r\nhost: h\r\n") && lower.contains("\r\nftrack-user: jane\r\n"));
    assert!(lower.contains("\r\nftrack-api-key: marked-4711\r\n") && lower.contains("\r\ncookie: a=1\r\n"));
    assert!(upgrade.starts_with("GET /proxy/socket.io/1/websocket/SID HTTP/1.1\r\n"), "{upgrade}");
    assert!(upgrade.to_lowercase().contains("\r\ncookie: a=1\r\n") && !upgrade.contains("4711"), "{upgrade}");
    assert!(!upgrade.to_lowercase().contains("extensions"), "no extension is asked for");
    assert_eq!(link.info.peer, "http://h");
    assert!(!format!("{transport:?} {link:?}").contains("4711"));
}

#[tokio::test(start_paused = true)]
async fn refusals_have_their_own_kinds_and_advice() {
    let long = "x".repeat(20_000);
    for (answer, kind, retries) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\nhandshake unauthorized",
            ErrorKind::Unauthenticated,
            false,
        ),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ErrorKind::Unauthenticated, false),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ErrorKind::UnsupportedTransport, false),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\nSID:60:60:xhr-polling,html",
            ErrorKind::UnsupportedTransport,
            false,
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: https://x.y/?k=s\r\nContent-Length: 0\r\n\r\n",
            ErrorKind::InvalidUrl,
            false,
        ),
        ("HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", ErrorKind::Unreachable, true),
        ("HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n", ErrorKind::Unreachable, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>no!", ErrorKind::Protocol, false),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", ErrorKind::Protocol, false),
        (&*format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{long}"), ErrorKind::Protocol, false),
        ("HTTP/1.1 20", ErrorKind::Unreachable, true),
    ] {
        let (server, builder) = Server::new();
        let transport = builder.build().unwrap();
        let (link, _) = tokio::join!(transport.connect(Attempt::first()), server.http(answer));
        let error = link.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, retries), "{answer:.40}: {error}");
        assert!(error.to_string().contains("http://h"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_the_server_does_not_know_is_a_failed_attempt_worth_repeating() {
    let (server, builder) = Server::new();
    let transport = builder.build().unwrap();
    let serving = async {
        server.grant("SID:60:60:websocket").await;
        let (_, mut socket) = server.websocket().await;
        say(&mut socket, "7:::1+0").await;
    };
    let (link, ()) = tokio::join!(transport.connect(Attempt::first()), serving);
    assert_eq!(
        (link.as_ref().unwrap_err().kind(), link.unwrap_err().retry()),
        (ErrorKind::Disconnected, Retry::Backoff)
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_says_connected_is_given_up() {
    let (server, builder) = Server::new();
    let transport = builder.build().unwrap();
    let serving = async {
        server.grant("SID:60:60:websocket").await;
        let (_, mut socket) = server.websocket().await;
        assert!(socket.next().await.is_none_or(|end| end.is_err()));
    };
    let connecting = async { transport.connect(Attempt::first()).await.map(drop) };
    let (link, ()) = tokio::join!(connecting, serving);
    assert_eq!(link.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn each_publish_is_confirmed_by_its_own_acknowledgement() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    let confirmations: Vec<_> = (0..3).map(|n| link.tx.send(event(n)).unwrap()).collect();
    let serving = async {
        for n in 1..=3 {
            let frame = hear(&mut socket).await;
            assert!(
                frame.starts_with(&format!(
                    "5:{n}+::{{\"name\":\"ftrack.event\",\"args\":[{{\"id\":\"{}\"",
                    n - 1
                )),
                "{frame}"
            );
        }
        // Out of order, with data, refused by data, automatic.
        say(&mut socket, "6:::3+[{\"success\":true}]").await;
        say(&mut socket, "6:::1").await;
        say(&mut socket, "6:::2+[1,{\"a\":2}]").await;
    };
    let reading = async { while link.rx.next().await.is_some() {} };
    let confirmed = async {
        let mut said = Vec::new();
        for confirmation in confirmations {
            said.push(confirmation.await.unwrap().data.map(|data| data.as_str().to_owned()));
        }
        said
    };
    let said = tokio::select! {
        (said, ()) = async { tokio::join!(confirmed, serving) } => said,
        () = reading => panic!("the link ended"),
    };
    assert_eq!(said, [None, Some("[1,{\"a\":2}]".to_owned()), Some("{\"success\":true}".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_gives_the_event_back_and_says_when_there_is_room() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder.window(2), &server).await;
    let _first = link.tx.send(event(0)).unwrap();
    let _second = link.tx.send(event(1)).unwrap();
    let refused = link.tx.send(event(2)).unwrap_err();
    assert_eq!((refused.error.kind(), refused.event.id().unwrap().as_str()), (ErrorKind::Full, "2"));
    assert!(futures_util::poll!(std::pin::pin!(link.tx.ready())).is_pending());
    say(&mut socket, "6:::1").await;
    tokio::select! {
        () = link.tx.ready() => {}
        _ = link.rx.next() => panic!("nothing to tell"),
    }
    link.tx.send(refused.event).unwrap();
}

#[tokio::test(start_paused = true)]
async fn malformed_packets_and_events_are_told_and_the_others_arrive() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    for frame in [
        "garbage",
        "5:::{\"name\":\"ftrack.event\",\"args\":[{\"id\":\"no topic\"}]}",
        "5:::{\"name\":\"ftrack.event\",\"args\":[]}",
        "5:::{\"name\":\"other\",\"args\":[{\"topic\":\"t\"}]}",
        "6:::77",
        "5:::{\"name\":\"ftrack.event\",\"args\":[{\"topic\":\"good\", \"data\": 1}]}",
    ] {
        say(&mut socket, frame).await;
    }
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..6 {
        match link.rx.next().await.unwrap().unwrap() {
            Inbound::Problem(error) => {
                assert_eq!(error.kind(), ErrorKind::Protocol);
                told.push("problem");
            }
            Inbound::Delivery(delivery) => {
                assert_eq!(delivery.event.to_json(), &b"{\"topic\":\"good\", \"data\": 1}"[..]);
                told.push("event");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["problem", "problem", "problem", "problem", "event", "problem"]);
}

#[tokio::test(start_paused = true)]
async fn every_acknowledgement_says_what_its_own_words_say_whatever_the_last_one_said() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    let long = format!(r#"+[{{"success":true,"note":"{}"}}]"#, "n".repeat(2000));
    let words = [
        (r#"+[{"success":true}]"#, Some(r#"{"success":true}"#)),
        (r#"+[{"success":true}]"#, Some(r#"{"success":true}"#)),
        (r#"+[{"success":false}]"#, Some(r#"{"success":false}"#)),
        (&*long, Some(&long[2..long.len() - 1])),
        (&*long, Some(&long[2..long.len() - 1])),
        ("", None),
        ("+[1, 2]", Some("[1,2]")),
        (r#"+[{"success":true}]"#, Some(r#"{"success":true}"#)),
    ];
    let confirmations: Vec<_> =
        words.iter().map(|_| link.tx.send(Event::new("t", &1).unwrap()).unwrap()).collect();
    let serving = async {
        for (id, (said, _)) in (1..).zip(words) {
            hear(&mut socket).await;
            say(&mut socket, &format!("6:::{id}{said}")).await;
        }
        say(&mut socket, r#"5:::{"name":"ftrack.event","args":[{"topic":"last"}]}"#).await;
    };
    let ((), last) = tokio::join!(serving, link.rx.next());
    assert!(matches!(last, Some(Ok(Inbound::Delivery(_)))), "{last:?}");
    for (confirmation, (said, expected)) in confirmations.into_iter().zip(words) {
        let meaning = confirmation.await.unwrap().data;
        assert_eq!(meaning.as_ref().map(event_core::RawJson::as_str), expected, "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_answered_and_their_absence_ends_the_link() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    let started = tokio::time::Instant::now();
    let serving = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(40)).await; // paused
            say(&mut socket, "2::").await;
            assert_eq!(hear(&mut socket).await, "2::");
        }
        // From here on silence; the pipe stays open.
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = link.rx.next() => end.unwrap().unwrap_err(),
        () = serving => unreachable!(),
    };
    assert_eq!((end.kind(), end.retry()), (ErrorKind::Timeout, Retry::Backoff));
    assert_eq!(started.elapsed(), Duration::from_secs(3 * 40 + 60));
}

#[tokio::test(start_paused = true)]
async fn every_way_to_end_is_told_and_open_publishes_stay_unconfirmed() {
    for how in ["0::", "close", "eof", "7:::2+0", "oversize"] {
        let (server, builder) = Server::new();
        let (mut link, mut socket) = connected(builder.max_frame(1_000), &server).await;
        let confirmation = link.tx.send(event(0)).unwrap();
        match how {
            "close" => socket.close(None).await.unwrap(),
            "eof" => drop(socket),
            "oversize" => say(&mut socket, &"x".repeat(1_001)).await,
            packet => say(&mut socket, packet).await,
        }
        let error = link.rx.next().await.unwrap().unwrap_err();
        let kind = match how {
            "7:::2+0" => ErrorKind::Unauthenticated,
            "oversize" => ErrorKind::TooLarge,
            _ => ErrorKind::Disconnected,
        };
        assert_eq!(error.kind(), kind, "{how}: {error}");
        assert!(matches!(confirmation.await, Err(PublishError::Unconfirmed)), "{how}");
        assert!(link.rx.next().await.is_none());
        assert_eq!(link.tx.send(event(1)).unwrap_err().error.kind(), ErrorKind::NotConnected);
        link.tx.flush().await.unwrap();
        link.tx.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_just_ends_is_lost_and_not_broken() {
    let (server, builder) = Server::new();
    let (mut link, socket) = connected(builder, &server).await;
    drop(socket);
    let error = link.rx.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Disconnected, "the connection ended"));
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_is_queued_and_then_a_polite_close() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    let _confirmation = link.tx.send(event(0)).unwrap();
    let leaving = async {
        link.tx.flush().await.unwrap();
        link.tx.close().await;
    };
    let reading = async { while link.rx.next().await.is_some() {} };
    tokio::join!(leaving, reading);
    assert!(hear(&mut socket).await.starts_with("5:1+::"));
    let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else { panic!("a close frame") };
    assert_eq!(u16::from(frame.code), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_on_a_link_that_has_nothing_else_to_do() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    for round in 0..3_u8 {
        assert!(link.rx.next().now_or_never().is_none(), "nothing has come");
        socket.send(Message::Ping(vec![round].into())).await.unwrap();
        let answer = async {
            tokio::select! {
                answer = socket.next() => answer.unwrap().unwrap(),
                told = link.rx.next() => panic!("{told:?} of a ping"),
            }
        };
        assert_eq!(answer.await, Message::Pong(vec![round].into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_link_ends_the_connection() {
    let (server, builder) = Server::new();
    let (link, mut socket) = connected(builder, &server).await;
    let Link { tx, rx, .. } = link;
    drop(rx);
    assert_eq!(tx.send(event(0)).map(drop).unwrap_err().error.kind(), ErrorKind::NotConnected);
    assert!(socket.next().await.is_none_or(|end| end.is_err()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_does_not_stop_the_client_from_reading() {
    let (server, builder) = Server::new();
    let (mut link, mut socket) = connected(builder, &server).await;
    // More than the pipe holds.
    let big = Event::builder("t").data(&"x".repeat(40_000)).build().unwrap();
    let _open: Vec<_> = (0..20).map(|_| link.tx.send(big.clone()).unwrap()).collect();
    say(&mut socket, "5:::{\"name\":\"ftrack.event\",\"args\":[{\"topic\":\"still\"}]}").await;
    let Inbound::Delivery(delivery) = link.rx.next().await.unwrap().unwrap() else { panic!("an event") };
    assert_eq!(delivery.event.topic(), "still");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_byte_by_byte_opens_the_websocket() {
    let (server, builder) = Server::new();
    let transport = builder.build().unwrap();
    let accepting = async {
        server.grant("SID:60:60:websocket").await;
        let mut stream = server.streams.lock().await.recv().await.unwrap();
        let key = websocket_key(&read_head(&mut stream).await);
        // The first packet follows the head at once.
        let mut answer = switching_protocols(&key).into_bytes();
        answer.extend([0x81, 3]);
        answer.extend(b"1::");
        for byte in answer {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream
    };
    let (link, _stream) = tokio::join!(transport.connect(Attempt::first()), accepting);
    link.unwrap();
}
