//! Everything that is logged on a thread, at TRACE, whoever logs it and whether by `tracing` or by `log`.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::Dispatch;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::figures::Broken;

/// What was logged since it was made, as text.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    text: Arc<Mutex<Vec<u8>>>,
    dispatch: Dispatch,
}

struct Pen(Arc<Mutex<Vec<u8>>>);

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Capture {
    pub(crate) fn new() -> Result<Self, Broken> {
        static LOG: OnceLock<Option<String>> = OnceLock::new();
        // While there is one subscriber only, a line that another thread reaches first, without a subscriber, is switched
        // off for all (`tracing-core` 0.1 asks the present thread's). With two it asks both.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| {
            let level = tracing::Level::TRACE;
            Dispatch::new(tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::sink).finish())
        });
        // What other crates say by `log` goes to the subscriber of the thread.
        let failure = LOG.get_or_init(|| tracing_log::LogTracer::init().err().map(|error| error.to_string()));
        if let Some(failure) = failure {
            return Err(Broken::new(format!("`log` cannot be captured: {failure}")));
        }
        let text = Arc::new(Mutex::new(Vec::new()));
        let pen = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || Pen(Arc::clone(&pen)))
            .finish();
        Ok(Self { text, dispatch: Dispatch::new(subscriber) })
    }

    /// Captures what the thread logs, until the guard is dropped.
    pub(crate) fn on_this_thread(&self) -> tracing::dispatcher::DefaultGuard {
        tracing::dispatcher::set_default(&self.dispatch)
    }

    /// What was logged since the last time.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.text.lock())
    }
}
