//! Everything that happened in a run, in order.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The lines of a run, or only what they come to. Lines hold nothing that differs between runs from one seed: no
/// random ids, no addresses, no times but those since the start.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    line: String,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(keep: bool) -> Self {
        // FNV-1a
        Self { hash: 0xcbf2_9ce4_8422_2325, line: String::new(), lines: keep.then(Vec::new) }
    }

    pub(super) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a string cannot fail.
        let _ = writeln!(self.line, "{:>12.6} {what}", at.as_secs_f64());
        for byte in self.line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.trim_end().to_owned());
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
