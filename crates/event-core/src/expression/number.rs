//! Numeric literals: read once when parsed, compared with JSON numbers when matched.

use std::cmp::Ordering;

use serde_json::Number;

/// A literal of the form `[+-]?(digits[.digits*]|.digits)([eE][+-]?digits)?` whose value is finite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberLiteral {
    float: f64,
    integer: Integer,
}

/// The exact value of a literal without point and exponent, as small as the integers that an event can have.
#[derive(Clone, Copy, Debug)]
enum Integer {
    /// The literal has a point or an exponent.
    No,
    Signed(i64),
    Unsigned(u64),
    /// Beyond what an event can have.
    Below,
    Above,
}

impl Integer {
    fn of(value: i128) -> Self {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Self::Signed(value),
            (_, Ok(value)) => Self::Unsigned(value),
            _ if value < 0 => Self::Below,
            _ => Self::Above,
        }
    }

    /// The value, or the end of the range, which no event's integer reaches.
    fn value(self) -> Option<i128> {
        match self {
            Self::No => None,
            Self::Signed(value) => Some(value.into()),
            Self::Unsigned(value) => Some(value.into()),
            Self::Below => Some(i128::MIN),
            Self::Above => Some(i128::MAX),
        }
    }
}

/// The number that a condition's value denotes, or `None` where it is only text: another form, or an overflow.
pub(crate) fn numeric_literal(text: &str) -> Option<NumberLiteral> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, rest) = digits(rest);
            (Some(fraction), rest)
        }
        None => (None, rest),
    };
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return None;
    }
    let exponent = match rest.strip_prefix(['e', 'E']) {
        Some(rest) => {
            let (exponent, rest) = digits(rest.strip_prefix(['+', '-']).unwrap_or(rest));
            if exponent.is_empty() || !rest.is_empty() {
                return None;
            }
            true
        }
        None if rest.is_empty() => false,
        None => return None,
    };

    let float: f64 = text.parse().ok().filter(|float: &f64| float.is_finite())?;
    let integer = if fraction.is_none() && !exponent {
        let magnitude = whole
            .bytes()
            .fold(0_i128, |sum, digit| sum.saturating_mul(10).saturating_add(i128::from(digit - b'0')));
        Integer::of(if negative { -magnitude } else { magnitude })
    } else {
        Integer::No
    };
    Some(NumberLiteral { float, integer })
}

/// The digits at the beginning, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

impl NumberLiteral {
    /// How the event's number stands to this literal: two integers exactly, anything else as `f64`; `None` for a
    /// number that `f64` cannot hold.
    pub(super) fn order(&self, number: &Number) -> Option<Ordering> {
        if let Some(literal) = self.integer.value() {
            let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            if let Some(integer) = integer {
                return Some(integer.cmp(&literal));
            }
        }
        number.as_f64().filter(|float| float.is_finite())?.partial_cmp(&self.float)
    }

    /// A key under which all numbers that equal this literal are found: whenever [`same_number`] holds, the
    /// number's `as_f64`, with `-0.0` as `0.0`, is this.
    pub(crate) fn key(&self) -> f64 {
        // Adding a positive zero turns -0.0 into 0.0 and changes nothing else.
        self.float + 0.0
    }
}

/// Whether `=` holds between an event's number and a literal.
#[allow(dead_code, reason = "for the dispatch index")]
pub(crate) fn same_number(number: &Number, literal: &NumberLiteral) -> bool {
    literal.order(number) == Some(Ordering::Equal)
}

/// [`NumberLiteral::key`] of a text, if it is a numeric literal.
pub(crate) fn numeric_key(text: &str) -> Option<f64> {
    numeric_literal(text).map(|literal| literal.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).expect("a JSON number")
    }

    #[test]
    fn only_the_documented_form_is_a_numeric_literal() {
        for text in [
            "0",
            "-1",
            "+10",
            "010",
            "1.",
            "1.5",
            ".5",
            "-.5e3",
            "1e1",
            "1E+1",
            "1.e-400",
            "0e99999999999999999999",
        ] {
            assert!(numeric_literal(text).is_some(), "{text}");
        }
        for text in [
            "", "+", "-", ".", "1e", "1e+", "e1", ".e1", "1.2.3", "1*", "0x10", "inf", "-inf", "NaN",
            "infinity", "1_000", "1,5", "--1", "+-1", " 1", "1 ", "١", "1e1.5", "1e400", "-1e400",
        ] {
            assert!(numeric_literal(text).is_none(), "{text}");
        }
        assert!(numeric_literal(&"9".repeat(309)).is_none(), "an integer that overflows is only text");
        assert!(numeric_literal(&"9".repeat(308)).is_some());
    }

    #[test]
    fn integers_compare_exactly_and_others_as_floats() {
        let order =
            |event: &str, literal: &str| numeric_literal(literal).and_then(|l| l.order(&number(event)));
        assert_eq!(order("9007199254740992", "9007199254740993"), Some(Ordering::Less));
        assert_eq!(order("9007199254740992", "9007199254740993.0"), Some(Ordering::Equal));
        assert_eq!(order("18446744073709551615", "18446744073709551616"), Some(Ordering::Less));
        assert_eq!(order("18446744073709551615", "18446744073709551615"), Some(Ordering::Equal));
        assert_eq!(order("-9223372036854775808", "-9223372036854775809"), Some(Ordering::Greater));
        assert_eq!(order("1", &"9".repeat(300)), Some(Ordering::Less));
        assert_eq!(order("1", &format!("-{}", "9".repeat(300))), Some(Ordering::Greater));
        assert_eq!(order("10", "1e1"), Some(Ordering::Equal));
        assert_eq!(order("10.0", "10"), Some(Ordering::Equal));
        assert_eq!(order("-0.0", "0"), Some(Ordering::Equal));
        assert_eq!(order("0", "-0"), Some(Ordering::Equal));
        assert_eq!(order("1e308", "1e309"), None);
    }

    #[test]
    fn equal_numbers_share_their_key() {
        let texts = [
            "0",
            "-0",
            "-0.0",
            "1",
            "1.0",
            "10",
            "1e1",
            "0.5",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.0",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "1e300",
        ];
        let mut equal = 0;
        for event in texts.map(number) {
            for literal in texts {
                let parsed = numeric_literal(literal).expect("a literal");
                if same_number(&event, &parsed) {
                    equal += 1;
                    let float = event.as_f64().expect("finite") + 0.0;
                    assert_eq!(
                        numeric_key(literal).map(f64::to_bits),
                        Some(float.to_bits()),
                        "{event} {literal}"
                    );
                }
            }
        }
        assert!(equal > texts.len());
    }
}
