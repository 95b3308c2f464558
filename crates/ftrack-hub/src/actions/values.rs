//! The values of a submitted form, read by type.

use event_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::events::{DecodeError, from_value};

/// The values of a submitted form by the names of its fields. Each reader's error names the field.
///
/// ```
/// use ftrack_hub::actions::FormValues;
/// use serde_json::json;
///
/// let values = FormValues::from(json!({"comment": "final", "frames": 96}).as_object().unwrap().clone());
/// assert_eq!((values.text("comment")?, values.integer("frames")?), ("final", 96));
/// assert!(values.boolean("frames").unwrap_err().to_string().contains("`frames` is a number"));
/// # Ok::<(), ftrack_hub::Error>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct FormValues(Map<String, Value>);

impl FormValues {
    /// Whether nothing was submitted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A value as it came; `None` when it is missing, null or the empty text.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let value = self.0.get(name)?;
        let nothing = value.is_null() || value.as_str() == Some("");
        (!nothing).then_some(value)
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] that names the field: it is missing, or of another type. So for all readers.
    pub fn text(&self, name: &str) -> Result<&str> {
        text(name, self.present(name)?)
    }

    /// A number; a text that is one counts.
    ///
    /// # Errors
    ///
    /// As [`FormValues::text`].
    pub fn number(&self, name: &str) -> Result<f64> {
        number(name, self.present(name)?)
    }

    /// A whole number; a text that is one counts.
    ///
    /// # Errors
    ///
    /// As [`FormValues::text`].
    pub fn integer(&self, name: &str) -> Result<i64> {
        let value = self.present(name)?;
        let whole = match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64().or_else(|| value.as_f64().and_then(whole)),
        };
        whole.ok_or_else(|| wrong(name, value, "a whole number"))
    }

    /// Yes or no.
    ///
    /// # Errors
    ///
    /// As [`FormValues::text`].
    pub fn boolean(&self, name: &str) -> Result<bool> {
        boolean(name, self.present(name)?)
    }

    /// A day as `YYYY-MM-DD`, known to exist. A time that came with it is cut off.
    ///
    /// # Errors
    ///
    /// As [`FormValues::text`].
    pub fn date(&self, name: &str) -> Result<&str> {
        date(name, self.present(name)?)
    }

    /// The chosen texts of an enumerator that allows several.
    ///
    /// # Errors
    ///
    /// As [`FormValues::text`].
    pub fn texts(&self, name: &str) -> Result<Vec<&str>> {
        let value = self.present(name)?;
        let texts = value.as_array().map(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        texts.flatten().ok_or_else(|| wrong(name, value, "a list of texts"))
    }

    /// All values as a type.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] that names the field.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        from_value(&Value::Object(self.0.clone())).map_err(|cause| {
            Error::new(ErrorKind::InvalidInput, "read form", cause.to_string()).with_source(cause)
        })
    }

    /// The values as they came.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    fn present(&self, name: &str) -> Result<&Value> {
        self.get(name).ok_or_else(|| refuse(format!("field `{name}` is missing")))
    }
}

impl From<Map<String, Value>> for FormValues {
    fn from(values: Map<String, Value>) -> Self {
        Self(values)
    }
}

impl std::fmt::Debug for FormValues {
    /// The names, not the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

pub(super) fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str> {
    value.as_str().ok_or_else(|| wrong(name, value, "a text"))
}

pub(super) fn number(name: &str, value: &Value) -> Result<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    number.filter(|number| number.is_finite()).ok_or_else(|| wrong(name, value, "a number"))
}

pub(super) fn boolean(name: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(name, value, "yes or no"))
}

pub(super) fn date<'v>(name: &str, value: &'v Value) -> Result<&'v str> {
    value.as_str().and_then(day).ok_or_else(|| wrong(name, value, "a date such as 2026-12-24"))
}

/// The day at the start of a date or a date with a time, if there is such a day.
fn day(text: &str) -> Option<&str> {
    let (day, rest) = text.split_at_checked(10)?;
    if !(rest.is_empty() || rest.starts_with(['T', ' '])) {
        return None;
    }
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = day.as_bytes() else { return None };
    let digits = |digits: &[u8]| {
        digits.iter().try_fold(0u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let (year, month, date) = (digits(&[y1, y2, y3, y4])?, digits(&[m1, m2])?, digits(&[d1, d2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    (1..=last).contains(&date).then_some(day)
}

/// A double that is a whole number within the range where doubles are exact.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range, as is checked")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn wrong(name: &str, value: &Value, expected: &str) -> Error {
    refuse(format!("field `{name}` is {}, expected {expected}", DecodeError::kind_of(Some(value))))
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, "read form", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(value: &Value) -> FormValues {
        FormValues(value.as_object().unwrap().clone())
    }

    #[test]
    fn numbers_come_as_numbers_or_as_text() {
        let values = values(
            &json!({"a": 7, "b": "7", "c": 7.5, "d": " 7.0 ", "e": "NaN", "f": true, "g": 7.0, "h": ""}),
        );
        let number = |name| values.number(name).ok();
        assert_eq!(["a", "b", "c", "d"].map(number), [Some(7.0), Some(7.0), Some(7.5), Some(7.0)]);
        assert_eq!(["e", "f", "h", "missing"].map(number), [None; 4]);
        let integer = |name| values.integer(name).ok();
        assert_eq!(["a", "b", "g", "c", "d"].map(integer), [Some(7), Some(7), Some(7), None, None]);
    }

    #[test]
    fn a_date_is_a_day_that_exists() {
        for (text, expected) in [
            ("2024-02-29", Some("2024-02-29")),
            ("2026-12-24T10:00:00", Some("2026-12-24")),
            ("2026-12-24 10:00", Some("2026-12-24")),
            ("2023-02-29", None),
            ("1900-02-29", None),
            ("2026-13-01", None),
            ("2026-04-31", None),
            ("2026-12-241", None),
            ("24.12.2026", None),
            ("2026-1é-01", None),
            ("", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }

    #[test]
    fn values_decode_into_a_type_and_an_error_names_the_field_and_no_value() {
        #[derive(serde::Deserialize, PartialEq, Debug)]
        struct Render {
            frames: u32,
            layers: Vec<String>,
        }
        let good = values(&json!({"frames": 7, "layers": ["depth"]}));
        assert_eq!(good.decode::<Render>().unwrap(), Render { frames: 7, layers: vec!["depth".to_owned()] });
        assert_eq!(good.texts("layers").unwrap(), ["depth"]);
        let error = values(&json!({"frames": 7, "layers": ["depth", 4711]})).decode::<Render>().unwrap_err();
        assert_eq!(error.message(), "`layers[1]` is a number, expected a string");
        assert!(!format!("{error:?} {good:?}").contains("4711"));
    }
}
