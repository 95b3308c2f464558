//! The bodies under random bytes, random text, and files of the corpus with pieces cut out and put in.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::{body, cases, corpus};

/// What the formats are made of.
const TOKENS: &[&str] = &[
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "::",
    "+",
    "0",
    "1",
    "18446744073709551616",
    "-1e400",
    "null",
    "true",
    "\n",
    " ",
    "\u{e9}",
    "\\ud800",
    "*",
    "=",
    "!=",
    " and ",
    " or ",
    "not ",
    "(",
    ")",
    "'",
    "&se=",
    "%2e",
    "..",
    "/",
    "//",
    "?",
    "#",
    "@",
    "1::",
    "2::",
    "5:9+::",
    "6:::1",
    "0::",
    "\n>{}\n",
    "\nt9\n",
    "\nT\n",
    "\"topic\":",
    "\"data\":null,",
    "\u{feff}",
    "\0",
    "\r\n",
];

fn inputs(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, data)| data).collect();
    let others = seeds.clone();
    let piece = prop_oneof![
        3 => select(TOKENS).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (select(others), any::<Index>(), 0..24_usize).prop_map(|(other, at, length)| {
            let at = at.index(other.len() + 1);
            other[at..(at + length).min(other.len())].to_vec()
        }),
    ];
    let edit = (any::<Index>(), 0..6_usize, piece);
    let edited = (select(seeds), prop::collection::vec(edit, 0..5)).prop_map(|(mut data, edits)| {
        for (at, cut, piece) in edits {
            let at = at.index(data.len() + 1);
            let end = (at + cut).min(data.len());
            data.splice(at..end, piece);
        }
        data
    });
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => any::<String>().prop_map(String::into_bytes),
        1 => prop::collection::vec(select(TOKENS), 0..16).prop_map(|tokens| tokens.concat().into_bytes()),
        6 => edited,
    ]
}

macro_rules! properties {
    ($($name:ident: $target:literal;)*) => {
        proptest! {
            #![proptest_config(cases())]
            $(
                #[test]
                fn $name(data in inputs($target)) {
                    body($target)(&data);
                }
            )*
        }
    };
}

properties! {
    any_packet_keeps_its_meaning: "packet";
    any_session_keeps_its_account: "session";
    any_expression_round_trips: "expression";
    any_event_keeps_its_bytes: "event_json";
    any_body_is_unwrapped_to_the_byte: "binary_xml";
    any_signature_tells_only_its_end: "sas";
    any_message_makes_an_event_and_is_settled_at_home: "message";
    any_cloud_event_is_read_and_written_without_loss: "cloud_event";
}
