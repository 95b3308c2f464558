//! Reading records again.

use std::collections::VecDeque;

use event_core::{Expression, Result};

use crate::journal::Journal;
use crate::record::Record;

/// Bytes read from the disk at a time.
const BATCH: usize = 1 << 20;

/// Records of a journal, one after the other. See [`Journal::replay`].
#[derive(Debug)]
pub struct Replay {
    journal: Journal,
    next: u64,
    read: VecDeque<Record>,
    matching: Option<Expression>,
}

impl Replay {
    pub(crate) fn new(journal: Journal, next: u64) -> Self {
        Self { journal, next, read: VecDeque::new(), matching: None }
    }

    /// Only those whose event matches.
    #[must_use]
    pub fn matching(mut self, expression: Expression) -> Self {
        self.matching = Some(expression);
        self
    }

    /// The next record; `None` at the end of what there is. Called again later, it goes on with what came meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// No record is lost.
    pub async fn next(&mut self) -> Option<Result<Record>> {
        loop {
            while let Some(record) = self.read.pop_front() {
                self.next = record.sequence + 1;
                if self.matching.as_ref().is_none_or(|wanted| wanted.matches(&record.event)) {
                    return Some(Ok(record));
                }
            }
            let from = self.next;
            match self.journal.read(move |file| file.read(from, BATCH)).await {
                Ok(records) if records.is_empty() => return None,
                Ok(records) => self.read = records.into(),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}
