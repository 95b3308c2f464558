//! The quick look against `serde_json`: it may know less, it may not know better.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{MAX_MEMBERS, Members, parse};
use crate::event::scan::{self, Found};
use crate::expression::{Scalar, Subject};

fn quick(text: &str) -> Option<Members<'_>> {
    let mut members = Members::new();
    scan::members(text, MAX_MEMBERS, |key, value| members.push((Cow::Borrowed(key), value)))?;
    Some(members)
}

fn read(text: &str) -> Option<Vec<(String, &str)>> {
    super::read(text, Vec::new, |members, key, value| members.push((key.to_owned(), value))).ok()
}

fn owned(members: Members<'_>) -> Vec<(String, &str)> {
    members.into_iter().map(|(key, value)| (key.into_owned(), value)).collect()
}

/// Texts that the quick look must read by itself: it would be of no use if it left these to the other.
#[test]
fn what_events_look_like_is_read_at_once() {
    let update = include_str!("../../tests/data/ftrack-payload-update.json");
    let texts = [
        "{}",
        " { } ",
        r#"{"topic":"ftrack.update"}"#,
        r#"  { "topic" : "a" , "data" : {  } , "b" : [ 1 , 2 ] }  "#,
        "\r\n{\t\"topic\" : \"a\" ,\n\"data\" : { } }\n",
        r#"{"a":[1,-2.5e+3,0,0.0,-0,1E9,true,false,null,"",[],{}],"b":{"c":{"d":["\u00e9\n\"\\\/\b\f\r\t"]}}}"#,
        r#"{"é":"ünïcödé ✓ 𝄞","eight bytes or more than that":"12345678"}"#,
        r#"{"lone":"\ud800"}"#,
        update,
    ];
    for text in texts {
        let members = quick(text);
        assert!(members.is_some(), "{text}");
        assert_eq!(members, parse(text).ok(), "{text}");
    }
}

#[test]
fn what_is_not_one_object_is_left_to_the_parser_which_refuses_it() {
    let texts = [
        "",
        " ",
        "{",
        "}",
        "[]",
        "null",
        "\"a\"",
        "{}x",
        "{} {}",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        "{a:1}",
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":1e+}"#,
        r#"{"a":+1}"#,
        r#"{"a":tru}"#,
        r#"{"a":truee}"#,
        r#"{"a":nul}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,1]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":[1}}"#,
        r#"{"a":{"b":1]}"#,
        r#"{"a":{"b":1,}}"#,
        r#"{"a":{1:2}}"#,
        r#"{"a":{"b"}}"#,
        r#"{"a":"b}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\u12"#,
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"12345678\u{1f}\"}",
        "{\"a\u{0}\":1}",
        "{\"a\":\"\n\"}",
        r#"{"a":]}"#,
        r#"{"a":[}}"#,
        r#"{"a":}}"#,
    ];
    for text in texts {
        assert_eq!(quick(text), None, "{text}");
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_rare_is_left_to_the_parser_which_reads_it() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    let escaped = r#"{"t\u006fpic":"a"}"#;
    for text in [deep.as_str(), escaped] {
        assert_eq!(quick(text), None, "{text}");
        assert_eq!(read(text), parse(text).ok().map(owned));
        assert!(parse(text).is_ok(), "{text}");
    }
    let most = format!(r#"{{"a":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    assert!(quick(&most).is_some());
    let many = |count| format!("{{{}}}", vec![r#""a":1"#; count].join(","));
    assert!(quick(&many(MAX_MEMBERS)).is_some());
    assert_eq!(read(&many(MAX_MEMBERS + 1)), None);
}

/// Text that is nearly JSON: tokens in any order, with a bias to what belongs together.
fn nearly_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => Just("{"), 4 => Just("}"), 3 => Just("["), 3 => Just("]"), 6 => Just(","), 6 => Just(":"),
        6 => Just("\"a\""), 2 => Just("\"\""), 2 => Just("\"b c d e f g h\""), 1 => Just("\"\\u00e9\""), 1 => Just("\"\\ud8\""),
        1 => Just("\""), 1 => Just("\\"), 2 => Just("0"), 1 => Just("-"), 2 => Just("17"), 1 => Just("."), 1 => Just("e"),
        1 => Just("+"), 2 => Just("true"), 1 => Just("false"), 1 => Just("null"), 1 => Just("nul"), 1 => Just(" "),
        1 => Just("\n"), 1 => Just("\u{1}"), 1 => Just("é"),
    ];
    proptest::collection::vec(token, 0..24).prop_map(|tokens| format!("{{\"k\":{}}}", tokens.concat()))
}

/// A sound object, with one byte changed or without some.
fn damaged() -> impl Strategy<Value = String> {
    let object = proptest::collection::vec((any::<String>(), tree()), 0..6);
    (object, any::<prop::sample::Index>(), any::<char>(), any::<bool>()).prop_map(
        |(members, at, new, insert)| {
            let members: serde_json::Map<_, _> = members.into_iter().collect();
            let mut text: Vec<char> = serde_json::Value::Object(members).to_string().chars().collect();
            let at = at.index(text.len());
            if insert {
                text.insert(at, new);
            } else {
                text.remove(at);
            }
            text.into_iter().collect()
        },
    )
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    tree_of(6, 40)
}

/// A value with so many levels, and about so many values in it.
fn tree_of(depth: u32, size: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, size, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn agrees(text: &str) {
    if let Some(members) = quick(text) {
        match parse(text) {
            Ok(parsed) => assert_eq!(members, parsed, "{text}"),
            Err(error) => panic!("{text} is refused by the parser: {error}"),
        }
    }
}

/// What a look into the text finds, against a look into the tree.
fn found_alike(text: &str, path: &[&str]) {
    let path: Vec<Box<str>> = path.iter().map(|key| Box::from(*key)).collect();
    let tree: serde_json::Value = serde_json::from_str(text).unwrap();
    let Some(found) = scan::find(text.as_bytes(), &path) else { return };
    let expected = match tree.lookup(&path) {
        None => Found::Missing,
        Some(Scalar::Str(text)) => Found::Text(text),
        Some(Scalar::Bool(boolean)) => Found::Bool(boolean),
        Some(Scalar::Other) => Found::Other,
        Some(Scalar::Number(_)) => panic!("numbers are for the tree: {text}"),
    };
    assert_eq!(found, expected, "{path:?} in {text}");
}

#[test]
fn a_path_is_found_in_the_text_as_in_the_tree() {
    let find = |text: &'static str, path: &[&str]| {
        found_alike(text, path);
        let path: Vec<Box<str>> = path.iter().map(|key| Box::from(*key)).collect();
        scan::find(text.as_bytes(), &path)
    };
    let text = r#" { "a" : { "b" : "c" , "t" : true, "f":false, "n":null, "l":[1], "o":{} } , "s" : "x" } "#;
    for (path, expected) in [
        (&["a", "b"][..], Found::Text("c")),
        (&["a", "t"], Found::Bool(true)),
        (&["a", "f"], Found::Bool(false)),
        (&["a", "n"], Found::Other),
        (&["a", "l"], Found::Other),
        (&["a", "o"], Found::Other),
        (&["a"], Found::Other),
        (&[], Found::Other),
        (&["s", "x"], Found::Missing),
        (&["a", "l", "0"], Found::Missing),
        (&["b"], Found::Missing),
    ] {
        assert_eq!(find(text, path), Some(expected), "{path:?}");
    }
    assert_eq!(find(r#"{"a":"first","a":"last"}"#, &["a"]), Some(Found::Text("last")));
    assert_eq!(find(r#""whole""#, &[]), Some(Found::Text("whole")));
    for unsure in [r#"{"a":1}"#, r#"{"a":"\n"}"#, r#"{"\u0061":"b","a":"c"}"#] {
        assert_eq!(find(unsure, &["a"]), None, "{unsure}");
    }
}

proptest! {
    #[test]
    fn any_path_is_found_in_the_text_as_in_the_tree(
        members in proptest::collection::vec(("[ab]", tree_of(2, 6)), 0..4),
        inner in proptest::collection::vec(("[ab]", tree_of(2, 6)), 0..4),
        path in proptest::collection::vec("[ab]", 0..4),
    ) {
        // With keys that come twice.
        let text = |members: &[(String, String)]| {
            let members: Vec<_> = members.iter().map(|(key, value)| format!(r#""{key}":{value}"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        let shown = |members: Vec<(String, serde_json::Value)>| {
            members.into_iter().map(|(key, value)| (key, value.to_string())).collect::<Vec<_>>()
        };
        let mut all = shown(members);
        all.push(("b".to_owned(), text(&shown(inner))));
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        found_alike(&text(&all), &path);
    }

    #[test]
    fn nothing_is_accepted_that_the_parser_refuses(text in nearly_json()) {
        agrees(&text);
    }

    #[test]
    fn nor_of_what_is_damaged(text in damaged()) {
        agrees(&text);
    }

    /// Sound text is read at once unless a key of its own has an escape.
    #[test]
    fn sound_text_is_read_at_once(members in proptest::collection::vec(("[a-zé ]{0,20}", tree()), 0..8)) {
        let members: serde_json::Map<_, _> = members.into_iter().collect();
        let text = serde_json::Value::Object(members).to_string();
        let read = quick(&text);
        prop_assert!(read.is_some(), "{}", text);
        prop_assert_eq!(read, parse(&text).ok());
    }
}
