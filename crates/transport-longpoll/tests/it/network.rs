//! `ReqwestExchange` over real sockets and in real time: what goes over the wire, and what is made of what comes.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transport_longpoll::address::QueueAddress;
use transport_longpoll::exchange::{ExchangeErrorKind, Request, ReqwestExchange, Response};
use transport_longpoll::request::{self, ReceiveMode};
use transport_longpoll::{ExchangeError, HttpExchange};

use crate::support::secs;

async fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

fn exchange() -> ReqwestExchange {
    ReqwestExchange::builder().no_proxy().max_body(100).build().unwrap()
}

/// Reads one request without body, and writes an answer.
async fn serve(socket: &mut TcpStream, answer: &[u8]) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    socket.write_all(answer).await.unwrap();
    String::from_utf8(head).unwrap()
}

/// One exchange with a server that answers so and hangs up.
async fn once(answer: &[u8]) -> Result<Response, ExchangeError> {
    let (listener, address) = server().await;
    let serving = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        serve(&mut socket, answer).await;
    };
    let client = exchange();
    let asking = client.exchange(Request::new(Method::GET, format!("{address}/q"), secs(30)));
    tokio::join!(asking, serving).0
}

#[tokio::test]
async fn requests_go_out_as_they_are_over_one_connection() {
    let (listener, address) = server().await;
    let queue = QueueAddress::parse(&format!("{address}/bus/T/Subscriptions/s")).unwrap();
    let serving = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heads = Vec::new();
        for _ in 0..2 {
            heads.push(serve(&mut socket, b"HTTP/1.1 204 No Content\r\n\r\n").await);
        }
        heads
    };
    let asking = async {
        let client = exchange();
        for mode in [ReceiveMode::ReceiveAndDelete, ReceiveMode::PeekLock] {
            let token = "SharedAccessSignature sr=x&sig=y".into();
            let request = request::receive(&queue, mode, Some(secs(5)), &token, secs(30)).unwrap();
            assert_eq!(client.exchange(request).await.unwrap().status, 204);
        }
    };
    let (heads, ()) = tokio::join!(serving, asking);
    for (head, method) in heads.iter().zip(["DELETE", "POST"]) {
        let (line, fields) = head.split_once("\r\n").unwrap();
        assert_eq!(line, format!("{method} /bus/T/Subscriptions/s/messages/head?timeout=5 HTTP/1.1"));
        let fields: Vec<(String, &str)> = fields
            .lines()
            .filter_map(|field| field.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let all = |name: &str| {
            fields.iter().filter(|(field, _)| field == name).map(|(_, value)| *value).collect::<Vec<_>>()
        };
        assert_eq!(all("authorization"), ["SharedAccessSignature sr=x&sig=y"]);
        assert_eq!(all("x-correlation-id")[0].len(), 36);
        assert_eq!(all("content-length"), if method == "POST" { vec!["0"] } else { vec![] });
        assert!(all("content-type").is_empty() && all("transfer-encoding").is_empty());
        assert!(all("accept-encoding").is_empty() && all("user-agent").is_empty());
    }
    assert_ne!(heads[0], heads[1]);
}

#[tokio::test]
async fn answers_come_whole_whatever_their_status_and_redirections_are_not_followed() {
    let answer = once(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 2\r\n\r\nno")
        .await
        .unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (302, &b"no"[..]));
    assert_eq!(answer.headers["location"], "http://127.0.0.1:1/x");
    let answer = once(b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nGr\r\n1\r\n\xC3\r\n4\r\n\xB6\xC3\x9Fe\r\n0\r\n\r\n").await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (500, "Größe".as_bytes()));
}

#[tokio::test]
async fn what_is_no_whole_answer_says_why() {
    use ExchangeErrorKind::{Broken, Protocol, TooLarge};
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n{}", "x".repeat(101));
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
        "x".repeat(101)
    );
    for (answer, kind) in [
        (&b""[..], Broken),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Broken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", Broken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Broken),
        (b"SSH-2.0-x\r\n\r\n", Protocol),
        (long.as_bytes(), TooLarge),
        (chunked.as_bytes(), TooLarge),
    ] {
        let error = once(answer).await.unwrap_err();
        let shown = String::from_utf8_lossy(answer);
        assert_eq!((error.kind(), error.may_have_acted()), (kind, true), "{error}: {shown}");
        assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn no_connection_and_no_answer_in_time_are_told_apart() {
    let (listener, address) = server().await;
    let request = |deadline| Request::new(Method::GET, format!("{address}/q"), deadline);
    let error = exchange().exchange(request(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_acted()), (ExchangeErrorKind::Timeout, true));
    drop(listener);
    let error = exchange().exchange(request(secs(30))).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_acted()), (ExchangeErrorKind::Connect, false));
    let request = Request::new(Method::GET, "no url", secs(30));
    let error = exchange().exchange(request).await.unwrap_err();
    assert_eq!(error.kind(), ExchangeErrorKind::InvalidRequest);
    let proxy = ReqwestExchange::builder().proxy("http://user:marked-4711@[").build().unwrap_err();
    assert!(!format!("{proxy:?}").contains("4711"));
}
