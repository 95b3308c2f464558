//! Publishing into a stream, and what the stream says to it.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use event_core::transport::{Acknowledgement, Confirmer};
use event_core::{Error, ErrorKind, RawJson, Retry};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Shared, State, Waiting};
use crate::errors;
use crate::filter::covers;
use crate::stats::count;

/// The pause before a publish is made again for which there is no leader at the moment.
const PAUSE: Duration = Duration::from_millis(250);

/// A publish that the stream has not answered.
pub(super) struct Publishing {
    pub(super) subject: String,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
    pub(super) confirmer: Confirmer,
    /// Afterwards it is not made again.
    pub(super) deadline: Instant,
}

/// What JetStream answers: an error, or anything else.
#[derive(Deserialize)]
struct Answer {
    error: Option<Refusal>,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    code: u64,
    #[serde(default)]
    description: String,
}

/// Reads an answer of JetStream. Gives whether it had the event already.
pub(super) fn read_answer(
    shared: &Shared,
    op: &'static str,
    what: &str,
    message: &Message,
) -> Result<bool, Error> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(errors::no_jetstream(op, &shared.peer, shared.offers_jetstream));
    }
    let answer: Answer = serde_json::from_slice(&message.payload).map_err(|cause| {
        let text = format!("{} answers {what} with something that is not of JetStream", shared.peer);
        Error::new(ErrorKind::Protocol, op, text).with_source(cause)
    })?;
    match answer.error {
        None => Ok(answer.duplicate),
        Some(refusal) => {
            let code = if refusal.err_code == 0 { refusal.code } else { refusal.err_code };
            Err(errors::jetstream(op, what, code, &refusal.description))
        }
    }
}

impl Shared {
    /// Sends a publish to the stream.
    pub(super) fn publish_to_stream(&self, state: &mut State, publishing: Box<Publishing>) {
        let number = state.number();
        let question = self.question(
            number,
            publishing.subject.clone(),
            publishing.headers.clone(),
            publishing.payload.clone(),
        );
        state.outgoing.push_back(question);
        state.deadlines.push_back((Instant::now() + self.config.answer_timeout, number));
        state.waiting.insert(number, Waiting::Publish(publishing));
    }

    /// Whether the stream takes a subject, as it was when the link was made.
    pub(super) fn is_taken(state: &State, subject: &str) -> bool {
        state
            .stream
            .subjects
            .iter()
            .any(|taken| taken == subject || covers(taken, subject) || wild(taken, subject))
    }

    /// The stream answered a publish, or nobody did. Gives it back when nobody did for too long: the stream has no leader,
    /// or is not there.
    pub(super) fn published(
        &self,
        state: &mut State,
        publishing: Box<Publishing>,
        message: &Message,
    ) -> Option<Box<Publishing>> {
        const OP: &str = "publish";
        let counters = &self.config.counters;
        let error = match read_answer(self, OP, "the publish", message) {
            Ok(duplicate) => {
                state.streaming -= 1;
                if duplicate {
                    count(&counters.duplicates);
                }
                let words = RawJson::from_text(message.payload.clone()).ok();
                publishing.confirmer.confirm(Acknowledgement::with_data(words));
                return None;
            }
            Err(error) => error,
        };
        let again = Instant::now() + PAUSE;
        let no_answer = message.status == Some(StatusCode::NO_RESPONDERS);
        if no_answer || error.kind() == ErrorKind::Unreachable {
            if again >= publishing.deadline {
                return Some(publishing);
            }
            state.again.push_back((again, publishing));
            return None;
        }
        state.streaming -= 1;
        count(&counters.refused);
        publishing.confirmer.refuse(error);
        None
    }

    /// Makes those again whose pause is over.
    pub(super) fn publish_again(&self, state: &mut State, now: Instant) {
        while let Some((due, _)) = state.again.front() {
            if *due > now {
                return;
            }
            let Some((_, publishing)) = state.again.pop_front() else { return };
            self.publish_to_stream(state, publishing);
        }
    }

    /// Nobody stores what is published there.
    pub(super) fn nobody_takes(&self, subject: &str) -> Error {
        let stream = self.config.jetstream.as_ref().map_or("", |settings| &settings.stream);
        let message = format!(
            "the stream \"{stream}\" does not take \"{subject}\", or is not there any more; see its subjects, or create it \
             anew"
        );
        Error::new(ErrorKind::NotFound, "publish", message).with_retry(Retry::Never)
    }
}

/// Whether a subject with wildcards in the middle lets another through.
fn wild(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in pattern.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(same)) if token == same => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_what_its_subjects_let_through() {
        for (pattern, subject, takes) in [
            ("e.>", "e.a.b", true),
            ("e.>", "e", false),
            ("e.*.b", "e.a.b", true),
            ("e.*.b", "e.a.c", false),
            ("e.*", "e.a.b", false),
            ("e.a", "e.a", true),
            (">", "e", true),
        ] {
            assert_eq!(wild(pattern, subject), takes, "{pattern} {subject}");
        }
    }
}
