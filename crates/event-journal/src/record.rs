//! Pure: records, and the chunks in which they lie on the disk.
//!
//! A chunk holds the records of one group, up to 64 KiB, so that the store's pages are filled:
//!
//! ```text
//! magic "EVJ1"  crc32 of what follows (u32)  length of what follows (u32)
//! first sequence (u64)  count (u32)
//! count times: received (u64)  flags (u8)  length of the route (u16)  length of the event (u32)  route  event
//! ```
//!
//! Numbers are little-endian. A chunk says by itself whether it is whole, so that a damaged file can be searched for
//! them.

use bytes::Bytes;
use event_core::{Event, Result, SubscriptionId};

/// The format that this version writes.
pub(crate) const FORMAT: u32 = 1;
/// How a chunk begins.
pub(crate) const MAGIC: [u8; 4] = *b"EVJ1";
/// Bytes of a chunk, unless one record is larger: with the store's own header it fills 16 pages.
pub(crate) const CHUNK: usize = 65_400;
const HEADER: usize = 12;
const COUNTED: usize = 12;
const FIXED: usize = 15;
const IS_GAP: u8 = 1;
const IS_DIRECT: u8 = 2;
const IS_EXACT: u8 = 4;

/// One thing in a journal: an event as it came, or a gap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// Its place: 1 for the first, then without a hole.
    pub sequence: u64,
    /// When it came, in milliseconds since 1970.
    pub received: u64,
    /// The event. A gap is an event on [`GAP_TOPIC`](crate::GAP_TOPIC).
    pub event: Event,
    /// Whether it is a gap that this journal noted.
    pub is_gap: bool,
    /// Whom it is for: everybody who matches, or the subscription of this name alone.
    pub(crate) to: Option<SubscriptionId>,
    /// Whether the service filtered it exactly as this SDK does.
    pub(crate) exact: bool,
}

/// A record as bytes, on its way into a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) received: u64,
    pub(crate) event: Bytes,
    pub(crate) is_gap: bool,
    pub(crate) to: Option<SubscriptionId>,
    pub(crate) exact: bool,
}

impl Draft {
    fn route(&self) -> &str {
        let route = self.to.as_ref().map_or("", SubscriptionId::as_str);
        // The length is 16 bits; no name is that long.
        route.get(..route.len().min(usize::from(u16::MAX))).unwrap_or("")
    }

    pub(crate) fn len(&self) -> usize {
        FIXED + self.route().len() + self.event.len()
    }
}

/// Splits drafts into chunks: how many go into each.
pub(crate) fn split(drafts: &[Draft]) -> Vec<usize> {
    let (mut sizes, mut count, mut bytes) = (Vec::new(), 0, HEADER + COUNTED);
    for draft in drafts {
        if count > 0 && bytes + draft.len() > CHUNK {
            sizes.push(count);
            (count, bytes) = (0, HEADER + COUNTED);
        }
        count += 1;
        bytes += draft.len();
    }
    if count > 0 {
        sizes.push(count);
    }
    sizes
}

/// One chunk.
pub(crate) fn encode(first: u64, drafts: &[Draft]) -> Vec<u8> {
    let length: usize = COUNTED + drafts.iter().map(Draft::len).sum::<usize>();
    let mut out = Vec::with_capacity(HEADER + length);
    out.extend(MAGIC);
    out.extend([0; 4]);
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(first.to_le_bytes());
    out.extend(u32::try_from(drafts.len()).unwrap_or(u32::MAX).to_le_bytes());
    for draft in drafts {
        let route = draft.route();
        let flags = if draft.is_gap { IS_GAP } else { 0 }
            | if draft.to.is_some() { IS_DIRECT } else { 0 }
            | if draft.exact { IS_EXACT } else { 0 };
        out.extend(draft.received.to_le_bytes());
        out.push(flags);
        out.extend(u16::try_from(route.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(u32::try_from(draft.event.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(route.as_bytes());
        out.extend(&draft.event);
    }
    let crc = crc32fast::hash(&out[HEADER..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// A whole chunk at the beginning of `bytes`, if there is one: its length and what is in it.
pub(crate) fn whole(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?;
    (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then_some((HEADER + length, body))
}

/// The records of a chunk; `None` when it is not whole. What is whole and does not read as an event is left out, and
/// counted in the second value.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Vec<Record>, usize)> {
    let (_, body) = whole(bytes)?;
    let mut reader = Reader(Bytes::copy_from_slice(body));
    let first = reader.u64()?;
    let count = reader.u32()?;
    let (mut records, mut unreadable) = (Vec::new(), 0);
    for n in 0..u64::from(count) {
        let received = reader.u64()?;
        let flags = reader.take(1)?[0];
        let (route, event) = (usize::from(reader.u16()?), reader.u32()? as usize);
        let route = reader.take(route)?;
        let event = reader.take(event)?;
        let Ok(event) = read_event(event) else {
            unreadable += 1;
            continue;
        };
        let to = (flags & IS_DIRECT != 0).then(|| SubscriptionId::from(&*String::from_utf8_lossy(&route)));
        records.push(Record {
            sequence: first.checked_add(n)?,
            received,
            event,
            is_gap: flags & IS_GAP != 0,
            to,
            exact: flags & IS_EXACT != 0,
        });
    }
    Some((records, unreadable))
}

fn read_event(bytes: Bytes) -> Result<Event> {
    Event::from_json(bytes)
}

/// Takes numbers and slices off the front.
pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    pub(crate) fn take(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.0.len()).then(|| self.0.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.as_ref().try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draft(n: u64, size: usize) -> Draft {
        let event = Event::builder("t").id(n.to_string()).data(&"x".repeat(size)).build().unwrap();
        Draft { received: n, event: event.to_json(), is_gap: false, to: None, exact: false }
    }

    #[test]
    fn chunks_are_filled_and_a_large_record_has_its_own() {
        let drafts: Vec<_> = [1_000, 60_000, 5_000, 200_000, 10].map(|size| draft(1, size)).into();
        assert_eq!(split(&drafts), [2, 1, 1, 1]);
        assert_eq!(split(&[]), [0_usize; 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            first in 0..u64::MAX / 2,
            records in prop::collection::vec((any::<u64>(), any::<bool>(), prop::option::of(".{0,20}"), ".{0,60}"), 0..20),
        ) {
            let drafts: Vec<_> = records
                .iter()
                .map(|(received, flag, to, text)| Draft {
                    received: *received,
                    event: Event::new("t", text).unwrap().to_json(),
                    is_gap: *flag,
                    to: to.as_deref().map(SubscriptionId::from),
                    exact: !flag,
                })
                .collect();
            let bytes = encode(first, &drafts);
            let (read, unreadable) = decode(&bytes).unwrap();
            prop_assert_eq!((read.len(), unreadable), (drafts.len(), 0));
            for ((n, draft), record) in (0..).zip(&drafts).zip(&read) {
                prop_assert_eq!(record.sequence, first + n);
                prop_assert_eq!(record.received, draft.received);
                prop_assert_eq!(record.event.to_json(), draft.event.clone());
                prop_assert_eq!((&record.to, record.is_gap, record.exact), (&draft.to, draft.is_gap, draft.exact));
            }
        }

        #[test]
        fn a_changed_or_shortened_chunk_is_not_whole(at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
            let mut bytes = encode(7, &[draft(1, 30), draft(2, 30)]);
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            prop_assert!(decode(&bytes).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = MAGIC.to_vec();
            framed.extend(crc32fast::hash(&bytes).to_le_bytes());
            framed.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
            framed.extend(&bytes);
            let _ = decode(&bytes);
            let _ = decode(&framed);
        }
    }
}
