//! Pure: dead letters, and how they lie on the disk.

use bytes::Bytes;
use event_core::Event;

use crate::cursor::Cause;
use crate::record::Reader;

/// An event that was given up, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Letter {
    /// Its place in the journal, or in the outbox.
    pub sequence: u64,
    /// The event.
    pub event: Event,
    /// Why it was given up.
    pub cause: Cause,
    /// What was said when it failed last.
    pub reason: Option<String>,
    /// How often it was delivered or sent.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub buried: u64,
}

impl Letter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let mut out = vec![match self.cause {
            Cause::Rejected => 1,
            Cause::DeliveryLimit => 2,
            Cause::Expired => 3,
            Cause::Refused => 4,
        }];
        out.extend(self.attempts.to_le_bytes());
        out.extend(self.buried.to_le_bytes());
        out.extend(u32::try_from(reason.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(reason.as_bytes());
        out.extend(self.event.to_json());
        out
    }

    pub(crate) fn decode(sequence: u64, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(Bytes::copy_from_slice(bytes));
        let cause = match reader.take(1)?[0] {
            1 => Cause::Rejected,
            2 => Cause::DeliveryLimit,
            3 => Cause::Expired,
            4 => Cause::Refused,
            _ => return None,
        };
        let (attempts, buried) = (reader.u32()?, reader.u64()?);
        let length = reader.u32()? as usize;
        let reason = reader.take(length)?;
        let reason = (!reason.is_empty()).then(|| String::from_utf8_lossy(&reason).into_owned());
        let event = Event::from_json(reader.0).ok()?;
        Some(Self { sequence, event, cause, reason, attempts, buried })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let event = Event::new("t", &serde_json::json!({"n": 1})).unwrap();
        for (cause, reason) in [
            (Cause::Rejected, None),
            (Cause::DeliveryLimit, Some("handle event: no such shot".to_owned())),
            (Cause::Expired, None),
            (Cause::Refused, Some("ü".to_owned())),
        ] {
            let letter = Letter { sequence: 7, event: event.clone(), cause, reason, attempts: 3, buried: 9 };
            let read = Letter::decode(7, &letter.encode()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{letter:?}"));
            assert_eq!(read.event.to_json(), letter.event.to_json());
        }
        assert!(Letter::decode(1, &[9; 40]).is_none() && Letter::decode(1, &[1, 2]).is_none());
    }
}
