//! A guess at the packet that a hub sends nearly always: an event without id and endpoint whose name comes first and
//! whose argument is one object. It saves the pass over the argument that finds where it ends.

use std::ops::Range;

/// Where the argument of such an event of this name lies, if the text looks like one.
///
/// Nothing between the first and the last byte of the argument was looked at. If it is one JSON object and nothing
/// else, decoding the packet gives the same; if it is not, only [`decode`](super::Packet::decode) knows what it is.
pub(crate) fn sole_argument(text: &str, name: &str) -> Option<Range<usize>> {
    let rest = text.strip_prefix(r#"5:::{"name":""#)?.strip_prefix(name)?.strip_prefix(r#"","args":["#)?;
    let argument = rest.strip_suffix("]}")?;
    // A name that JSON would have to escape does not stand there as it is.
    let plain = !name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    let start = text.len() - rest.len();
    (plain && argument.starts_with('{') && argument.ends_with('}')).then(|| start..start + argument.len())
}

#[cfg(test)]
mod tests {
    use event_core::Event;
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Packet;

    /// What packets are made of, so that some of the texts are nearly right.
    const PIECES: [&str; 16] = [
        "5:::",
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
            let text = format!(r#"5:::{{"name":"n","args":[{}]}}"#, pieces.concat());
            for text in [text, pieces.concat()] {
                let Some(argument) = sole_argument(&text, "n").map(|range| text[range].to_owned()) else { continue };
                if Event::from_json(argument.clone()).is_err() {
                    continue;
                }
                let Ok(Packet::Event { id: None, endpoint: "", name, args }) = Packet::decode(&text) else {
                    panic!("no plain event: {text}");
                };
                prop_assert_eq!((&*name, args), ("n", vec![argument.as_str()]));
            }
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
            r#"5:1+::{"name":"n","args":[{}]}"#,
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
    fn two_arguments_look_like_one_that_is_no_object() {
        let text = r#"5:::{"name":"n","args":[{},{}]}"#;
        assert_eq!(sole_argument(text, "n").map(|range| &text[range]), Some("{},{}"));
    }
}
