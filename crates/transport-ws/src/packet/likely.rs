//! Guesses at the packets that nearly all are. An event without endpoint whose name comes first and whose argument is
//! one object: that saves the pass over the argument that finds where it ends. An ack that says what the last one said.

use std::ops::Range;

use super::PacketId;

/// What a text looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LikelyEvent {
    /// The packet's id. Clients ask for acknowledgements with one; what a hub sends has none.
    pub id: Option<PacketId>,
    /// Where in the text the argument lies.
    pub argument: Range<usize>,
}

impl LikelyEvent {
    /// The event of this name that the text looks like, if it does.
    ///
    /// Nothing between the first and the last byte of the argument was looked at. If it is one JSON object and nothing
    /// else, decoding the packet gives the same; if it is not, only [`decode`](super::Packet::decode) knows what it is.
    pub fn of(text: &str, name: &str) -> Option<Self> {
        let rest = text.strip_prefix("5:")?;
        // An id is short, and usually there is none.
        let (id, rest) = rest.split_at_checked(rest.bytes().position(|byte| byte == b':')?)?;
        let rest = rest.strip_prefix("::")?;
        let id = if id.is_empty() { None } else { Some(packet_id(id)?) };
        let rest = rest.strip_prefix(r#"{"name":""#)?.strip_prefix(name)?.strip_prefix(r#"","args":["#)?;
        let argument = rest.strip_suffix("]}")?;
        // A name that JSON would have to escape does not stand there as it is.
        let plain = !name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let start = text.len() - rest.len();
        let likely = plain && argument.starts_with('{') && argument.ends_with('}');
        likely.then(|| Self { id, argument: start..start + argument.len() })
    }
}

/// What a text looks like that acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LikelyAck<'a> {
    /// What is acknowledged.
    pub(crate) id: u64,
    /// Whatever stands behind the number.
    pub(crate) words: &'a str,
}

impl<'a> LikelyAck<'a> {
    /// The ack that the text looks like, if it does.
    ///
    /// The words were not looked at. What [`decode`](super::Packet::decode) makes of them depends on nothing but
    /// themselves, so they mean what the same words meant behind another number.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("6:::")?;
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, words) = rest.split_at_checked(length)?;
        Some(Self { id: digits.parse().ok()?, words })
    }
}

fn packet_id(text: &str) -> Option<PacketId> {
    let digits = text.strip_suffix('+').unwrap_or(text);
    // As they are always written; other forms are for decoding.
    let usual =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = digits.parse().ok().filter(|_| usual)?;
    Some(PacketId { number, wants_data: digits.len() < text.len() })
}

#[cfg(test)]
mod tests {
    use event_core::Event;
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Packet;

    fn sole_argument(text: &str, name: &str) -> Option<Range<usize>> {
        LikelyEvent::of(text, name).map(|likely| likely.argument)
    }

    /// What packets are made of, so that some of the texts are nearly right.
    const PIECES: [&str; 21] = [
        "5:::",
        "5:",
        "::",
        "12",
        "+",
        "0",
        r#"{"name":"n","args":["#,
        r#"5:::{"name":"n","args":["#,
        r#"{"topic":"t"}"#,
        r#"{"topic":"t","data":{"a":[1,"]}"]}}"#,
        r#"],"args":["#,
        "]}",
        "]",
        "}",
        "{",
        ",",
        " ",
        r"\",
        r#"""#,
        "1",
        "\u{e9}",
    ];

    proptest! {
        #[test]
        fn a_guess_that_reads_as_an_event_is_what_decoding_gives(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..6)
        ) {
            let plain = format!(r#"5:::{{"name":"n","args":[{}]}}"#, pieces.concat());
            let with_id = format!(r#"5:{}::{{"name":"n","args":[{{"topic":"t"}}]}}"#, pieces.concat());
            for text in [plain, with_id, pieces.concat()] {
                let Some(likely) = LikelyEvent::of(&text, "n") else { continue };
                let argument = text[likely.argument].to_owned();
                if Event::from_json(argument.clone()).is_err() {
                    continue;
                }
                let Ok(Packet::Event { id, endpoint: "", name, args }) = Packet::decode(&text) else {
                    panic!("no plain event: {text}");
                };
                prop_assert_eq!((id, &*name, args), (likely.id, "n", vec![argument.as_str()]));
            }
        }
    }

    /// What acks are made of.
    const WORDS: [&str; 14] = [
        "+",
        "[",
        "]",
        "null",
        r#"{"success":true}"#,
        r#"{"success":false}"#,
        ",",
        "1",
        "0",
        "-",
        " ",
        "\"",
        ":",
        "e",
    ];

    proptest! {
        #[test]
        fn the_words_of_an_ack_mean_the_same_behind_every_number(
            pieces in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..6),
            digits in "[0-9]{0,21}",
        ) {
            let text = format!("6:::{digits}{}", pieces.concat());
            let Some(LikelyAck { id, words }) = LikelyAck::of(&text) else { return Ok(()) };
            prop_assert!(!words.starts_with(|first: char| first.is_ascii_digit()));
            let another = format!("6:::7{words}");
            match (Packet::decode(&text), Packet::decode(&another)) {
                (Ok(Packet::Ack { endpoint, id: decoded, args }), Ok(Packet::Ack { args: others, .. })) => {
                    prop_assert_eq!((endpoint, decoded), ("", id));
                    prop_assert_eq!(args, others);
                }
                (Err(one), Err(other)) => prop_assert_eq!(one.kind(), other.kind()),
                differ => panic!("{text} {another}: {differ:?}"),
            }
        }
    }

    #[test]
    fn the_number_of_an_ack_is_found_where_decoding_finds_it() {
        for (text, expected) in [
            ("6:::1", Some((1, ""))),
            ("6:::007+", Some((7, "+"))),
            ("6:::18446744073709551615+[1]", Some((u64::MAX, "+[1]"))),
            ("6:::18446744073709551616", None),
            ("6:::+[1]", None),
            ("6:::", None),
            ("6::/e:1", None),
            ("5:::1", None),
        ] {
            assert_eq!(LikelyAck::of(text).map(|ack| (ack.id, ack.words)), expected, "{text}");
        }
    }

    #[test]
    fn the_argument_of_a_plain_event_is_found_where_decoding_finds_it() {
        let text = r#"5:::{"name":"n","args":[{"a":[{"b":"]}"}]}]}"#;
        let Ok(Packet::Event { args, .. }) = Packet::decode(text) else { panic!("no event") };
        assert_eq!(sole_argument(text, "n").map(|range| &text[range]), Some(args[0]));
    }

    #[test]
    fn whatever_else_there_is_is_left_to_decoding() {
        for text in [
            r#"5:+::{"name":"n","args":[{}]}"#,
            r#"5:-1::{"name":"n","args":[{}]}"#,
            r#"5:99999999999999999999::{"name":"n","args":[{}]}"#,
            r#"5:1+:/e:{"name":"n","args":[{}]}"#,
            r#"5::{"name":"n","args":[{}]}"#,
            r#"5:::{"name":"other","args":[{}]}"#,
            r#"5:::{"args":[{}],"name":"n"}"#,
            r#"5:::{"name":"n","args":[]}"#,
            r#"5:::{"name":"n","args":[1]}"#,
            r#"5:::{"name":"n","args":[ {}]}"#,
            r#"5:::{"name":"n","args":[{}]} "#,
            r#"5:::{"name":"n","args":[}]}"#,
            r#"5:::{"name":"n","args":[{]}"#,
            "2::",
        ] {
            assert_eq!(sole_argument(text, "n"), None, "{text}");
        }
        let sly = r#"n","args":[0],"x":""#;
        assert_eq!(sole_argument(&format!(r#"5:::{{"name":"{sly}","args":[{{}}]}}"#), sly), None);
    }

    #[test]
    fn the_id_is_found_where_decoding_finds_it() {
        for (id, expected) in [
            ("", None),
            ("7", Some(PacketId::plain(7))),
            ("0+", Some(PacketId::with_data(0))),
            ("18446744073709551615+", Some(PacketId::with_data(u64::MAX))),
        ] {
            let text = format!(r#"5:{id}::{{"name":"n","args":[{{}}]}}"#);
            assert_eq!(LikelyEvent::of(&text, "n").map(|likely| likely.id), Some(expected), "{text}");
            let Ok(Packet::Event { id, .. }) = Packet::decode(&text) else { panic!("no event: {text}") };
            assert_eq!(id, expected);
        }
    }

    #[test]
    fn two_arguments_look_like_one_that_is_no_object() {
        let text = r#"5:::{"name":"n","args":[{},{}]}"#;
        assert_eq!(sole_argument(text, "n").map(|range| &text[range]), Some("{},{}"));
    }
}
