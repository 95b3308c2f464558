//! Where the bytes go: a file, synced as the policy says.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{BackendError, StorageBackend};

use super::overlay::Overlay;
use crate::config::Fsync;

/// Makes the backend of a store, each time it is opened.
pub(crate) type Opener = Box<dyn Fn() -> Result<Backend, redb::Error> + Send + Sync>;

/// Opens a file, making it if it is not there.
pub(crate) fn file(path: &Path, fsync: Fsync) -> Opener {
    let path = path.to_owned();
    Box::new(move || {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(redb::Error::Io)?;
        let inner: Box<dyn StorageBackend> = Box::new(FileBackend::new(file).map_err(redb::Error::from)?);
        Ok(Backend { inner, synced: fsync == Fsync::EachGroup })
    })
}

/// Opens a file that is there, and leaves it as it is.
pub(crate) fn file_for_reading(path: &Path) -> Opener {
    let path = path.to_owned();
    Box::new(move || {
        let file = File::open(&path).map_err(redb::Error::Io)?;
        let file = Box::new(FileBackend::new(file).map_err(redb::Error::from)?);
        let overlay = Overlay::over(file).map_err(redb::Error::Io)?;
        Ok(Backend { inner: Box::new(overlay), synced: false })
    })
}

/// Nothing survives.
pub(crate) fn memory() -> Opener {
    Box::new(|| Ok(Backend { inner: Box::new(InMemoryBackend::new()), synced: false }))
}

/// Bytes, synced or left to the operating system.
pub(crate) struct Backend {
    pub(crate) inner: Box<dyn StorageBackend>,
    pub(crate) synced: bool,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("synced", &self.synced).finish_non_exhaustive()
    }
}

type Range = Bound<u64>;

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        if self.synced { self.inner.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn lock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn query_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
