//! The codec, form by form.

use std::borrow::Cow;

use transport_ws::packet::{
    Advice, DecodeError, DecodeErrorKind as Kind, MAX_ARGS, Packet, PacketId, Reason,
};

fn event<'a>(id: Option<PacketId>, endpoint: &'a str, name: &'a str, args: &[&'a str]) -> Packet<'a> {
    Packet::Event { id, endpoint, name: Cow::Borrowed(name), args: args.to_vec() }
}

fn error(reason: Option<Reason>, advice: Option<Advice>) -> Packet<'static> {
    Packet::Error { endpoint: "", reason, advice }
}

fn message<'a>(id: Option<PacketId>, endpoint: &'a str, data: &'a str) -> Packet<'a> {
    Packet::Message { id, endpoint, data }
}

#[test]
fn canonical_forms_read_and_write_as_the_old_parser_does() {
    let plain = |number| Some(PacketId::plain(number));
    let data = |number| Some(PacketId::with_data(number));
    let table = [
        ("0::", Packet::Disconnect { endpoint: "" }),
        ("0::/woot", Packet::Disconnect { endpoint: "/woot" }),
        ("1::", Packet::Connect { endpoint: "", query: "" }),
        ("1::/tobi", Packet::Connect { endpoint: "/tobi", query: "" }),
        ("1::/test:?test=1", Packet::Connect { endpoint: "/test", query: "?test=1" }),
        ("2::", Packet::Heartbeat),
        ("3::", message(None, "", "")),
        ("3:::woot", message(None, "", "woot")),
        ("3:::a:b\nc", message(None, "", "a:b\nc")),
        ("3:5:/tobi", message(plain(5), "/tobi", "")),
        ("3:7+::hi", message(data(7), "", "hi")),
        ("4:::\"2\"", Packet::Json { id: None, endpoint: "", data: "\"2\"" }),
        ("4:1+::{\"a\":\"b\"}", Packet::Json { id: data(1), endpoint: "", data: "{\"a\":\"b\"}" }),
        ("5:::{\"name\":\"woot\",\"args\":[]}", event(None, "", "woot", &[])),
        ("5:1::{\"name\":\"a\",\"args\":[1]}", event(plain(1), "", "a", &["1"])),
        ("5:1+:/x:{\"name\":\"a\",\"args\":[1,{\"b\": 2}]}", event(data(1), "/x", "a", &["1", "{\"b\": 2}"])),
        (
            "5:18446744073709551615+::{\"name\":\"tobi\",\"args\":[\"é😀\"]}",
            event(data(u64::MAX), "", "tobi", &["\"é😀\""]),
        ),
        ("5:::{\"name\":\"\\\"\\n\\u0001\\u001f\",\"args\":[0]}", event(None, "", "\"\n\u{1}\u{1f}", &["0"])),
        ("6:::140", Packet::ack(140, vec![])),
        ("6:::12+[\"woot\",\"wa\"]", Packet::ack(12, vec!["\"woot\"", "\"wa\""])),
        ("6::/x:0", Packet::Ack { endpoint: "/x", id: 0, args: vec![] }),
        ("7::", error(None, None)),
        ("7:::0", error(Some(Reason::TransportNotSupported), None)),
        ("7:::1+0", error(Some(Reason::ClientNotHandshaken), Some(Advice::Reconnect))),
        ("7:::2+0", error(Some(Reason::Unauthorized), Some(Advice::Reconnect))),
        ("7:::+0", error(None, Some(Advice::Reconnect))),
        ("7:::3+1", error(Some(Reason::Other(3)), Some(Advice::Other(1)))),
        ("7::/woot", Packet::Error { endpoint: "/woot", reason: None, advice: None }),
        ("8::", Packet::Noop),
    ];
    for (text, packet) in table {
        assert_eq!(Packet::decode(text).as_ref(), Ok(&packet), "{text}");
        assert_eq!(packet.encode(), text);
    }
}

#[test]
fn other_forms_are_accepted_as_documented() {
    let table = [
        ("2:::", "2::"),
        ("2:5+:/x:anything", "2::"),
        ("0:::data", "0::"),
        ("8:::data", "8::"),
        ("3:::", "3::"),
        ("5::{\"name\":\"a\",\"args\":[\":\"]}", "5:::{\"name\":\"a\",\"args\":[\":\"]}"),
        ("5:3+::{\"name\":\"a\"}", "5:3+::{\"name\":\"a\",\"args\":[]}"),
        ("5:+::{\"name\":\"a\"}", "5:::{\"name\":\"a\",\"args\":[]}"),
        ("5:007::{\"name\":\"a\"}", "5:7::{\"name\":\"a\",\"args\":[]}"),
        ("5:::{\"name\":\"a\",\"args\":null}", "5:::{\"name\":\"a\",\"args\":[]}"),
        (
            "5:::{\"x\":{\"args\":[9]},\"args\":[1],\"name\":1,\"args\":[ 2 ],\"name\":\"a\"}",
            "5:::{\"name\":\"a\",\"args\":[2]}",
        ),
        (
            "5::: { \"n\\u0061me\" : \"\\u00e9\" , \"args\" : [ 1 , 2 ] } ",
            "5:::{\"name\":\"é\",\"args\":[1,2]}",
        ),
        // JavaScript writes half a surrogate pair as an escape; an argument keeps it, unread.
        ("5:::{\"name\":\"a\",\"args\":[\"\\ud83d\"]}", "5:::{\"name\":\"a\",\"args\":[\"\\ud83d\"]}"),
        ("4::: {} ", "4:::{}"),
        ("6:::5+", "6:::5"),
        ("6:::5+null", "6:::5"),
        ("6:::5+[]", "6:::5"),
        ("6:::5[1]", "6:::5+[1]"),
        ("6:::5+ [ 1 ,2 ]", "6:::5+[1,2]"),
        ("7:::", "7::"),
        ("7:::text+more", "7::"),
        ("7:::99999999999+0", "7:::+0"),
        ("7:::1+0+2", "7:::1+0"),
    ];
    for (text, canonical) in table {
        assert_eq!(Packet::decode(text).unwrap().encode(), canonical, "{text}");
    }
}

#[test]
fn what_is_no_packet_says_what_was_expected_and_where() {
    let table = [
        ("", Kind::Empty, 0),
        ("hello", Kind::UnknownType, 0),
        ("9::", Kind::UnknownType, 0),
        ("-1::", Kind::UnknownType, 0),
        ("55::", Kind::UnknownType, 0),
        (":::", Kind::UnknownType, 0),
        ("é::", Kind::UnknownType, 0),
        ("\u{fffd}3\u{fffd}2::", Kind::UnknownType, 0),
        ("0", Kind::MissingSeparator, 1),
        ("5:", Kind::MissingSeparator, 2),
        ("5:12", Kind::MissingSeparator, 4),
        ("5:12+", Kind::MissingSeparator, 5),
        ("5:x::{}", Kind::BadId, 2),
        ("5:1 ::{}", Kind::BadId, 3),
        ("5:-1::{}", Kind::BadId, 2),
        ("5:1++::{}", Kind::BadId, 4),
        ("5:18446744073709551616::{}", Kind::BadId, 2),
        ("5:١::{}", Kind::BadId, 2),
        ("5::", Kind::BadJson, 3),
        ("5:::", Kind::BadJson, 4),
        ("5:1+::{bad json", Kind::BadJson, 8),
        ("5:::{\"name\":\"a\",\"args\":[}", Kind::BadJson, 25),
        ("5:::{\"name\":\"a\",\n\"args\":[\n,1]}", Kind::BadJson, 27),
        ("5:::{\"name\":\"a\"} x", Kind::BadJson, 18),
        ("5:::{\"name\":\"a\",\"args\":[\"\u{1}\"]}", Kind::BadJson, 25),
        ("5:::[]", Kind::NotAnObject, 4),
        ("5:::null", Kind::NotAnObject, 4),
        ("5:::\"x\"", Kind::NotAnObject, 4),
        ("5:::{}", Kind::BadName, 4),
        ("5:::{\"args\":[]}", Kind::BadName, 4),
        ("5:::{\"name\":7}", Kind::BadName, 4),
        ("5:::{\"name\":null}", Kind::BadName, 4),
        ("5:::{\"name\":\"\\ud83d\"}", Kind::BadName, 4),
        ("5:::{\"name\":\"a\",\"args\":{}}", Kind::ArgsNotArray, 4),
        ("5:::{\"name\":\"a\",\"args\":{\"b\":[1]}}", Kind::ArgsNotArray, 4),
        ("5:::{\"name\":\"a\",\"args\":\"x\"}", Kind::ArgsNotArray, 4),
        ("5:::{\"name\":\"a\",\"args\":false}", Kind::ArgsNotArray, 4),
        ("5:::{\"name\":\"a\",\"args\":-1}", Kind::ArgsNotArray, 4),
        ("5:::{\"name\":\"a\",\"args\":1}", Kind::ArgsNotArray, 4),
        ("5:::{\"name\":\"a\",\"args\":1.5}", Kind::ArgsNotArray, 4),
        ("4:::", Kind::BadJson, 4),
        ("4:::{", Kind::BadJson, 5),
        ("6::", Kind::BadAckId, 3),
        ("6:::", Kind::BadAckId, 4),
        ("6:1::", Kind::BadAckId, 5),
        ("6:::+[1]", Kind::BadAckId, 4),
        ("6:::x", Kind::BadAckId, 4),
        ("6:::18446744073709551616", Kind::BadAckId, 4),
        ("6:::1+[", Kind::BadJson, 7),
        ("6:::1+[] x", Kind::BadJson, 10),
        ("6:::1 x", Kind::BadJson, 7),
        ("6:::1+{}", Kind::ArgsNotArray, 6),
        ("6:::1+1", Kind::ArgsNotArray, 6),
    ];
    for (text, kind, position) in table {
        let error = Packet::decode(text).unwrap_err();
        assert_eq!((error.kind(), error.position()), (kind, position), "{text}");
    }
}

#[test]
fn errors_and_debug_output_show_no_payload() {
    let secret = "hunter2";
    let texts = [
        format!("5:::{{\"name\":\"a\",\"args\":[{secret}]}}"),
        format!("5:::{{\"name\":{{\"{secret}\":1}}}}"),
        format!("6:::{secret}"),
        format!("5:{secret}::"),
        format!("{secret}::"),
        format!("4:::{secret}"),
    ];
    for text in &texts {
        let error: DecodeError = Packet::decode(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
    let texts = [
        format!("5:::{{\"name\":\"a\",\"args\":[\"{secret}\"]}}"),
        format!("6:::1+[\"{secret}\"]"),
        format!("3:::{secret}"),
        format!("4:::\"{secret}\""),
        format!("1::/x:?key={secret}"),
    ];
    for text in &texts {
        assert!(!format!("{:?}", Packet::decode(text).unwrap()).contains(secret), "{text}");
    }
    assert_eq!(
        Packet::decode("5:1::").unwrap_err().to_string(),
        "malformed Socket.IO packet: expected valid JSON at byte 5"
    );
}

#[test]
fn a_large_event_is_sliced_and_not_copied() {
    let argument = format!("{{\"s\":\"{}\"}}", "x".repeat(1024 * 1024));
    let text = format!("5:1+::{{\"name\":\"ftrack.event\",\"args\":[{argument}]}}");
    let Packet::Event { name: Cow::Borrowed(name), args, .. } = Packet::decode(&text).unwrap() else {
        panic!("not an event with a borrowed name");
    };
    assert_eq!(args, [argument.as_str()]);
    for part in [name, args[0]] {
        assert!(text.as_bytes().as_ptr_range().contains(&part.as_ptr()));
    }
}

#[test]
fn arguments_are_bounded_and_nesting_is_not_a_stack_overflow() {
    let args = |count: usize| format!("5:::{{\"name\":\"a\",\"args\":[{}]}}", vec!["0"; count].join(","));
    assert!(Packet::decode(&args(MAX_ARGS)).is_ok());
    assert_eq!(Packet::decode(&args(MAX_ARGS + 1)).unwrap_err().kind(), Kind::TooManyArgs);
    let acks = |count: usize| format!("6:::1+[{}]", vec!["0"; count].join(","));
    assert!(Packet::decode(&acks(MAX_ARGS)).is_ok());
    assert_eq!(Packet::decode(&acks(MAX_ARGS + 1)).unwrap_err().kind(), Kind::TooManyArgs);

    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for key in ["args", "name", "other"] {
        let text = format!("5:::{{\"name\":\"a\",\"{key}\":{deep}}}");
        let outcome = Packet::decode(&text).map_err(|error| error.kind());
        assert_eq!(outcome.is_err(), key == "name", "{key}: {outcome:?}");
    }
    assert!(Packet::decode(&format!("4:::{deep}")).is_ok());
    assert!(Packet::decode(&format!("6:::1+{deep}")).is_ok());
}
