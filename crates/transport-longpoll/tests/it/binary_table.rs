//! Bodies, form by form.

use bytes::Bytes;
use transport_longpoll::binary_xml::{BodyError, Carried, Form, unwrap, wrap, wrap_as};

const NAMESPACE: &str = "http://schemas.microsoft.com/2003/10/Serialization/";

/// A `string` element with these records.
fn element(records: &[&[u8]]) -> Bytes {
    let mut body = b"@\x06string\x08\x33".to_vec();
    body.extend_from_slice(NAMESPACE.as_bytes());
    for record in records {
        body.extend_from_slice(record);
    }
    body.into()
}

fn json(body: impl Into<Bytes>) -> Result<String, BodyError> {
    unwrap(&body.into()).map(|(json, _)| json.as_str().to_owned())
}

/// JSON of exactly so many bytes.
fn sized(length: usize) -> String {
    format!(r#"{{"k":"{}"}}"#, "x".repeat(length - 8))
}

#[test]
fn the_record_of_a_string_begins_at_offset_61() {
    let body = wrap("{}");
    assert_eq!(&body[..10], b"@\x06string\x08\x33");
    assert_eq!(&body[10..61], NAMESPACE.as_bytes());
    assert_eq!(&body[61..], b"\x99\x02{}");
}

#[test]
fn every_record_form_is_read_by_its_length() {
    let utf16: Vec<u8> = "{\"k\":\"ß\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &[u8], &str); 18] = [
        (&[0x98, 2], b"{}", "{}"),
        (&[0x99, 2], b"{}", "{}"),
        (&[0x9A, 2, 0], b"{}", "{}"),
        (&[0x9B, 2, 0], b"{}", "{}"),
        (&[0x9C, 2, 0, 0, 0], b"{}", "{}"),
        (&[0x9D, 2, 0, 0, 0], b"{}", "{}"),
        (&[0x9E, 2], b"{}", "{}"),
        (&[0x9F, 2], b"{}", "{}"),
        (&[0xA0, 2, 0], b"{}", "{}"),
        (&[0xA1, 2, 0], b"{}", "{}"),
        (&[0xA2, 2, 0, 0, 0], b"{}", "{}"),
        (&[0xA3, 2, 0, 0, 0], b"{}", "{}"),
        (&[0xB6, 18], &utf16, "{\"k\":\"ß\"}"),
        (&[0xB7, 18], &utf16, "{\"k\":\"ß\"}"),
        (&[0xB8, 18, 0], &utf16, "{\"k\":\"ß\"}"),
        (&[0xB9, 18, 0], &utf16, "{\"k\":\"ß\"}"),
        (&[0xBA, 18, 0, 0, 0], &utf16, "{\"k\":\"ß\"}"),
        (&[0xBB, 18, 0, 0, 0], &utf16, "{\"k\":\"ß\"}"),
    ];
    for (head, content, expected) in cases {
        assert_eq!(json(element(&[head, content])).as_deref(), Ok(expected), "{head:02X?}");
        // An even record needs an end of its own; what follows the end is not ours.
        assert_eq!(json(element(&[head, content, b"\x01}}"])).as_deref(), Ok(expected), "{head:02X?}");
    }
}

#[test]
fn a_text_may_come_in_several_records_even_with_a_character_split_between_them() {
    let split = element(&[b"\x98\x07{\"k\":\"\xC3", b"\x98\x01\x9F", b"\x99\x02\"}"]);
    assert_eq!(json(split).unwrap(), "{\"k\":\"ß\"}");
    let bytes = element(&[b"\x9E\x01{", b"\x9F\x01}"]);
    assert_eq!(json(bytes).unwrap(), "{}");
    assert_eq!(json(element(&[b"\x98\x01{", b"\x9F\x01}"])), Err(BodyError::UnknownRecord(0x9F)));
}

#[test]
fn a_length_byte_of_0x7b_is_no_brace() {
    // One byte 0x7B; the low byte; the high byte; both; the lowest of four.
    for length in [123, 0x017B, 0x7B00, 0x7B01, 0x7B7B, 0x0001_007B] {
        let text = sized(length);
        let body = wrap(&text);
        assert!(body[61..66].contains(&0x7B), "{length}");
        assert_eq!(json(body).as_deref(), Ok(&*text), "{length}");
        assert_eq!(json(wrap_as(&text, Form::Base64)).as_deref(), Ok(&*text), "{length}");
    }
    // Every length up to the second byte's turn.
    for length in 8..600 {
        assert_eq!(json(wrap(&sized(length))).as_deref(), Ok(&*sized(length)));
    }
}

#[test]
fn dotnet_chooses_utf_16_when_utf_8_is_longer() {
    let chinese = format!("{{\"k\":\"{}\"}}", "模型".repeat(40));
    let body = wrap(&chinese);
    assert_eq!(body[61], 0xB7);
    let (text, carried) = unwrap(&body).unwrap();
    assert_eq!((text.as_str(), carried), (&*chinese, Carried::Wrapped(Form::Utf16)));
    assert_eq!(wrap("{\"k\":\"Größe\"}")[61], 0x99);
}

#[test]
fn plain_json_is_accepted_with_a_byte_order_mark_and_blanks() {
    for (body, expected) in [
        ("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"),
        ("\u{FEFF}{}", "{}"),
        ("\u{FEFF} \r\n\t{} \n", "{}"),
        ("[1]", "[1]"),
        ("null", "null"),
    ] {
        let (text, carried) = unwrap(&Bytes::copy_from_slice(body.as_bytes())).unwrap();
        assert_eq!((text.as_str(), carried), (expected, Carried::Plain));
    }
    let bom: &[u8] = b"\x99\x05\xEF\xBB\xBF{}";
    assert_eq!(json(element(&[bom])).as_deref(), Ok("{}"));
}

#[test]
fn the_last_resort_looks_for_braces_and_tries_each() {
    for (body, expected) in [
        (&b"undefined{\"a\":1}"[..], "{\"a\":1}"),
        (b"@\x05thing\x99{{\"a\":{\"b\":2}}", "{\"a\":{\"b\":2}}"),
        (b"{{\"a\":1}\x01", "{\"a\":1}"),
        (b"\x00{ {\xFF{}}", "{}"),
    ] {
        let result = unwrap(&Bytes::from_static(body));
        let result = result.map(|(json, carried)| (json.as_str().to_owned(), carried));
        if expected == "{}" {
            // The last brace belongs to something else: no candidate reaches it.
            assert!(result.is_err(), "{result:?}");
        } else {
            assert_eq!(result, Ok((expected.to_owned(), Carried::Surrounded)));
        }
    }
}

#[test]
fn a_message_that_was_cut_is_never_taken_for_an_object_inside_it() {
    let whole = r#"{"a":{"b":1},"c":{"d":{}},"e":2}"#;
    let wrapped = wrap(whole);
    for cut in 0..wrapped.len() {
        let error = unwrap(&wrapped.slice(..cut)).unwrap_err();
        let expected = if cut == 0 { BodyError::Empty } else { BodyError::Truncated };
        // A lone "@" could be anything.
        assert!(error == expected || cut == 1, "{cut}: {error:?}");
    }
    for cut in 1..whole.len() {
        assert_eq!(json(whole[..cut].to_owned()), Err(BodyError::NotJson), "{cut}");
    }
    let surrounded = format!("undefined{whole}");
    for cut in 1..surrounded.len() {
        assert!(json(surrounded[..cut].to_owned()).is_err(), "{cut}");
    }
}

#[test]
fn what_is_no_json_says_why() {
    for (body, expected) in [
        (Bytes::new(), BodyError::Empty),
        (" \r\n".into(), BodyError::Empty),
        ("\u{FEFF}".into(), BodyError::Empty),
        (element(&[b"\xA9"]), BodyError::Empty),
        (element(&[b"\x99\x00"]), BodyError::Empty),
        (element(&[]), BodyError::Truncated),
        (element(&[b"\x99"]), BodyError::Truncated),
        (element(&[b"\x9B\x02"]), BodyError::Truncated),
        (element(&[b"\x99\x7B{\"a\":1}"]), BodyError::Truncated),
        (element(&[b"\x9D\xFF\xFF\xFF\x7F{}"]), BodyError::Truncated),
        (element(&[b"\x9D\xFF\xFF\xFF\x80{}"]), BodyError::BadLength),
        (element(&[b"\xB7\x03{\0}"]), BodyError::BadLength),
        (element(&[b"\xB7\x02\x00\xD8"]), BodyError::BadText),
        (element(&[b"\x99\x02\xC3\x28"]), BodyError::BadText),
        (element(&[b"\x86\x02{}"]), BodyError::UnknownRecord(0x86)),
        (element(&[b"\x01"]), BodyError::UnknownRecord(0x01)),
        (element(&[b"\x99\x01{"]), BodyError::NotJson),
        ("hello".into(), BodyError::NotJson),
        (Bytes::from_static(b"\xFF\xFE"), BodyError::BadText),
    ] {
        assert_eq!(json(body.clone()), Err(expected), "{body:?}");
    }
}

#[test]
fn an_unwrapped_text_shares_the_memory_of_its_body() {
    let body = wrap("{\"a\":1}");
    let (text, _) = unwrap(&body).unwrap();
    assert_eq!(text.as_bytes().as_ptr(), body[63..].as_ptr());
}
