//! Generated expressions: built, written with noise, and broken. `PROPTEST_CASES` sets how many.

use event_core::expression::{Expression, MAX_LENGTH};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() }
}

/// An expression as its writer thinks of it.
#[derive(Clone, Debug)]
enum Shape {
    Condition { field: &'static str, operator: &'static str, value: String, quote: &'static str },
    Not(Box<Shape>),
    Group { keyword: &'static str, members: Vec<Shape> },
}

fn condition() -> impl Strategy<Value = Shape> {
    let fields =
        ["a", "topic", "data.n", "data..x", "not", "AND", "or.x", "_", ".", "9", "source.user.username"];
    let operators = ["=", "=", "!=", ">=", "<=", ">", "<"];
    let bare = prop::collection::vec(
        select(vec!["a", "B", "1", "-", "_", ".", "*", ",", "/", "@", "+", "true", "0.5", "and"]),
        1..4,
    );
    let value = (select(vec!["", "\"", "'"]), bare, prop::collection::vec(0_usize..12, 0..5));
    (select(fields.to_vec()), select(operators.to_vec()), value).prop_map(
        |(field, operator, (quote, bare, units))| {
            let doubled = quote.repeat(2);
            let units = units.into_iter().map(|unit| {
                ["a", "*", " ", "é", "🎬", "\t", r"\\", r#"\""#, r"\'", r"\n", "(", &doubled][unit].to_owned()
            });
            let value = if quote.is_empty() { bare.concat() } else { units.collect() };
            Shape::Condition { field, operator, value, quote }
        },
    )
}

fn shape() -> impl Strategy<Value = Shape> {
    condition().prop_recursive(4, 16, 3, |inner| {
        let members = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.prop_map(|shape| Shape::Not(Box::new(shape))),
            (select(vec!["and", "or"]), members)
                .prop_map(|(keyword, members)| Shape::Group { keyword, members }),
        ]
    })
}

impl Shape {
    fn build(&self) -> Expression {
        let built = match self {
            Self::Condition { field, operator, value, .. } => match (*operator, value.strip_suffix('*')) {
                ("=", Some(start)) => Expression::prefix(field, start),
                ("=", None) => Expression::eq(field, value),
                ("!=", _) => Expression::ne(field, value),
                (">=", _) => Expression::ge(field, value),
                ("<=", _) => Expression::le(field, value),
                (">", _) => Expression::gt(field, value),
                _ => Expression::lt(field, value),
            },
            Self::Not(inner) => inner.build().negate(),
            Self::Group { keyword: "and", members } => Expression::all(members.iter().map(Self::build)),
            Self::Group { members, .. } => Expression::any(members.iter().map(Self::build)),
        };
        built.expect("every shape can be written")
    }

    fn canonical(&self) -> String {
        match self {
            Self::Condition { field, operator, value, .. } => format!("<Condition {field}{operator}{value}>"),
            Self::Not(inner) => format!("<Not {}>", inner.canonical()),
            Self::Group { keyword, members } => {
                let name = if *keyword == "and" { "All" } else { "Any" };
                let members: Vec<String> = members.iter().map(Self::canonical).collect();
                format!("<{name} [{}]>", members.join(" "))
            }
        }
    }

    /// Text that says this, in one of many ways.
    fn write(&self, noise: &mut Noise<'_>, inside: &str, out: &mut String) {
        let needed = match self {
            Self::Condition { .. } | Self::Not(_) => false,
            Self::Group { keyword, .. } => inside == "not" || inside == "and" || inside == *keyword,
        };
        let extra = usize::from(noise.next().is_multiple_of(4));
        let parentheses = usize::from(needed) + extra;
        for _ in 0..parentheses {
            noise.token("(", out);
        }
        match self {
            Self::Condition { field, operator, value, quote } => {
                noise.token(field, out);
                noise.token(operator, out);
                noise.token(&format!("{quote}{value}{quote}"), out);
            }
            Self::Not(inner) => {
                noise.keyword("not", out);
                inner.write(noise, "not", out);
            }
            Self::Group { keyword, members } => {
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        noise.keyword(keyword, out);
                    }
                    member.write(noise, keyword, out);
                }
            }
        }
        for _ in 0..parentheses {
            noise.token(")", out);
        }
    }

    fn text(&self, noise: &[u8]) -> String {
        let mut out = String::new();
        self.write(&mut Noise { bytes: noise, at: 0 }, "", &mut out);
        out
    }
}

struct Noise<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Noise<'_> {
    fn next(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at % self.bytes.len()]
    }

    fn keyword(&mut self, keyword: &str, out: &mut String) {
        let upper = self.next();
        let mixed: String = keyword
            .chars()
            .enumerate()
            .map(|(index, letter)| if upper >> index & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
            .collect();
        self.token(&mixed, out);
    }

    fn token(&mut self, token: &str, out: &mut String) {
        let wordy = |c: char| c.is_ascii_alphanumeric() || "-_,./*@+".contains(c);
        let blank = ["", "", " ", "  ", "\t", "\r\n"][usize::from(self.next() % 6)];
        let needed = out.ends_with(wordy) && token.starts_with(wordy);
        out.push_str(if needed && blank.is_empty() { " " } else { blank });
        out.push_str(token);
    }
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..32)
}

fn fragments() -> impl Strategy<Value = String> {
    let parts = [
        "a",
        "=",
        "!=",
        ">",
        "<=",
        "(",
        ")",
        " and ",
        "or",
        "not ",
        "not",
        "AND",
        "'",
        "\"",
        "\\",
        "*",
        "é",
        "\n",
        "\t",
        " ",
        "b=c",
        "a.b='x y'",
        "''",
        "1e5",
        "!",
        "&",
        ":",
        "\u{3000}",
        "\0",
        "🎬",
    ];
    prop::collection::vec(select(parts.to_vec()), 0..20).prop_map(|parts| parts.concat())
}

/// A valid text with a fragment pushed in, or cut short.
fn broken() -> impl Strategy<Value = String> {
    (shape(), noise(), fragments(), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(shape, noise, fragment, index, cut)| {
            let mut text = shape.text(&noise);
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let at = places[index.index(places.len())];
            if cut {
                text.truncate(at);
            } else {
                text.insert_str(at, &fragment);
            }
            text
        },
    )
}

fn subjects() -> Vec<Value> {
    vec![
        json!({"a": "a", "topic": "a.b", "data": {"n": 1, "": {"x": true}}, "not": "", "9": "B", "source": {"user": {"username": "é"}}}),
        json!({"a": null, "topic": "true", "data": {"n": 0.5, "": {"x": "and"}}, "AND": 1, "_": "a*", "": {"": "*"}}),
    ]
}

/// What must hold for any text: no panic, and either a round trip or an error that points into the text.
fn check_any(text: &str) -> Result<(), TestCaseError> {
    match Expression::parse(text) {
        Ok(expression) => {
            let written = expression.to_string();
            prop_assert!(written.len() <= MAX_LENGTH);
            prop_assert_eq!(Expression::parse(&written), Ok(expression), "{}", written);
        }
        Err(error) => {
            prop_assert!(text.is_char_boundary(error.position()), "{:?}", error);
            let caret = error.caret();
            prop_assert!(caret.lines().count() <= 2, "{}", caret);
            prop_assert!(caret.lines().all(|line| line.chars().count() <= 77), "{}", caret);
            if let Some((line, mark)) = caret.split_once('\n') {
                prop_assert!(mark.len() <= line.chars().count() + 1, "{}", caret);
            }
            prop_assert!(!error.to_string().contains(['\n', '\r']), "{}", error);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_built_expression_round_trips(shape in shape()) {
        let built = shape.build();
        let written = built.to_string();
        prop_assert_eq!(Expression::parse(&written), Ok(built), "{}", written);
    }

    #[test]
    fn a_written_expression_is_read_as_meant_and_round_trips(shape in shape(), noise in noise()) {
        let text = shape.text(&noise);
        let parsed = Expression::parse(&text).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{}", error.caret()))
        })?;
        prop_assert_eq!(parsed.canonical(), shape.canonical(), "{}", text);
        let written = parsed.to_string();
        prop_assert_eq!(Expression::parse(&written), Ok(parsed), "{}", written);
    }

    #[test]
    fn built_and_parsed_mean_the_same(shape in shape(), noise in noise()) {
        let (built, parsed) = (shape.build(), Expression::parse(&shape.text(&noise)));
        for subject in subjects() {
            prop_assert_eq!(parsed.as_ref().map(|parsed| parsed.matches(&subject)), Ok(built.matches(&subject)));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![fragments(), broken(), any::<String>()]) {
        check_any(&text)?;
    }
}
