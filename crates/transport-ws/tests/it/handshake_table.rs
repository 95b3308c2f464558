//! The handshake: what is sent, how answers are read, what each refusal is called.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use transport_ws::handshake::{
    Handshake, HandshakeError, Limits, PathPrefix, Request, Response, ResponseParser, SessionId,
    websocket_path,
};

use crate::support::{CLIENTS, PROBE, records, secs};

/// Feeds the bytes one by one, and ends the connection if that was not enough.
fn parse(wire: &[u8]) -> Result<Response, HandshakeError> {
    let mut parser = ResponseParser::new();
    for byte in wire.chunks(1) {
        if let Some(response) = parser.feed(byte)? {
            return Ok(response);
        }
    }
    parser.finish()
}

fn answer(wire: &str) -> Result<Handshake, HandshakeError> {
    Handshake::from_response(&parse(wire.as_bytes())?)
}

fn malformed(outcome: &Result<impl Sized, HandshakeError>) -> bool {
    matches!(outcome, Err(HandshakeError::Malformed(_)))
}

#[test]
fn the_request_is_a_plain_get_with_the_callers_headers() {
    let mut headers = HeaderMap::new();
    headers.insert("ftrack-user", HeaderValue::from_static("a@example.com"));
    headers.insert("ftrack-api-key", HeaderValue::from_static("key-a"));
    headers.append("cookie", HeaderValue::from_static("lab=1"));
    let request = Request::new("127.0.0.1:7099").headers(headers);
    assert_eq!(
        String::from_utf8(request.to_bytes().unwrap()).unwrap(),
        "GET /socket.io/1/ HTTP/1.1\r\nHost: 127.0.0.1:7099\r\nConnection: close\r\nAccept: */*\r\n\
         ftrack-user: a@example.com\r\nftrack-api-key: key-a\r\ncookie: lab=1\r\n\r\n"
    );
}

#[test]
fn a_path_prefix_goes_before_both_paths() {
    let sid = SessionId::new("Hx5KwuG6sbqugetd3OQc").unwrap();
    for (given, prefix) in
        [("", ""), ("/", ""), ("/hub", "/hub"), ("hub/", "/hub"), ("/a/b%20c//", "/a/b%20c")]
    {
        let prefix_type = PathPrefix::new(given).unwrap();
        assert_eq!(prefix_type.as_str(), prefix);
        assert_eq!(
            websocket_path(&prefix_type, &sid),
            format!("{prefix}/socket.io/1/websocket/Hx5KwuG6sbqugetd3OQc")
        );
        assert_eq!(Request::new("h").prefix(prefix_type).path(), format!("{prefix}/socket.io/1/"));
    }
    for bad in ["/a b", "/a?b", "/a#b", "/é", "/a\r\nx: y", "/a/../b", "/./a", "\\a"] {
        assert!(matches!(PathPrefix::new(bad), Err(HandshakeError::InvalidRequest(_))), "{bad}");
    }
}

#[test]
fn a_request_that_could_be_split_or_reframed_is_refused() {
    for host in ["", "a b", "a\r\nx: y", "a/b", "user:pass@a", "a?b", "[::1"] {
        let outcome = Request::new(host).to_bytes();
        assert!(matches!(outcome, Err(HandshakeError::InvalidRequest(_))), "{host}");
    }
    for host in ["a", "a.example:80", "[::1]:7010", "127.0.0.1"] {
        assert!(Request::new(host).to_bytes().is_ok(), "{host}");
    }
    for name in ["host", "connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding"] {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        let outcome = Request::new("a").headers(headers).to_bytes();
        assert!(matches!(outcome, Err(HandshakeError::InvalidRequest(_))), "{name}");
    }
}

#[test]
fn no_debug_output_and_no_error_shows_a_secret() {
    let mut headers = HeaderMap::new();
    headers.insert("ftrack-api-key", HeaderValue::from_static("hunter2"));
    let request = Request::new("h").headers(headers);
    assert!(format!("{request:?}").contains("ftrack-api-key"));
    let wire =
        "HTTP/1.1 200 OK\r\nSet-Cookie: hunter2\r\nContent-Length: 30\r\n\r\nhunter2hunter2hunter2:60:60:x,";
    let response = parse(wire.as_bytes()).unwrap();
    let handshake = Handshake::parse("hunter2hunter2hunter2:60:60:websocket").unwrap();
    let mut parser = ResponseParser::new();
    assert_eq!(parser.feed(&wire.as_bytes()[..wire.len() - 1]).unwrap(), None);
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: https://hunter2:hunter2@b.example:81/hunter2?k=hunter2\r\n\r\n";
    let redirect = answer(redirect).unwrap_err();
    let short = SessionId::new("hunter2").unwrap();
    let shown =
        format!("{request:?} {response:?} {handshake:?} {parser:?} {redirect:?} {redirect} {short:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(redirect, HandshakeError::Redirect { origin: Some("https://b.example:81".to_owned()) });
    assert_eq!(format!("{:?}", handshake.sid), "SessionId(hunt…)");
}

#[test]
fn session_ids_cannot_reach_beyond_their_place_in_the_path() {
    let long = "x".repeat(257);
    for bad in ["", "a/b", "a?b", "a#b", "a b", "..", ".", "a%2fb", "é", "a\r\n", "a:b", "\"a", long.as_str()]
    {
        assert!(malformed(&SessionId::new(bad)), "{bad}");
    }
    for good in ["ilE4LuvvYDPYUbWo3OQY", "-uZmVKizErtrjGY53OQZ", "8Y_ouFmhexyCb-3jxy", "a.b~c", &long[1..]] {
        assert_eq!(SessionId::new(good).unwrap().as_str(), good);
    }
}

#[test]
fn handshake_bodies() {
    let handshake = Handshake::parse("ilE4LuvvYDPYUbWo3OQY:60:25:websocket,xhr-polling").unwrap();
    assert_eq!(handshake.sid.as_str(), "ilE4LuvvYDPYUbWo3OQY");
    assert_eq!((handshake.heartbeat_timeout, handshake.close_timeout), (Some(secs(60)), Some(secs(25))));
    assert_eq!(handshake.transports, ["websocket", "xhr-polling"]);
    assert!(handshake.supports_websocket());
    assert_eq!(handshake.to_body(), "ilE4LuvvYDPYUbWo3OQY:60:25:websocket,xhr-polling");

    let timeouts = |body: &str| {
        Handshake::parse(body).map(|handshake| (handshake.heartbeat_timeout, handshake.close_timeout))
    };
    assert_eq!(timeouts("a:::websocket"), Ok((None, None)));
    assert_eq!(timeouts("a:0:0:websocket"), Ok((None, None)));
    assert_eq!(timeouts(" a:15:60:websocket\r\n"), Ok((Some(secs(15)), Some(secs(60)))));
    assert_eq!(
        timeouts("a:0.25:1.5:"),
        Ok((Some(Duration::from_millis(250)), Some(Duration::from_millis(1500))))
    );
    assert_eq!(Handshake::parse("a:0.25::").unwrap().to_body(), "a:0.25::");
    assert_eq!(
        Handshake::new(SessionId::new("a").unwrap(), Some(secs(60)), None).to_body(),
        "a:60::websocket"
    );
    for body in [
        "",
        "a",
        "a:60:60",
        "a:60:60:websocket:x",
        ":60:60:websocket",
        "a:x:60:websocket",
        "a:60:-1:websocket",
        "a:1e3:60:websocket",
        "a:60:.:websocket",
        "a: 60:60:websocket",
        "a:+60:60:websocket",
        "a/b:60:60:websocket",
        "a:99999999999999999999999:60:websocket",
        "io.j[0](\"a:60:60:websocket\");",
        "<html>:::",
    ] {
        assert!(malformed(&Handshake::parse(body)), "{body}");
    }
    assert!(!Handshake::parse("a:60:60:xhr-polling,xwebsocket").unwrap().supports_websocket());
}

#[test]
fn each_answer_of_a_server_has_its_name_and_its_advice() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: ";
    let table: [(String, HandshakeError, &str); 14] = [
        ("HTTP/1.1 401 No\r\n\r\n".into(), HandshakeError::Unauthorized { status: 401 }, "check the user and the API key"),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 22\r\n\r\nhandshake unauthorized".into(),
            HandshakeError::Unauthorized { status: 403 },
            "refused the credentials (HTTP 403)",
        ),
        ("HTTP/1.1 404 No\r\n\r\n".into(), HandshakeError::NotFound, "check the host and the path prefix"),
        (
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\nProtocol version not supported.\r\n0\r\n\r\n".into(),
            HandshakeError::WrongProtocolVersion,
            "does not speak Socket.IO protocol 1",
        ),
        (format!("{ok}21\r\n\r\nWelcome to socket.io."), HandshakeError::WrongProtocolVersion, "path prefix"),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n{\"code\":0,\"message\":\"Transport unknown\"}".into(),
            HandshakeError::WrongProtocolVersion,
            "version 0.9",
        ),
        ("HTTP/1.1 500 No\r\n\r\nhandshake error".into(), HandshakeError::Status(500), "try again later"),
        ("HTTP/1.1 400 No\r\n\r\n".into(), HandshakeError::Status(400), "check that the URL"),
        ("HTTP/1.1 204 No\r\n\r\n".into(), HandshakeError::Status(204), "unexpected HTTP status 204"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".into(), HandshakeError::Status(101), "101"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://a.example/x\r\n\r\n".into(),
            HandshakeError::Redirect { origin: Some("https://a.example".into()) },
            "redirects to https://a.example: use that address",
        ),
        ("HTTP/1.1 307 No\r\nLocation: /x\r\n\r\n".into(), HandshakeError::Redirect { origin: None }, "another path"),
        (format!("{ok}19\r\n\r\na:60:60:xhr-polling"), HandshakeError::NoWebsocket, "enable it there"),
        (format!("{ok}100\r\n\r\na:60:60:websocket"), HandshakeError::Truncated, "http or https"),
    ];
    for (wire, error, advice) in table {
        assert_eq!(answer(&wire), Err(error.clone()), "{wire}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    assert!(malformed(&answer(&format!("{ok}6\r\n\r\n<html>"))));
    assert!(malformed(
        &parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff")
            .and_then(|it| Handshake::from_response(&it))
    ));
}

#[test]
fn every_framing_gives_the_same_body() {
    for wire in [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\nhello world and more",
        "HTTP/1.1 200 OK\r\n\r\nhello world",
        "HTTP/1.0 200 OK\r\n\r\nhello world",
        "HTTP/1.1 200 OK\nContent-Length: 11\n\nhello world",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nB\r\nhello world\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0006\r\n world\r\n000;x\r\nA: b\r\n\r\nmore",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    ] {
        let response = parse(wire.as_bytes()).unwrap();
        assert_eq!((response.status, &response.body[..]), (StatusCode::OK, &b"hello world"[..]), "{wire}");
        // In one piece it is the same, and after it there is nothing more to say.
        let mut parser = ResponseParser::new();
        let whole = parser.feed(wire.as_bytes()).unwrap();
        assert_eq!(whole.map_or_else(|| parser.finish(), Ok).as_ref(), Ok(&response));
        assert_eq!(parser.feed(b"more"), Ok(None));
        assert_eq!(parser.finish(), Err(HandshakeError::Truncated));
    }
}

#[test]
fn broken_framing_is_refused() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for wire in [
        "HTTP/2 200 OK\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}P\n".to_owned(),
        "HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n".to_owned(),
        "HTTP/1.1 999999 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65)),
        format!("{chunked}\r\n"),
        format!("{chunked};a\r\n"),
        format!("{chunked}x\r\n"),
        format!("{chunked}-1\r\n"),
        format!("{chunked}1 \r\n"),
        format!("{chunked}1\nab"),
        format!("{chunked}1\r\r"),
        format!("{chunked}1\r\nab"),
        format!("{chunked}1\r\na\n"),
        format!("{chunked}000000001\r\na"),
        format!("{chunked}0\r\n\n"),
        format!("{chunked}0\r\nA: b\n"),
    ] {
        let outcome = parse(wire.as_bytes());
        assert!(malformed(&outcome), "{wire:?}: {outcome:?}");
    }
    for wire in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"] {
        assert_eq!(parse(wire.as_bytes()), Err(HandshakeError::Truncated), "{wire:?}");
    }
    for end in ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nA: b\r\n"] {
        assert_eq!(parse(format!("{chunked}{end}").as_bytes()), Err(HandshakeError::Truncated), "{end:?}");
    }
    let mut parser = ResponseParser::new();
    let first = parser.feed(b"nonsense\n").unwrap_err();
    assert_eq!(parser.feed(b"HTTP/1.1 200 OK\r\n\r\n"), Err(first.clone()));
    assert_eq!(parser.finish(), Err(first));
}

#[test]
fn heads_and_bodies_are_bounded_to_the_byte() {
    let limits = Limits::default().head(64).body(8);
    let outcome = |wire: String| {
        let mut parser = ResponseParser::with_limits(limits);
        match parser.feed(wire.as_bytes()) {
            Ok(Some(response)) => Ok(response.body.len()),
            Ok(None) => parser.finish().map(|response| response.body.len()),
            Err(error) => Err(error),
        }
    };
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(length - 24));
    assert_eq!(outcome(head(64)), Ok(0));
    assert_eq!(outcome(head(65)), Err(HandshakeError::TooLarge { limit: 64 }));
    assert_eq!(outcome("x: ".repeat(30)), Err(HandshakeError::TooLarge { limit: 64 }));
    let interim = "HTTP/1.1 100 OK\r\n\r\n";
    assert_eq!(outcome(format!("{}{}", interim, head(45))), Ok(0));
    assert_eq!(outcome(format!("{}{}", interim, head(46))), Err(HandshakeError::TooLarge { limit: 64 }));
    for (length, expected) in [(8, Ok(8)), (9, Err(HandshakeError::TooLarge { limit: 8 }))] {
        let body = "x".repeat(length);
        assert_eq!(outcome(format!("HTTP/1.1 200 OK\r\n\r\n{body}")), expected);
        assert_eq!(outcome(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")), expected);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(outcome(format!("{chunked}{length}\r\n{body}\r\n0\r\n\r\n")), expected);
        assert_eq!(
            outcome(format!("{chunked}1\r\nx\r\n{}\r\n{}\r\n0\r\n\r\n", length - 1, &body[1..])),
            expected
        );
    }
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_eq!(outcome(huge.to_owned()), Err(HandshakeError::TooLarge { limit: 8 }));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(outcome(format!("{chunked}ffffffff\r\n")), Err(HandshakeError::TooLarge { limit: 8 }));
    let endless = format!("{chunked}1;{}", "x".repeat(5000));
    assert!(matches!(outcome(endless), Err(HandshakeError::TooLarge { .. })));
    let trailers = format!("{chunked}0\r\n{}", "A: b\r\n".repeat(2000));
    assert!(matches!(outcome(trailers), Err(HandshakeError::TooLarge { .. })));
}

#[test]
fn every_recorded_answer_to_a_handshake_is_understood() {
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for file in CLIENTS.into_iter().chain([PROBE]) {
        for record in records(file).iter().filter(|record| record.kind() == "http-response") {
            let response = parse(record.http().as_bytes()).unwrap();
            let outcome = match Handshake::from_response(&response) {
                Ok(handshake) => {
                    assert_eq!(handshake.sid.as_str().len(), 20);
                    assert_eq!(handshake.to_body().as_bytes(), response.body);
                    let timeouts = (handshake.heartbeat_timeout, handshake.close_timeout);
                    format!("granted {timeouts:?} {:?}", handshake.transports)
                }
                Err(error) => format!("{} {error:?}", response.status),
            };
            *table.entry(outcome).or_default() += 1;
        }
    }
    println!("{table:#?}");
    let counts: Vec<usize> = table.values().copied().collect();
    let outcomes: Vec<&str> = table.keys().map(String::as_str).collect();
    assert_eq!(
        outcomes,
        [
            "101 Switching Protocols Status(101)", // the websockets
            "200 OK Malformed(\"its session id is not a token of 1 to 256 characters\")", // ?jsonp=0
            "200 OK WrongProtocolVersion",         // /socket.io/
            "500 Internal Server Error WrongProtocolVersion", // /socket.io/2/
            "granted (Some(60s), Some(60s)) [\"websocket\", \"xhr-polling\"]",
        ]
    );
    assert_eq!(counts, [50, 1, 1, 1, 51]);
}
