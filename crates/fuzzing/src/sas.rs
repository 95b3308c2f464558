//! Shared access signatures: their end is found wherever it stands, and nothing of them shows.

use std::time::{Duration, SystemTime};

use transport_longpoll::auth::{Authorization, sas_expiry};

/// Reads the bytes as the value of an `authorization` header.
///
/// # Panics
///
/// When the end depends on what it must not: blanks around, the case of the scheme, other fields and their order;
/// when it is not the number in the text; or when `Debug` shows anything but the end.
pub fn body(data: &[u8]) {
    let token = crate::text(data);
    let expiry = sas_expiry(&token);
    assert_eq!(sas_expiry(&format!(" {token}\r\n")), expiry, "blanks around");

    let authorization = Authorization::sas(&*token);
    assert_eq!(authorization.value.expose(), token);
    let expires = expiry.and_then(|end| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(end)));
    assert_eq!(authorization.expires, expires);
    let mut other = Authorization::new("another");
    other.expires = expires;
    assert_eq!(format!("{authorization:?}"), format!("{other:?}"), "the token shows");

    if let Some(expiry) = expiry {
        has_end(token.trim(), expiry);
    }
}

fn has_end(token: &str, expiry: u64) {
    let Some((scheme, fields)) = token.split_once(' ') else { panic!("an end without a field") };
    assert!(scheme.eq_ignore_ascii_case("SharedAccessSignature"));
    let ends: Vec<&str> = fields.split('&').filter_map(|field| field.trim().strip_prefix("se=")).collect();
    assert_eq!(ends.first().and_then(|end| end.parse().ok()), Some(expiry), "the first one counts");

    let found = |token: String| assert_eq!(sas_expiry(&token), Some(expiry), "{token}");
    found(format!("SharedAccessSignature se={expiry}"));
    found(format!("{} {fields}", scheme.to_ascii_uppercase()));
    found(format!("{scheme} skn=first&{fields}"));
    found(format!("{scheme} {fields}&se=1"));
    if ends.len() == 1 {
        let reversed: Vec<&str> = fields.rsplit('&').collect();
        found(format!("{scheme} {}", reversed.join("&")));
    }
    assert_eq!(sas_expiry(&format!("Bearer {fields}")), None);
}
