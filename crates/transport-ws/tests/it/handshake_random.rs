//! The response parser under random bytes, random framing and random cuts.

use proptest::prelude::*;
use proptest::sample::Index;
use transport_ws::handshake::{Handshake, HandshakeError, Limits, Response, ResponseParser, SessionId};

use crate::support::cases;

type Outcome = Result<Response, HandshakeError>;

/// Feeds the pieces between the cuts, then ends the connection.
fn parse(wire: &[u8], cuts: &[Index]) -> Outcome {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    places.sort_unstable();
    places.push(wire.len());
    let mut parser = ResponseParser::with_limits(Limits::default().head(256).body(64));
    let mut from = 0;
    for to in places {
        if let Some(response) = parser.feed(&wire[from..to])? {
            return Ok(response);
        }
        from = to;
    }
    parser.finish()
}

/// However the bytes are cut, the response is the same. (Which limit or rule an error names may differ.)
fn check(wire: &[u8], cuts: &[Index]) -> Result<Outcome, TestCaseError> {
    let whole = parse(wire, &[]);
    let cut = parse(wire, cuts);
    prop_assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
    if let Ok(response) = &whole {
        prop_assert!(response.body.len() <= 64);
        if let Ok(handshake) = Handshake::from_response(response) {
            prop_assert!(Handshake::parse(&handshake.to_body()).as_ref() == Ok(&handshake));
        }
    }
    Ok(whole)
}

/// A response with this body, in one of the framings.
fn response() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let bodies = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        "[a-zA-Z0-9_-]{1,20}:[0-9]{0,3}:[0-9]{0,3}:(websocket)?(,xhr-polling)?".prop_map(String::into_bytes),
    ];
    let chunks = proptest::collection::vec(any::<Index>(), 0..4);
    let head = "(A: [ -~]{0,10}\r\n){0,2}";
    (bodies, 0..3_u8, chunks, head, "(;[a-z]{0,3})?").prop_map(|(body, framing, cuts, headers, extension)| {
        let mut wire = format!("HTTP/1.1 200 OK\r\n{headers}").into_bytes();
        match framing {
            0 => {
                wire.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                wire.extend(&body);
            }
            1 => {
                wire.extend(b"\r\n");
                wire.extend(&body);
            }
            _ => {
                wire.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
                places.extend([0, body.len()]);
                places.sort_unstable();
                places.dedup();
                for pair in places.windows(2) {
                    wire.extend(format!("{:x}{extension}\r\n", pair[1] - pair[0]).bytes());
                    wire.extend(&body[pair[0]..pair[1]]);
                    wire.extend(b"\r\n");
                }
                wire.extend(b"0\r\n\r\n");
            }
        }
        (wire, body)
    })
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn any_bytes_are_a_response_or_an_error(
        wire in proptest::collection::vec(any::<u8>(), 0..64),
        cuts in proptest::collection::vec(any::<Index>(), 0..4),
    ) {
        let _ = check(&wire, &cuts)?;
    }

    #[test]
    fn any_framing_and_any_cut_give_the_body(
        (wire, body) in response(),
        cuts in proptest::collection::vec(any::<Index>(), 0..6),
    ) {
        prop_assert_eq!(check(&wire, &cuts)?.unwrap().body, body);
    }

    #[test]
    fn any_damaged_response_is_a_response_or_an_error(
        (wire, _) in response(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cuts in proptest::collection::vec(any::<Index>(), 0..4),
    ) {
        let mut wire = wire;
        for (place, byte) in edits {
            let at = place.index(wire.len());
            if byte < 40 { wire.remove(at); } else { wire[at] = byte; }
            if wire.is_empty() { break; }
        }
        let _ = check(&wire, &cuts)?;
    }

    #[test]
    fn any_text_is_a_handshake_or_an_error(body in "[a-z./\\u{e9}]{0,4}:[0-9.]{0,4}:[0-9e-]{0,3}:.{0,8}") {
        if let Ok(handshake) = Handshake::parse(&body) {
            prop_assert!(SessionId::new(handshake.sid.as_str()).is_ok());
            prop_assert!(!handshake.sid.as_str().contains(['/', '?', '#', '%', ' ', ':']));
        }
    }
}
