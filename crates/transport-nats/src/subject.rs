//! Topics as subjects, and back. Pure.
//!
//! A topic's parts between dots become tokens of a subject, below a prefix. A byte of a part other than `A-Z a-z 0-9 - _`
//! is written as `%` and two hexadecimal digits in upper case; an empty part is a lone `%`. So every topic has a subject
//! and no two have the same; a subject that no topic has is refused.

use std::fmt;

use event_core::{Error, ErrorKind, Result, Topic};

/// The longest subject that is used, in bytes. A server reads a control line of 4,096 bytes at most unless it is told
/// otherwise, and there is more on it than the subject.
pub const MAX_SUBJECT: usize = 2_048;

/// The subjects below one prefix.
///
/// ```
/// use transport_nats::Subjects;
///
/// let subjects = Subjects::new("studio.events")?;
/// assert_eq!(subjects.subject("ftrack.update"), "studio.events.ftrack.update");
/// assert_eq!(subjects.subject("my company..*"), "studio.events.my%20company.%.%2A");
/// assert_eq!(subjects.topic("studio.events.my%20company.%.%2A").unwrap(), "my company..*");
/// assert!(subjects.topic("studio.events.my company").is_err());
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

/// Why a subject stands for no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectError {
    /// It is not below the prefix.
    Elsewhere,
    /// A token is empty, or has a byte that should have been escaped.
    NotEscaped,
    /// After `%` there are no two hexadecimal digits in upper case, or a byte is escaped that needs it not.
    BadEscape,
    /// What is escaped is not UTF-8.
    NotUtf8,
}

impl Subjects {
    /// The subjects below `prefix`: one or more tokens of `A-Z a-z 0-9 - _`, such as `events` or `studio.events`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for another prefix, or one of more than 128 bytes.
    pub fn new(prefix: impl Into<String>) -> Result<Self> {
        let prefix = prefix.into();
        let plain = |token: &str| !token.is_empty() && token.bytes().all(is_plain);
        if prefix.len() > 128 || !prefix.split('.').all(plain) {
            let message = format!(
                "\"{prefix}\" is no prefix of subjects; write tokens of letters, digits, - and _, with dots between them"
            );
            return Err(Error::new(ErrorKind::InvalidInput, "build transport", message));
        }
        Ok(Self { prefix })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Everything below the prefix, as a subscription names it.
    pub fn all(&self) -> String {
        format!("{}.>", self.prefix)
    }

    /// The subject of a topic.
    pub fn subject(&self, topic: &str) -> String {
        let mut subject = String::with_capacity(self.prefix.len() + 1 + topic.len());
        subject.push_str(&self.prefix);
        for part in topic.split('.') {
            subject.push('.');
            escape(part, &mut subject);
        }
        subject
    }

    /// The topic of a subject.
    ///
    /// # Errors
    ///
    /// [`SubjectError`] for a subject that [`Subjects::subject`] gives for no topic.
    pub fn topic(&self, subject: &str) -> Result<Topic, SubjectError> {
        let below = subject.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('.'));
        let tokens = below.ok_or(SubjectError::Elsewhere)?;
        let mut topic = Vec::with_capacity(tokens.len());
        for (n, token) in tokens.split('.').enumerate() {
            if n > 0 {
                topic.push(b'.');
            }
            unescape(token, &mut topic)?;
        }
        String::from_utf8(topic).map(Topic::from).map_err(|_| SubjectError::NotUtf8)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_escaped(byte: u8, out: &mut String) {
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn escape(part: &str, out: &mut String) {
    if part.is_empty() {
        out.push('%');
    }
    for byte in part.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            push_escaped(byte, out);
        }
    }
}

fn unescape(token: &str, out: &mut Vec<u8>) -> Result<(), SubjectError> {
    if token == "%" {
        return Ok(());
    }
    if token.is_empty() {
        return Err(SubjectError::NotEscaped);
    }
    let digit = |byte: Option<u8>| {
        let found = HEX.iter().position(|digit| Some(*digit) == byte);
        found.and_then(|value| u8::try_from(value).ok()).ok_or(SubjectError::BadEscape)
    };
    let mut bytes = token.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let escaped = digit(bytes.next())? << 4 | digit(bytes.next())?;
            // Only what `escape` writes: otherwise two subjects would stand for one topic.
            if is_plain(escaped) || escaped == b'.' {
                return Err(SubjectError::BadEscape);
            }
            out.push(escaped);
        } else if is_plain(byte) {
            out.push(byte);
        } else {
            return Err(SubjectError::NotEscaped);
        }
    }
    Ok(())
}

/// An id as the value of a header: what is not visible ASCII, and `%`, escaped as in subjects.
pub(crate) fn header_text(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            push_escaped(byte, &mut text);
        }
    }
    text
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elsewhere => "it is not below the prefix",
            Self::NotEscaped => "a token is empty or has a byte that is not escaped",
            Self::BadEscape => "an escape is not % and two digits, or stands for a byte that needs none",
            Self::NotUtf8 => "what is escaped is not UTF-8",
        })
    }
}

impl std::error::Error for SubjectError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Subjects {
        Subjects::new("events").unwrap()
    }

    #[test]
    fn usual_topics_are_their_own_subjects() {
        assert_eq!(subjects().subject("ftrack.action.launch"), "events.ftrack.action.launch");
        assert_eq!(subjects().topic("events.ftrack.update").unwrap(), "ftrack.update");
    }

    #[test]
    fn wildcards_blanks_and_empty_parts_are_escaped() {
        for (topic, subject) in [
            ("", "events.%"),
            (".", "events.%.%"),
            ("a..b", "events.a.%.b"),
            ("*", "events.%2A"),
            ("a.>", "events.a.%3E"),
            ("%", "events.%25"),
            ("a b\r\n\t", "events.a%20b%0D%0A%09"),
            ("é", "events.%C3%A9"),
        ] {
            assert_eq!(subjects().subject(topic), subject);
            assert_eq!(subjects().topic(subject).unwrap(), topic);
        }
    }

    #[test]
    fn a_subject_that_no_topic_has_is_refused() {
        for (subject, error) in [
            ("events", SubjectError::Elsewhere),
            ("other.a", SubjectError::Elsewhere),
            ("eventsx.a", SubjectError::Elsewhere),
            ("events.", SubjectError::NotEscaped),
            ("events.a..b", SubjectError::NotEscaped),
            ("events.a b", SubjectError::NotEscaped),
            ("events.é", SubjectError::NotEscaped),
            ("events.a%", SubjectError::BadEscape),
            ("events.%4", SubjectError::BadEscape),
            ("events.%2a", SubjectError::BadEscape),
            ("events.%41", SubjectError::BadEscape),
            ("events.%2E", SubjectError::BadEscape),
            ("events.%FF", SubjectError::NotUtf8),
        ] {
            assert_eq!(subjects().topic(subject), Err(error), "{subject}");
        }
    }

    #[test]
    fn a_prefix_is_made_of_plain_tokens() {
        for prefix in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "$JS", "é", &"x".repeat(129)] {
            assert_eq!(Subjects::new(prefix).unwrap_err().kind(), ErrorKind::InvalidInput, "{prefix}");
        }
        assert_eq!(Subjects::new("studio.events-1_a").unwrap().all(), "studio.events-1_a.>");
    }

    #[test]
    fn an_id_in_a_header_is_itself_or_escaped() {
        assert_eq!(header_text("0f0b5f9e-a1"), "0f0b5f9e-a1");
        assert_eq!(header_text("a%0A\nb c"), "a%250A%0Ab%20c");
    }
}
