//! Bodies under random input.

use bytes::Bytes;
use proptest::prelude::*;
use transport_longpoll::binary_xml::{Carried, Form, unwrap, wrap, wrap_as};
use transport_longpoll::broker::BrokerProperties;
use transport_longpoll::message::Message;

use crate::support::header_map;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,300}", "[a-z]{100,400}", "[\u{4E00}-\u{9FFF}]{1,200}", "\\{{0,5}[\"}]{0,5}"]
}

proptest! {
    #[test]
    fn what_is_wrapped_is_unwrapped_to_the_byte(text in text()) {
        let json = serde_json::json!({ "k": text }).to_string();
        let (unwrapped, _) = unwrap(&wrap(&json)).unwrap();
        prop_assert_eq!(unwrapped.as_str(), &json);
        for form in [Form::Utf8, Form::Utf16, Form::Base64] {
            let (unwrapped, carried) = unwrap(&wrap_as(&json, form)).unwrap();
            prop_assert_eq!((unwrapped.as_str(), carried), (&*json, Carried::Wrapped(form)));
        }
    }

    #[test]
    fn any_bytes_make_a_body_or_an_error(bytes in any::<Vec<u8>>()) {
        let _ = unwrap(&Bytes::from(bytes));
    }

    #[test]
    fn any_records_make_a_body_or_an_error(records in any::<Vec<u8>>(), kind in 0x90..0xC0_u8) {
        let mut body = wrap("").slice(..61).to_vec();
        body.push(kind);
        body.extend_from_slice(&records);
        let _ = unwrap(&body.into());
    }

    #[test]
    fn damage_around_the_text_leaves_the_whole_text_or_an_error(
        text in text(), at in 0..63_usize, byte: u8,
    ) {
        let json = serde_json::json!({ "k": text }).to_string();
        let mut body = wrap(&json).to_vec();
        body[at] = byte;
        if let Ok((unwrapped, _)) = unwrap(&body.into()) {
            prop_assert_eq!(unwrapped.as_str(), &json);
        }
    }

    #[test]
    fn any_answer_makes_a_message_and_any_message_an_event(
        kind in "[ -~]{0,30}", broker in "[ -~]{0,60}", body in any::<Vec<u8>>(),
    ) {
        let headers = header_map(&[("content-type", &kind), ("brokerproperties", &broker), ("date", &kind)]);
        let message = Message::read(headers, Bytes::from(body));
        let event = message.to_event().unwrap();
        prop_assert_eq!(event.extra("raw").is_some(), message.body.is_err());
        prop_assert!(!event.topic().as_str().contains(';'));
    }

    #[test]
    fn any_properties_are_read(number in any::<i64>(), text in ".{0,20}", key in "[A-Za-z]{1,20}") {
        let json = serde_json::json!({
            "SequenceNumber": number, "DeliveryCount": text, "MessageId": number, "LockedUntilUtc": text, key: text,
        });
        let broker = BrokerProperties::parse(json.to_string().as_bytes());
        prop_assert_eq!(broker.sequence_number, u64::try_from(number).ok());
        prop_assert_eq!(broker.message_id, None);
        prop_assert!(broker.other.contains_key("MessageId"));
    }
}
