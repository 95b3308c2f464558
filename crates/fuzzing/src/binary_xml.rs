//! Bodies in .NET binary XML: JSON comes out to the byte, and never out of a message that was cut.

use bytes::Bytes;
use transport_longpoll::binary_xml::{BodyError, Carried, Form, unwrap, wrap, wrap_as};

/// How many places a body is cut at.
const CUTS: usize = 64;

/// Unwraps the bytes, and wraps them.
///
/// # Panics
///
/// When JSON changes by being wrapped in any form and unwrapped, when a plain body is copied, or when a wrapped
/// body that was cut still gives JSON.
pub fn body(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    match unwrap(&body) {
        Ok((json, carried)) => {
            let text = json.as_str();
            assert_eq!(text.as_bytes(), json.as_bytes());
            if carried != Carried::Wrapped(Form::Utf16) {
                let inside = body.as_ptr_range().contains(&json.as_bytes().as_ptr());
                assert!(inside || matches!(carried, Carried::Wrapped(_)), "{carried:?} is a copy");
            }
            unwraps_as(&Bytes::copy_from_slice(text.as_bytes()), text, Carried::Plain);
            unwraps_as(&Bytes::from(format!("\u{feff} {text}\r\n")), text, Carried::Plain);
            travels(text);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let blank = data.iter().all(u8::is_ascii_whitespace);
            assert!(!blank || matches!(error, BodyError::Empty | BodyError::NotJson), "{error:?}");
        }
    }
    travels(&serde_json::Value::from(crate::text(data)).to_string());
}

/// JSON survives every form, and no form survives a cut.
fn travels(json: &str) {
    let (unwrapped, _) = unwrap(&wrap(json)).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(unwrapped.as_str(), json);
    for form in [Form::Utf8, Form::Utf16, Form::Base64] {
        let wrapped = wrap_as(json, form);
        unwraps_as(&wrapped, json, Carried::Wrapped(form));
        for cut in (0..wrapped.len()).step_by(wrapped.len() / CUTS + 1) {
            assert!(unwrap(&wrapped.slice(..cut)).is_err(), "{json} cut at {cut} as {form:?}");
        }
    }
}

fn unwraps_as(body: &Bytes, json: &str, carried: Carried) {
    match unwrap(body) {
        Ok((found, by)) => assert_eq!((found.as_str(), by), (json, carried)),
        Err(error) => panic!("{json} as {carried:?}: {error}"),
    }
}
