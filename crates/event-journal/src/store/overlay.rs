//! A file that is read, and changes to it that stay in memory: a store can be opened, and mended after a crash, without
//! writing to its file.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

/// Bytes that are kept together once one of them was changed.
const BLOCK: u64 = 4_096;

type Range = Bound<u64>;

/// See the module. Others may read the file meanwhile and not write it: every lock that is asked for is shared.
pub(crate) struct Overlay {
    file: Box<dyn StorageBackend>,
    changes: Mutex<Changes>,
}

struct Changes {
    /// How long it is with the changes.
    len: u64,
    /// From here on, nothing of the file is left.
    of_file: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(crate) fn over(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, changes: Mutex::new(Changes { len, of_file: len, blocks: BTreeMap::new() }) })
    }

    /// What the file has there; zeros past its end.
    fn below(&self, changes: &Changes, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = changes.of_file.saturating_sub(offset).min(out.len() as u64);
        let (there, past) = out.split_at_mut(usize::try_from(there).unwrap_or(usize::MAX));
        past.fill(0);
        if there.is_empty() { Ok(()) } else { self.file.read(offset, there) }
    }
}

/// Where a block and a stretch of `length` bytes at `offset` meet: begin and end, counted in the stretch.
fn meeting(block: u64, offset: u64, length: usize) -> (usize, usize) {
    let count = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(length);
    (count(block), count(block + BLOCK))
}

/// The bytes of a block from a place on.
fn within(block: u64, offset: u64, from: usize) -> usize {
    usize::try_from((offset + from as u64).saturating_sub(block)).unwrap_or(usize::MAX)
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes.lock();
        let length = out.len();
        if offset.checked_add(length as u64).is_none_or(|end| end > changes.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.below(&changes, offset, out)?;
        let first = offset - offset % BLOCK;
        for (block, bytes) in changes.blocks.range(first..offset + length as u64) {
            let (from, to) = meeting(*block, offset, length);
            let at = within(*block, offset, from);
            out[from..to].copy_from_slice(&bytes[at..at + to - from]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = self.changes.lock();
        changes.of_file = changes.of_file.min(len);
        changes.blocks.retain(|block, bytes| {
            let kept = usize::try_from(len.saturating_sub(*block)).unwrap_or(usize::MAX);
            if let Some(cut) = bytes.get_mut(kept..) {
                cut.fill(0);
            }
            *block < len
        });
        changes.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes.lock();
        let mut block = offset - offset % BLOCK;
        while block < offset + data.len() as u64 {
            if !changes.blocks.contains_key(&block) {
                let mut bytes = vec![0; usize::try_from(BLOCK).unwrap_or(0)];
                self.below(&changes, block, &mut bytes)?;
                changes.blocks.insert(block, bytes);
            }
            let (from, to) = meeting(block, offset, data.len());
            let at = within(block, offset, from);
            if let Some(bytes) = changes.blocks.get_mut(&block) {
                bytes[at..at + to - from].copy_from_slice(&data[from..to]);
            }
            block += BLOCK;
        }
        changes.len = changes.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn lock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn query_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    use super::*;

    fn filled(bytes: &[u8]) -> Box<dyn StorageBackend> {
        let file = InMemoryBackend::new();
        file.set_len(bytes.len() as u64).unwrap();
        file.write(0, bytes).unwrap();
        Box::new(file)
    }

    proptest! {
        #[test]
        fn it_reads_as_if_the_file_had_been_changed(
            len in 0..20_000_usize,
            steps in prop::collection::vec((0..3_u8, 0..20_000_usize, 1..9_000_usize, any::<u8>()), 1..20),
        ) {
            let original: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let overlay = Overlay::over(filled(&original)).unwrap();
            let mut expected = original;
            for (step, at, count, byte) in steps {
                match step {
                    0 => {
                        expected.resize(at, 0);
                        overlay.set_len(at as u64).unwrap();
                    }
                    1 => {
                        let end = at + count;
                        if expected.len() < end {
                            expected.resize(end, 0);
                            overlay.set_len(end as u64).unwrap();
                        }
                        expected[at..end].fill(byte);
                        overlay.write(at as u64, &vec![byte; count]).unwrap();
                    }
                    _ => {
                        let mut out = vec![0; count];
                        let read = overlay.read(at as u64, &mut out);
                        match expected.get(at..at + count) {
                            Some(there) => prop_assert!(out == there),
                            None => prop_assert!(read.is_err()),
                        }
                    }
                }
                let mut out = vec![0; expected.len()];
                overlay.read(0, &mut out).unwrap();
                prop_assert!(out == expected);
            }
        }
    }
}
