//! The exchanges as tables: what goes out, and what becomes of every answer, in one piece and byte by byte.

use event_core::network::Proxy;
use event_core::{Error, ErrorKind};
use proptest::prelude::*;

use super::connect::Connect;
use super::refusal::Refusal;
use super::socks5::Socks5;
use super::{Exchange, Step, Target, agree};
use crate::dial::Endpoint;

const LOGGED_IN: &str = "http://jane:marked-4711@proxy:3128";

fn proxy(address: &str) -> Proxy {
    Proxy::parse(address).unwrap()
}

fn connect(address: &str, target: &Target<'_>) -> Connect {
    Connect::new(target, proxy(address).login())
}

fn socks(address: &str, target: &Target<'_>) -> Result<Socks5, Refusal> {
    Socks5::new(target, proxy(address).login())
}

fn host() -> Target<'static> {
    Target::Host("hub.example", 443)
}

fn error(refusal: Refusal, address: &str) -> Error {
    let error = refusal.into_error(&proxy(address), &Endpoint::new("hub.example", 443, true));
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("the proxy http://proxy:3128") && shown.contains("https://hub.example"),
        "{shown}"
    );
    assert!(!shown.contains("4711") && !shown.contains("jane"), "{shown}");
    error
}

/// Feeds a whole answer, and what is left of it is fed when the exchange asks for more.
fn fed(mut exchange: impl Exchange, answer: &[u8], piece: usize) -> Result<Step, Refusal> {
    let mut last = Step::More;
    for bytes in answer.chunks(piece) {
        last = exchange.feed(bytes)?;
        if last == Step::Done {
            break;
        }
    }
    Ok(last)
}

#[test]
fn a_request_to_connect_names_the_server_and_carries_the_credentials() {
    for (address, target, expected) in [
        ("http://proxy", host(), "CONNECT hub.example:443 HTTP/1.1\r\nHost: hub.example:443\r\n\r\n"),
        (
            LOGGED_IN,
            Target::Address("::1".parse().unwrap(), 80),
            "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\nProxy-Authorization: Basic amFuZTptYXJrZWQtNDcxMQ==\r\n\r\n",
        ),
    ] {
        assert_eq!(String::from_utf8(connect(address, &target).greeting()).unwrap(), expected);
    }
}

#[test]
fn every_answer_to_connect_means_something() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(17 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(65));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
    for (answer, kind, transient, says) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            ErrorKind::ProxyUnauthenticated,
            false,
            "user and password",
        ),
        ("HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n<html>", ErrorKind::PermissionDenied, false, "HTTP 403"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", ErrorKind::Refused, false, "CONNECT"),
        ("HTTP/1.1 405 Method Not Allowed\r\n\r\n", ErrorKind::Refused, false, "HTTP 405"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", ErrorKind::Refused, false, "HTTP 101"),
        ("HTTP/1.1 302 Found\r\nLocation: http://login\r\n\r\n", ErrorKind::Refused, false, "HTTP 302"),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\n", ErrorKind::Unreachable, true, "HTTP 429"),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", ErrorKind::Unreachable, true, "HTTP 502"),
        ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", ErrorKind::Unreachable, true, "HTTP 504"),
        ("SSH-2.0-OpenSSH_9.6\r\n", ErrorKind::Protocol, true, "not HTTP"),
        ("\x05\x00", ErrorKind::Protocol, true, "scheme and port"),
        ("HTTP/1.1 200 OK\r\n\r\n{}", ErrorKind::Protocol, true, "bytes follow"),
        (&huge, ErrorKind::Protocol, true, "no end"),
        (&many, ErrorKind::Protocol, true, "no end"),
        (&interim, ErrorKind::Protocol, true, "no end"),
    ] {
        // A tunnel that stands in the middle of the bytes is done; what follows then is not looked at.
        let pieces: &[usize] = if says == "bytes follow" { &[1024] } else { &[1, 7, 1024] };
        for &piece in pieces {
            let refusal = match fed(connect(LOGGED_IN, &host()), answer.as_bytes(), piece) {
                Err(refusal) => refusal,
                // The parser waits for the end of what is one too long.
                Ok(step) => panic!("{step:?} after {}", &answer[..answer.len().min(40)]),
            };
            let error = error(refusal, LOGGED_IN);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    for answer in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nVia: p\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 204 \r\n\r\n",
    ] {
        for piece in [1, 3, 1024] {
            assert_eq!(
                fed(connect(LOGGED_IN, &host()), answer.as_bytes(), piece).unwrap(),
                Step::Done,
                "{answer}"
            );
        }
    }
    let none = error(Refusal::Credentials, "http://proxy:3128");
    assert!(none.to_string().contains("it wants credentials"), "{none}");
}

#[test]
fn a_socks_exchange_goes_step_by_step() {
    let v4 = Target::Address("10.0.0.1".parse().unwrap(), 0x0102);
    let v6 = Target::Address("2001:db8::1".parse().unwrap(), 443);
    let v6_bytes: &[u8] = &[5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x01, 0xbb];
    for (target, request, bound) in [
        (host(), &b"\x05\x01\x00\x03\x0bhub.example\x01\xbb"[..], &[1, 0, 0, 0, 0, 0, 0][..]),
        (v4, &[5, 1, 0, 1, 10, 0, 0, 1, 1, 2], &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (v6, v6_bytes, &[3, 2, b'h', b'x', 0, 80]),
    ] {
        let mut exchange = socks("socks5://proxy", &target).unwrap();
        assert_eq!(exchange.greeting(), [5, 1, 0]);
        assert_eq!(exchange.feed(&[5]).unwrap(), Step::More);
        assert_eq!(exchange.feed(&[0]).unwrap(), Step::Send(request.to_vec()));
        let reply = [&[5, 0, 0], bound].concat();
        for byte in &reply[..reply.len() - 1] {
            assert_eq!(exchange.feed(&[*byte]).unwrap(), Step::More);
        }
        assert_eq!(exchange.feed(&reply[reply.len() - 1..]).unwrap(), Step::Done);
    }
    let mut exchange = socks("socks5h://u:pw@proxy", &host()).unwrap();
    assert_eq!(exchange.greeting(), [5, 2, 0, 2]);
    assert_eq!(exchange.feed(&[5, 2]).unwrap(), Step::Send(b"\x01\x01u\x02pw".to_vec()));
    assert!(matches!(exchange.feed(&[1, 0]).unwrap(), Step::Send(request) if request[1] == 1));
}

/// After the method was agreed on.
fn replied(bytes: &[u8]) -> Result<Step, Refusal> {
    let mut exchange = socks("socks5h://proxy", &host())?;
    exchange.feed(&[5, 0])?;
    exchange.feed(bytes)
}

#[test]
fn every_reply_of_socks_is_named() {
    for (code, kind, transient, says) in [
        (1, ErrorKind::Unreachable, true, "general failure"),
        (2, ErrorKind::PermissionDenied, false, "not allowed by its rules"),
        (3, ErrorKind::Unreachable, true, "network unreachable"),
        (4, ErrorKind::Unreachable, true, "host unreachable"),
        (5, ErrorKind::Unreachable, true, "connection refused"),
        (6, ErrorKind::Unreachable, true, "time to live expired"),
        (7, ErrorKind::Refused, false, "command not supported"),
        (8, ErrorKind::Refused, false, "kind of address not supported"),
        (99, ErrorKind::Refused, false, "code 99"),
    ] {
        // Some send the code and hang up.
        for reply in [&[5, code, 0, 1, 0, 0, 0, 0, 0, 0][..], &[5, code]] {
            let error = error(replied(reply).unwrap_err(), "http://proxy:3128");
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}

#[test]
fn what_is_not_socks_or_refuses_the_login_says_so() {
    let login = "socks5h://u:marked-4711@proxy";
    for (address, answers, kind) in [
        (login, &[&[5, 0xff][..]][..], ErrorKind::ProxyUnauthenticated),
        ("socks5h://proxy", &[&[5, 0xff]], ErrorKind::ProxyUnauthenticated),
        (login, &[&[5, 2], &[1, 1]], ErrorKind::ProxyUnauthenticated),
        (login, &[&[5, 2], &[5, 1]], ErrorKind::ProxyUnauthenticated),
        (login, &[&[5, 2], &[9, 0]], ErrorKind::Protocol),
        ("socks5h://proxy", &[&[5, 2]], ErrorKind::Protocol),
        (login, &[&[5, 1]], ErrorKind::Protocol),
        (login, &[b"HTTP/1.1 400 Bad Request\r\n"], ErrorKind::Protocol),
        (login, &[b"\x04"], ErrorKind::Protocol),
        (login, &[&[5, 0, 5]], ErrorKind::Protocol),
        (login, &[&[5, 0], &[5, 0, 0, 7]], ErrorKind::Protocol),
        (login, &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 22]], ErrorKind::Protocol),
    ] {
        let mut exchange = socks(address, &host()).unwrap();
        let refusal = answers.iter().find_map(|answer| exchange.feed(answer).err());
        let error = error(refusal.expect("a refusal"), LOGGED_IN);
        assert_eq!(error.kind(), kind, "{answers:?}: {error}");
    }
    let long = "x".repeat(256);
    assert!(matches!(socks("socks5h://proxy", &Target::Host(&long, 1)), Err(Refusal::LongName)));
}

#[tokio::test]
async fn a_proxy_that_hangs_up_in_the_middle_is_named() {
    for said in [&b""[..], b"HTTP/1.1 200 Conn"] {
        let (mut client, mut server) = tokio::io::duplex(1024);
        let serving = async {
            tokio::io::AsyncWriteExt::write_all(&mut server, said).await.unwrap();
            drop(server);
        };
        let mut exchange = connect(LOGGED_IN, &host());
        let (agreed, ()) = tokio::join!(agree(&mut client, &mut exchange), serving);
        let error = error(agreed.unwrap_err(), LOGGED_IN);
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unreachable, true), "{error}");
    }
}

proptest! {
    /// Whatever comes, in whatever pieces: an answer, and the same one.
    #[test]
    fn random_answers_are_judged_alike_however_they_are_cut(
        answer in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            "HTTP/1\\.1 [1-5][0-9]{2} [a-z]{0,8}\r\n([A-Z]: [a-z]{0,9}\r\n){0,4}\r\n".prop_map(String::into_bytes),
            proptest::collection::vec(0_u8..6, 0..32).prop_map(|bytes| [&[5, 0][..], &bytes].concat()),
        ],
        piece in 1_usize..9,
    ) {
        let same = |whole: Result<Step, Refusal>, cut: Result<Step, Refusal>| match (whole, cut) {
            (Ok(a), Ok(b)) => a == b,
            (Err(a), Err(b)) => std::mem::discriminant(&a) == std::mem::discriminant(&b),
            // Bytes behind the end are seen only if they come along with it.
            (Err(Refusal::Malformed(_)), Ok(_)) => true,
            _ => false,
        };
        let whole = fed(connect(LOGGED_IN, &host()), &answer, 1024);
        prop_assert!(same(whole, fed(connect(LOGGED_IN, &host()), &answer, piece)));
        // Total, and never done without a whole reply.
        let done = fed(socks("socks5h://proxy", &host()).unwrap(), &answer, piece);
        prop_assert!(!matches!(done, Ok(Step::Done)) || answer.len() >= 12 || answer.len() > 6 && answer[5] == 3);
    }
}
