//! The ground: ids, topics and secrets as types, spelled as the services spell them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is; nothing is trimmed or changed.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text, as it stands on the wire.
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
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

text_name! {
    /// The identity of one event: chosen by its publisher, echoed as `inReplyToEvent` by replies, and the key
    /// by which repeats are recognised.
    EventId
}

text_name! {
    /// What an event is about, a dotted name such as `ftrack.update`.
    Topic
}

text_name! {
    /// The identity of one subscription: the subscriber's id on a hub, the subscription's id on a queue service.
    SubscriptionId
}

impl EventId {
    /// A new random id: 32 hexadecimal digits of a version 4 UUID.
    pub fn random() -> Self {
        Self::from(&*random().encode_lower(&mut [0; 32]))
    }
}

/// What a random id is made of.
fn random() -> uuid::fmt::Simple {
    uuid::Uuid::new_v4().simple()
}

impl SubscriptionId {
    /// A new random id: 32 hexadecimal digits of a version 4 UUID.
    pub fn random() -> Self {
        Self::from(&*random().encode_lower(&mut [0; 32]))
    }
}

/// A credential. `Debug` prints a placeholder, there is no `Display`, and the memory is wiped on drop.
///
/// ```
/// let key = event_core::Secret::new("7545384e-a653-11e1-a82c-f22c11dd25eq");
/// assert_eq!(format!("{key:?}"), "Secret([REDACTED])");
/// assert_eq!(key.expose().len(), 36);
/// ```
#[derive(Clone)]
pub struct Secret(secrecy::SecretString);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<String>) -> Self {
        Self(secrecy::SecretString::from(text.into()))
    }

    /// The credential itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        secrecy::ExposeSecret::expose_secret(&self.0)
    }

    /// Whether the credential is the empty text.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_distinct_and_32_hex_digits() {
        let (a, b) = (EventId::random(), EventId::random());
        assert_ne!(a, b);
        assert!(a.as_str().len() == 32 && a.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let secret = Secret::from("marked-key-4711");
        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("4711"));
    }
}
