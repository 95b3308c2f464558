//! What can still be read of a file, however damaged.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::record::{self, MAGIC};

/// Bytes searched at a time.
const BLOCK: usize = 1 << 20;
/// What a chunk begins with, up to its length.
const HEADER: u64 = 12;
/// No chunk is longer.
const LONGEST: u64 = 1 << 30;

/// What [`export`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Records written out.
    pub records: u64,
    /// The first sequence among them.
    pub first: Option<u64>,
    /// The last one.
    pub last: Option<u64>,
    /// Sequences between the first and the last that are missing.
    pub missing: u64,
    /// Records that are whole and do not read as events.
    pub unreadable: u64,
}

/// A chunk that is whole.
struct Whole {
    first: u64,
    at: u64,
    length: u64,
    crc: u32,
}

/// Writes every record that can be found in a journal's file, in order, one line of JSON each: `sequence`, `received`
/// (milliseconds since 1970), `gap`, and the `event` as it came. The file is searched byte by byte and need not open as
/// a store; it is not changed. Records that retention removed may still be found. Blocks: run it on a thread of its
/// own.
///
/// # Errors
///
/// Those of reading the file and of writing to `out`.
pub fn export(path: impl AsRef<Path>, out: &mut impl Write) -> io::Result<Exported> {
    let mut file = File::open(path)?;
    let mut found = search(&mut file)?;
    found.sort_unstable_by_key(|whole| (whole.first, whole.at));
    let (mut exported, mut seen, mut sequences) = (Exported::default(), BTreeSet::new(), BTreeSet::new());
    for whole in found {
        // A page that was moved is found twice.
        if !seen.insert((whole.first, whole.length, whole.crc)) {
            continue;
        }
        let bytes = read_at(&mut file, whole.at, whole.length)?;
        let Some((records, unreadable)) = record::decode(&bytes) else { continue };
        exported.unreadable += unreadable as u64;
        for record in records {
            exported.records += 1;
            exported.first = exported.first.or(Some(record.sequence));
            exported.last = exported.last.max(Some(record.sequence));
            sequences.insert(record.sequence);
            write!(
                out,
                "{{\"sequence\":{},\"received\":{},\"gap\":{},\"event\":",
                record.sequence, record.received, record.is_gap
            )?;
            // A line break in JSON is never part of a text.
            let event = record.event.to_json();
            let line: Vec<u8> =
                event.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
            out.write_all(&line)?;
            out.write_all(b"}\n")?;
        }
    }
    if let (Some(first), Some(last)) = (exported.first, exported.last) {
        exported.missing = last - first + 1 - sequences.len() as u64;
    }
    out.flush()?;
    Ok(exported)
}

fn read_at(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn search(file: &mut File) -> io::Result<Vec<Whole>> {
    let end = file.metadata()?.len();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < end {
        let block = read_at(file, at, BLOCK as u64)?;
        let mut offset = 0;
        while let Some(mark) =
            block.get(offset..).and_then(|rest| rest.windows(MAGIC.len()).position(|it| it == MAGIC))
        {
            let mark = offset + mark;
            let whole = match whole(&block[mark..], at + mark as u64) {
                Some(whole) => Some(whole),
                // It may reach beyond this block.
                None => whole_at(file, at + mark as u64, end, block.len() - mark)?,
            };
            let length =
                whole.as_ref().map_or(1, |whole| usize::try_from(whole.length).unwrap_or(usize::MAX));
            found.extend(whole);
            offset = mark.saturating_add(length);
        }
        if block.len() < BLOCK && offset <= block.len() {
            break;
        }
        // The next mark may lie across the border.
        at += offset.max(block.len() - MAGIC.len() + 1) as u64;
    }
    Ok(found)
}

fn whole(bytes: &[u8], at: u64) -> Option<Whole> {
    let (length, body) = record::whole(bytes)?;
    let first = u64::from_le_bytes(body.get(..8)?.try_into().ok()?);
    Some(Whole { first, at, length: length as u64, crc: crc32fast::hash(body) })
}

/// A chunk that is longer than what was read of it.
fn whole_at(file: &mut File, at: u64, end: u64, known: usize) -> io::Result<Option<Whole>> {
    let header = read_at(file, at, HEADER)?;
    let Some(length) = header.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    else {
        return Ok(None);
    };
    let length = HEADER + u64::from(length);
    if length <= known as u64 || length > LONGEST || at + length > end {
        return Ok(None);
    }
    Ok(whole(&read_at(file, at, length)?, at))
}
