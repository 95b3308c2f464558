//! F19: everything at TRACE, with secrets that can be recognised. None of them may be written anywhere.

mod ftrack;
mod imodelhub;

use std::error::Error as _;
use std::fmt::{Debug, Write as _};

use super::FAULTS;
use super::stage;
use crate::capture::Capture;
use crate::fault::{Clock, Fault, Playing, Run, Size};
use crate::figures::{Broken, Figures, ensure};
use crate::marks::{MARK, Needles};

pub(super) const FAULT: Fault = Fault {
    id: "F19",
    what: "everything at TRACE with marked keys, tokens and passwords",
    holds: "no secret in logs, errors and debug text, in whatever form",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// What must have been logged, or the capture missed something: our crates, and others by `log`.
const HEARD: [&str; 8] = [
    "TRACE",
    "DEBUG",
    "websocket session stands",
    "reconnecting",
    "credentials renewed",
    "tungstenite::",
    "reqwest::",
    "rustls::",
];
/// What must have been shown, or the text is empty of what matters.
const SHOWN: [&str; 10] = [
    "Session",
    "SessionBuilder",
    "IModelHubClient",
    "AccessToken",
    "SasToken",
    "ListenerBuilder",
    "Unauthenticated",
    "Unreachable",
    "Refused",
    "Timeout",
];

/// What programs can show: debug text of whatever is public, and errors with all their causes.
#[derive(Default)]
pub(super) struct Shown {
    text: String,
    things: usize,
}

impl Shown {
    pub(super) fn debug(&mut self, thing: &dyn Debug) {
        self.things += 1;
        let _ = writeln!(self.text, "{thing:?} {thing:#?}");
    }

    pub(super) fn error(&mut self, error: &event_core::Error) {
        self.debug(error);
        let _ = writeln!(self.text, "{error} {}", error.message());
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = writeln!(self.text, "{error} {error:?}");
            cause = error.source();
        }
    }

    /// The outcome of a step, whatever it is.
    pub(super) fn outcome<T>(&mut self, outcome: Result<T, event_core::Error>) -> Option<T> {
        outcome.map_err(|error| self.error(&error)).ok()
    }
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let capture = Capture::new()?;
    let guard = capture.on_this_thread();
    let mut shown = Shown::default();
    let mut secrets = vec![MARK.to_owned()];
    // Passwords of proxies are looked for by F18.
    ftrack::play(&mut shown).await?;
    secrets.extend(imodelhub::play(&mut shown).await?);
    drop(guard);
    let needles = Needles::of(secrets.iter().map(String::as_str))?;
    let log = capture.take();
    search("the log", &needles, &log)?;
    search("what is shown", &needles, shown.text.as_bytes())?;
    let log = String::from_utf8_lossy(&log);
    for word in HEARD {
        ensure(log.contains(word), || format!("nothing of \"{word}\" was logged, so nothing was shown"))?;
    }
    for word in SHOWN {
        ensure(shown.text.contains(word), || format!("no \"{word}\" was shown, so nothing was proven"))?;
    }
    let figures = Figures::new()
        .with("lines", log.lines().count())
        .with("things shown", shown.things)
        .with("secrets", secrets.len())
        .with("found", 0);
    if run.size == Size::Small { Ok(figures) } else { Ok(figures.and("suite", suite(run, capture).await?)) }
}

fn search(place: &str, needles: &Needles, hay: &[u8]) -> Result<(), Broken> {
    needles.find(hay).map_or(Ok(()), |around| Err(Broken::new(format!("a secret in {place}: {around}"))))
}

/// Every other scene, in its small size, while everything it logs is searched.
async fn suite(run: Run, capture: Capture) -> Result<Figures, Broken> {
    let needles = Needles::of([MARK])?;
    let (mut scenes, mut lines) = (0, 0);
    for fault in FAULTS.iter().filter(|fault| fault.id != FAULT.id) {
        let on_it = capture.clone();
        let playing = tokio::task::spawn_blocking(move || {
            let _guard = on_it.on_this_thread();
            fault.run(Run::small(run.seed))
        });
        let figures = playing.await.map_err(stage::broken("play a scene"))?;
        let log = capture.take();
        search(fault.id, &needles, &log)?;
        let said = figures.map_or_else(|broken| broken.to_string(), |figures| figures.to_string());
        search(fault.id, &needles, said.as_bytes())?;
        scenes += 1;
        lines += log.split(|byte| *byte == b'\n').count();
    }
    Ok(Figures::new().with("scenes", scenes).with("lines", lines).with("found", 0))
}
