//! Expressions: what is refused and how the error reads, the corners of the grammar, and what can be built. The
//! vectors and the generated cases are in the submodules.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod properties;
mod vectors;

use event_core::expression::{
    Condition, Expression, MAX_DEPTH, MAX_LENGTH, Node, Operator, ParseError, ParseErrorKind as Kind,
    Pattern, Scalar, Subject,
};
use event_core::{Error, ErrorKind};
use serde_json::json;

fn refused(text: &str) -> ParseError {
    match Expression::parse(text) {
        Err(error) => error,
        Ok(expression) => panic!("{text:?} was read as {expression:?}"),
    }
}

fn parsed(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{error}\n{}", error.caret()))
}

fn canonical(text: &str) -> String {
    parsed(text).canonical()
}

#[test]
fn every_error_names_its_kind_its_column_and_what_to_do() {
    let rows: &[(&str, Kind, usize, &str)] = &[
        ("", Kind::Empty, 1, "the expression is empty; write a condition such as topic=ftrack.update"),
        (
            " \u{3000}\n",
            Kind::Empty,
            1,
            "the expression is empty; write a condition such as topic=ftrack.update",
        ),
        (
            "invalid",
            Kind::ExpectedOperator,
            8,
            "column 8: found the end of the expression where an operator (= != >= <= > <) after the field `invalid` was expected; write a condition such as topic=ftrack.update",
        ),
        ("x in y", Kind::ExpectedOperator, 3, "found `in` where an operator"),
        ("a ! = b", Kind::ExpectedOperator, 3, "found `!` where an operator"),
        ("  a-b=c", Kind::ExpectedOperator, 4, "found `-` where an operator"),
        ("=x", Kind::ExpectedOperand, 1, "found `=` where a condition, `not` or `(` was expected"),
        ("a=b or or c=d", Kind::ExpectedOperand, 8, "found `or` where a condition"),
        ("not not", Kind::ExpectedOperand, 8, "found the end of the expression where a condition"),
        ("()", Kind::ExpectedOperand, 2, "found `)` where a condition"),
        ("'x'and b=c", Kind::ExpectedOperand, 1, "found `'` where a condition"),
        (
            "topic=",
            Kind::ExpectedValue,
            7,
            "found the end of the expression where a value after `=` was expected; give one, in quotes if",
        ),
        ("a<>b", Kind::ExpectedValue, 3, "found `>` where a value after `<`"),
        ("topic==x", Kind::ExpectedValue, 7, "found `=` where a value after `=`"),
        ("topic=é", Kind::UnexpectedCharacter, 7, "found `é` (U+00E9) where a value"),
        ("a=\u{a0}b", Kind::UnexpectedCharacter, 3, "found U+00A0 where a value"),
        (
            "a=b && c=d",
            Kind::UnexpectedCharacter,
            5,
            "found `&` where `and`, `or` or the end was expected; write `and`",
        ),
        ("a=b|c=d", Kind::UnexpectedCharacter, 4, "write `or`"),
        (
            "a=b:c",
            Kind::UnexpectedCharacter,
            4,
            "found `:` where `and`, `or` or the end was expected; a value with other characters than",
        ),
        ("a=b\0", Kind::UnexpectedCharacter, 4, "found U+0000"),
        ("#", Kind::UnexpectedCharacter, 1, "found `#` where a condition"),
        (
            "a=b c=d",
            Kind::TrailingInput,
            5,
            "found `c` where `and`, `or` or the end was expected; join conditions with `and` or `or`",
        ),
        ("a='x'y", Kind::TrailingInput, 6, "found `y`"),
        ("a=b andc=d", Kind::TrailingInput, 5, "found `andc`"),
        ("(a=b c=d)", Kind::TrailingInput, 6, "found `c` where `and`, `or` or `)` was expected"),
        ("a=b not c=d", Kind::TrailingInput, 5, "found `not`"),
        ("a=b)", Kind::UnbalancedParenthesis, 4, "`)` closes nothing; remove it"),
        (
            "a=b and (c=d or (e=f)",
            Kind::UnbalancedParenthesis,
            9,
            "this parenthesis is never closed; add `)`",
        ),
        ("topic=\"x", Kind::UnterminatedQuote, 7, "the quoted value never ends; close it with \""),
        ("a='''", Kind::UnterminatedQuote, 3, "close it with '"),
        ("a='b\\' ", Kind::UnterminatedQuote, 3, "close it with '"),
        ("a='line\nbreak'", Kind::LineBreakInQuote, 8, "a quoted value cannot contain a line break"),
        ("a='line\\\rbreak'", Kind::LineBreakInQuote, 9, "a quoted value cannot contain a line break"),
    ];
    for (text, kind, column, message) in rows {
        let error = refused(text);
        assert_eq!((error.kind(), error.column()), (*kind, *column), "{text:?}: {error}");
        assert!(error.to_string().contains(message), "{text:?}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn the_caret_stands_under_the_place_in_its_line() {
    assert_eq!(refused("  topic=x and\tid ? 3 \n").caret(), "  topic=x and id ? 3\n                 ^");
    let error = refused("topic=x\r\nand é=1");
    assert_eq!((error.line(), error.column(), error.position()), (2, 5, 13));
    assert_eq!(error.caret(), "and é=1\n    ^");
    assert!(error.to_string().starts_with("line 2, column 5: found `é`"), "{error}");
    assert_eq!(refused("日本=1").caret(), "日本=1\n^");
    assert_eq!(refused("a=b\u{1b}[31m").caret(), "a=b\u{fffd}[31m\n   ^");
    assert_eq!(refused("").caret(), "");
}

#[test]
fn the_caret_shows_a_window_of_a_long_line() {
    let text = format!("{}c d", "field=value and ".repeat(1000));
    let error = refused(&text);
    assert_eq!((error.column(), error.position()), (16_003, 16_002));
    let caret = error.caret();
    let (line, mark) = caret.split_once('\n').expect("two lines");
    assert_eq!(line.chars().nth(mark.len() - 1), Some('d'));
    assert!(line.starts_with("...") && line.len() <= 76, "{line}");

    let middle = refused(&format!("{}c d {}", "a=b and ".repeat(20), "and a=b".repeat(20))).caret();
    let (line, mark) = middle.split_once('\n').expect("two lines");
    assert!(line.starts_with("...") && line.ends_with("...") && line.len() == 76, "{line}");
    assert_eq!(&line[mark.len() - 1..mark.len()], "d");
}

#[test]
fn a_parse_error_becomes_the_crate_error_with_the_picture() {
    let error = Error::from(refused("topic="));
    assert_eq!((error.kind(), error.op()), (ErrorKind::InvalidExpression, "parse expression"));
    assert!(error.message().ends_with("\ntopic=\n      ^"), "{error}");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<ParseError>());
    assert_eq!(source.map(ParseError::kind), Some(Kind::ExpectedValue));
}

#[test]
fn words_are_keywords_only_where_they_cannot_be_fields() {
    for (text, tree) in [
        ("not=a", "<Condition not=a>"),
        ("NOT >= a", "<Condition NOT>=a>"),
        ("not not=a", "<Not <Condition not=a>>"),
        ("not not!=a", "<Not <Condition not!=a>>"),
        ("not.x=1", "<Condition not.x=1>"),
        ("notx=1", "<Condition notx=1>"),
        ("not and=b", "<Not <Condition and=b>>"),
        ("a=b and and=c", "<All [<Condition a=b> <Condition and=c>]>"),
        ("a=b OR or=c oR not=d", "<Any [<Condition a=b> <Condition or=c> <Condition not=d>]>"),
        ("a=and and b=or or c=not", "<Any [<All [<Condition a=and> <Condition b=or>]> <Condition c=not>]>"),
        ("not(a=b)and(not not(c=d))", "<All [<Not <Condition a=b>> <Not <Not <Condition c=d>>>]>"),
        ("a=''and b=\"\"or c='x'", "<Any [<All [<Condition a=> <Condition b=>]> <Condition c=x>]>"),
    ] {
        assert_eq!(canonical(text), tree, "{text}");
    }
    for text in ["a=b and and", "a=b and=c", "not", "and", "a=b and.x=1", "a=b not=c"] {
        refused(text);
    }
}

#[test]
fn quoted_values_keep_every_character() {
    for (text, value) in [
        ("a=''", Some("")),
        ("a='''", None),
        ("a=''''", Some("''")),
        ("a='''''", None),
        (r#"a="""x""""#, Some(r#"""x"""#)),
        (r#"a="x\"y""#, Some(r#"x\"y"#)),
        (r#"a="x\\""#, Some(r"x\\")),
        (r"a='tab	and \é'", Some("tab	and \\é")),
        ("a='\u{2028}\u{b}\0'", Some("\u{2028}\u{b}\0")),
        ("\u{a0}a=' '\u{3000}", Some(" ")),
    ] {
        match (Expression::parse(text), value) {
            (Ok(expression), Some(value)) => {
                let Node::Condition(condition) = expression.node() else { panic!("{expression:?}") };
                assert_eq!(condition.value(), value, "{text}");
                assert_eq!(parsed(&expression.to_string()), expression);
            }
            (Err(_), None) => {}
            (result, value) => panic!("{text}: {result:?} instead of {value:?}"),
        }
    }
}

#[test]
fn nesting_is_refused_past_the_limit_and_never_overflows_the_stack() {
    let nested = |depth: usize| format!("{}a=b{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(canonical(&nested(MAX_DEPTH)), "<Condition a=b>");
    let error = refused(&nested(MAX_DEPTH + 1));
    assert_eq!((error.kind(), error.column()), (Kind::TooDeep, MAX_DEPTH + 1));

    parsed(&format!("{}a=b", "not ".repeat(MAX_DEPTH)));
    assert_eq!(refused(&format!("{}a=b", "not ".repeat(MAX_DEPTH + 1))).kind(), Kind::TooDeep);
    assert_eq!(refused(&format!("{}a=b", "not (".repeat(MAX_DEPTH / 2 + 1))).kind(), Kind::TooDeep);
    parsed(&vec!["not (a=b)"; 1000].join(" and "));

    for text in ["(", "not ", "not(", "(not "] {
        assert_eq!(refused(&text.repeat(60_000 / text.len())).kind(), Kind::TooDeep);
        assert_eq!(refused(&text.repeat(100_000)).kind(), Kind::TooLong);
    }
}

#[test]
fn text_longer_than_the_limit_is_refused() {
    let text = |length: usize| format!("a={}", "x".repeat(length - 2));
    parsed(&text(MAX_LENGTH));
    let error = refused(&text(MAX_LENGTH + 1));
    assert_eq!((error.kind(), error.position()), (Kind::TooLong, MAX_LENGTH));
    assert_eq!(Expression::parse(&"é".repeat(MAX_LENGTH)).map_err(|error| error.kind()), Err(Kind::TooLong));
}

#[test]
fn text_at_the_limit_that_we_would_write_longer_still_round_trips() {
    let part = "a=''and(b=c or d=e)and not(f=g or h='i j')and ";
    let mut text = part.repeat(MAX_LENGTH / part.len());
    text.push_str("a=b");
    text.push_str(&" ".repeat(MAX_LENGTH.saturating_sub(text.len())));
    let expression = parsed(&text);
    let written = expression.to_string();
    assert!(written.len() <= MAX_LENGTH, "{}", written.len());
    assert_eq!(parsed(&written), expression);
    assert_eq!(expression.clone().negate().map_err(|error| error.kind()), Err(Kind::TooLong));
    assert_eq!(parsed("a=''and(b=c or d=e)").to_string(), r#"a="" and (b=c or d=e)"#);
}

#[test]
fn constructors_refuse_what_cannot_be_written() {
    let refusals = [
        (Expression::eq("a b", "c"), Kind::InvalidField, 1, "column 2: a blank cannot stand in a field"),
        (Expression::ne("é", "c"), Kind::InvalidField, 0, "`é` (U+00E9) cannot stand in a field"),
        (Expression::lt("", "c"), Kind::InvalidField, 0, "the field is empty"),
        (Expression::le("a", "b\nc"), Kind::InvalidValue, 1, "a line break cannot be written"),
        (Expression::gt("a", r#"it's "x""#), Kind::InvalidValue, 5, "no quotes can hold this value"),
        (Expression::ge("a", r"x\"), Kind::InvalidValue, 1, r"ends in a single `\`"),
        (Expression::topic("ftrack.*"), Kind::InvalidValue, 7, "use Expression::prefix"),
        (Expression::prefix("a", "\r"), Kind::InvalidValue, 0, "a line break cannot be written"),
        (Expression::all([]), Kind::Empty, 0, "give at least one"),
        (Expression::any([]), Kind::Empty, 0, "give at least one"),
        (Expression::eq("a", &"x".repeat(MAX_LENGTH)), Kind::TooLong, 0, "longer than 65536 bytes"),
    ];
    for (result, kind, position, message) in refusals {
        let error = result.expect_err(message);
        assert_eq!((error.kind(), error.position()), (kind, position), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn constructors_write_quotes_and_parentheses_only_where_needed() -> Result<(), ParseError> {
    for (built, text) in [
        (Expression::topic("ftrack.update")?, "topic=ftrack.update"),
        (Expression::prefix("topic", "ftrack.")?, "topic=ftrack.*"),
        (Expression::prefix("a", "b*")?, "a=b**"),
        (Expression::prefix("a", r"b\")?, r#"a="b\*""#),
        (Expression::ne("not", "x*")?, "not!=x*"),
        (Expression::eq("a", "")?, r#"a="""#),
        (Expression::lt("a", r#"say "hi""#)?, r#"a<'say "hi"'"#),
        (Expression::gt("a", "it's")?, r#"a>"it's""#),
        (Expression::le("a", "a:b")?, r#"a<="a:b""#),
        (Expression::ge("a", r#"'x""y"#)?, r#"a>="'x""y""#),
        (parsed("a=b or c=d").and(parsed("e=f or g=h"))?, "(a=b or c=d) and (e=f or g=h)"),
        (parsed("a=b and c=d").or(parsed("e=f and g=h"))?, "a=b and c=d or e=f and g=h"),
        (parsed("a=b").and(parsed("c=d and e=f"))?.and(parsed("g=h"))?, "a=b and c=d and e=f and g=h"),
        (parsed("a=b and (c=d and e=f)"), "a=b and (c=d and e=f)"),
        (parsed("not a=b").and(parsed("not (c=d)"))?.negate()?, "not (not a=b and not c=d)"),
        ((!parsed("not (a=b or c=d)"))?, "a=b or c=d"),
        (Expression::any([parsed("a=b")])?, "a=b"),
    ] {
        assert_eq!(built.to_string(), text);
        assert_eq!(parsed(text), built, "{text}");
    }
    Ok(())
}

#[test]
fn building_past_the_depth_limit_is_refused_and_up_to_it_round_trips() {
    let mut expression = parsed("a=b");
    let error = loop {
        let next = expression.clone().or(parsed("c=d")).and_then(|either| either.and(parsed("e=f")));
        match next {
            Ok(deeper) => expression = deeper,
            Err(error) => break error,
        }
        assert_eq!(parsed(&expression.to_string()), expression);
    };
    assert_eq!((error.kind(), error.caret().as_str()), (Kind::TooDeep, ""));
    assert_eq!(expression.to_string().matches('(').count(), MAX_DEPTH);
    assert_eq!(expression.negate().map_err(|error| error.kind()), Err(Kind::TooDeep));
    assert!(!Error::from(error).message().contains('\n'));

    let endless = std::iter::repeat(parsed("a=b"));
    assert_eq!(Expression::any(endless).map_err(|error| error.kind()), Err(Kind::TooLong));
}

#[test]
fn the_limits_hold_to_the_byte_and_to_the_level_wherever_the_large_part_stands() {
    let long = |rest: &str, free: usize| {
        parsed(&format!("{rest}a={}", "x".repeat(MAX_LENGTH - rest.len() - 2 - free)))
    };
    let deep = parsed(&format!("{}(a=b and c=d)", "not ".repeat(MAX_DEPTH - 1)));
    let small = || parsed("a=b");
    for (fits, too_large, kind) in [
        (long("", 4).negate(), long("", 3).negate(), Kind::TooLong),
        (long("b=c or ", 6).negate(), long("b=c or ", 5).negate(), Kind::TooLong),
        (long("b=c or ", 10).and(small()), long("b=c or ", 9).and(small()), Kind::TooLong),
        (small().and(long("b=c or ", 10)), small().and(long("b=c or ", 9)), Kind::TooLong),
        (small().or(long("b=c or ", 7)), small().or(long("b=c or ", 6)), Kind::TooLong),
        (
            small().or(deep.clone()),
            parsed("not (a=b and c=d)").and(deep).and_then(Expression::negate),
            Kind::TooDeep,
        ),
    ] {
        let fits = fits.expect("fits");
        assert_eq!(parsed(&fits.to_string()), fits);
        assert_eq!(too_large.map_err(|error| error.kind()), Err(kind));
    }
}

#[test]
fn a_condition_tells_its_parts() {
    let expression = parsed("source..user.='it*'");
    let Node::Condition(condition) = expression.node() else { panic!("{expression:?}") };
    let segments: Vec<&str> = condition.segments().iter().map(|segment| &**segment).collect();
    assert_eq!(
        (condition.field().as_str(), segments.as_slice()),
        ("source..user.", ["source", "", "user", ""].as_slice())
    );
    assert_eq!((condition.operator(), condition.value()), (Operator::Eq, "it*"));
    assert_eq!(condition.pattern(), Some(Pattern::Prefix("it")));
    assert!(condition.accepts(Scalar::Str("item")) && !condition.accepts(Scalar::Other));

    let pattern = |text: &str| match parsed(text).node() {
        Node::Condition(condition) => Condition::pattern(condition).map(|pattern| format!("{pattern:?}")),
        _ => None,
    };
    assert_eq!(pattern("a=**").as_deref(), Some("Prefix(\"*\")"));
    assert_eq!(pattern("a=b").as_deref(), Some("Exact(\"b\")"));
    assert_eq!(pattern("a!=b*"), None);
}

#[test]
fn an_empty_segment_is_the_empty_key_and_arrays_have_no_keys() {
    let subject = json!({"a": {"": {"b": "x"}}, "list": ["x"], "text": "x", "": "root"});
    assert!(parsed("a..b=x and not list.0!=y and not text.length!=y and not a.b!=x").matches(&subject));
    let map = subject.as_object().expect("an object");
    assert!(parsed("a..b=x and list!=x and text=x").matches(map));
    assert_eq!(map.lookup(&[]), Some(Scalar::Other));
    assert!(!parsed("a!=x").matches(&json!("x")));
}

#[test]
fn numbers_compare_by_value_and_booleans_by_name() {
    let subject = json!({"n": 9_007_199_254_740_993_u64, "z": -0.0, "big": u64::MAX, "t": true});
    for text in [
        "n=9007199254740993",
        "n!=9007199254740992",
        "n='+9007199254740993'",
        "n=9007199254740992.0",
        "n=9007199254740993.",
        "z=0",
        "z=-0",
        "z<=0.0",
        "z>-1e-400 or z=1e-400",
        "big<18446744073709551616",
        "big!=1e400",
        "n!='1*'",
        "n!='*'",
        "not n='*'",
        "not n<1e400",
        "n!=' 1'",
        "t=TRUE",
        "t!=False",
        "t!=1",
        "t!='tr*'",
        "not t='t*'",
        "not t>=true",
    ] {
        assert!(parsed(text).matches(&subject), "{text}");
    }
}

#[test]
fn an_expression_is_made_of_any_kind_of_text_and_prints_its_text() {
    let text = String::from("topic=ftrack.*");
    let made: [Expression; 4] = [
        text.parse().expect("parses"),
        Expression::try_from(text.as_str()).expect("parses"),
        Expression::try_from(&text).expect("parses"),
        Expression::try_from(text.clone()).expect("parses"),
    ];
    assert!(made.iter().all(|expression| *expression == made[0] && expression.to_string() == text));
    assert_eq!(format!("{:?}", made[0]), r#"Expression("topic=ftrack.*")"#);
    assert_eq!(Expression::from(&made[0]), made[0]);
    assert_eq!(std::collections::HashSet::from(made).len(), 1);
}
