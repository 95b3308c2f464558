//! Ids of the service as types, checked before anything is sent.

use std::fmt;

use event_core::{Error, ErrorKind, Result};

/// Whether a text is a GUID in the form that the service takes: 8-4-4-4-12 hexadecimal digits in any case, of any
/// version, all zeroes included; no braces, no blanks.
fn is_guid(text: &str) -> bool {
    let mut groups = text.split('-');
    let fits = [8, 4, 4, 4, 12].into_iter().all(|length| {
        groups
            .next()
            .is_some_and(|group| group.len() == length && group.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    fits && groups.next().is_none()
}

macro_rules! guid {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks and takes a GUID; its case is kept.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::InvalidInput`] unless it has the form 8-4-4-4-12 of hexadecimal digits.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                if is_guid(&text) {
                    return Ok(Self(text));
                }
                let message = if text.is_empty() {
                    concat!("the ", $what, " is empty").to_owned()
                } else {
                    format!(concat!("the ", $what, " \"{}\" is not a GUID such as \
                         0a1b2c3d-1111-2222-3333-444455556666"), text.escape_debug())
                };
                Err(Error::new(ErrorKind::InvalidInput, concat!("read ", $what), message))
            }

            /// The GUID as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }
    };
}

guid! {
    /// The id of an iModel.
    IModelId, "iModel id"
}

guid! {
    /// The id that a caller gives a global event subscription, to find it again.
    GlobalSubscriptionKey, "global subscription id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_of_any_version_and_case_are_taken_and_nothing_else() {
        for good in [
            "0a1b2c3d-1111-2222-3333-444455556666",
            "00000000-0000-0000-0000-000000000000",
            "ABCDEF01-FFFF-ffff-0000-abcdefABCDEF",
        ] {
            assert_eq!(IModelId::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            " 0a1b2c3d-1111-2222-3333-444455556666",
            "{0a1b2c3d-1111-2222-3333-444455556666}",
            "0a1b2c3d111122223333444455556666",
            "0a1b2c3d-1111-2222-3333-44445555666",
            "0a1b2c3d-1111-2222-3333-444455556666-",
            "0a1b2c3g-1111-2222-3333-444455556666",
            "../../admin",
        ] {
            assert_eq!(IModelId::new(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
