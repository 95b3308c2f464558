//! A launched action: what it is given, what it may answer, and work that goes on after the answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use event_core::{Context, Error, ErrorKind, Event, Json, RawJson, Result};
use serde_json::Value;

use super::form::Form;
use super::values::FormValues;
use crate::events::{ActionLaunch, ActionResult, Selected, TriggerUserInterface};

/// What an action is launched with.
#[derive(Clone)]
pub struct Launch {
    pub(super) payload: ActionLaunch,
    pub(super) values: FormValues,
    pub(super) event: Event,
    pub(super) context: Context,
}

impl Launch {
    /// What is selected.
    pub fn selection(&self) -> &[Selected] {
        self.payload.selection()
    }

    /// The submitted form; empty when the action has none.
    pub fn values(&self) -> &FormValues {
        &self.values
    }

    /// The name of the user who launched it, if the event says.
    pub fn username(&self) -> Option<&str> {
        self.event.source().get("user")?.get("username").and_then(Value::as_str)
    }

    /// The whole payload: what the item carried along is in [`ActionLaunch::rest`].
    pub fn payload(&self) -> &ActionLaunch {
        &self.payload
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The surroundings: the hub, further replies.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// What an action answers to its launch.
pub struct Outcome(pub(super) Answering);

pub(super) enum Answering {
    Result(ActionResult),
    Form(Form),
    Later(String, Work),
}

pub(super) type Work =
    Box<dyn FnOnce(Progress) -> Pin<Box<dyn Future<Output = Result<String>> + Send>> + Send>;

impl Outcome {
    /// It went well; the user reads this.
    pub fn success(message: impl Into<String>) -> Self {
        Self(Answering::Result(ActionResult::success(message)))
    }

    /// It did not go well; the user reads this.
    pub fn failure(message: impl Into<String>) -> Self {
        Self(Answering::Result(ActionResult::failure(message)))
    }

    /// Another form. When it is submitted, the action is launched again, with its values.
    pub fn form(form: Form) -> Self {
        Self(Answering::Form(form))
    }

    /// Work that takes longer than the user's web page waits: it answers at once that it went well, then does the
    /// work, and shows the user how it ended, by a message.
    ///
    /// An action works on so many at a time as [`ActionBuilder::background`](super::ActionBuilder::background) says;
    /// one more is answered with a failure. [`ActionHandle::remove`](super::ActionHandle::remove) waits for them.
    pub fn later<F, Fut, T, E>(message: impl Into<String>, work: F) -> Self
    where
        F: FnOnce(Progress) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<String>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let work = |progress| -> Pin<Box<dyn Future<Output = Result<String>> + Send>> {
            let working = work(progress);
            Box::pin(async move { working.await.map(Into::into).map_err(failed) })
        };
        Self(Answering::Later(message.into(), Box::new(work)))
    }
}

/// What an `on_launch` function may return: an [`Outcome`], a message of success, a form, or a failure.
pub trait IntoOutcome {
    /// The outcome.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Handler`]: the user reads the message, and the failure is counted and reported.
    fn into_outcome(self) -> Result<Outcome>;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(self)
    }
}

impl IntoOutcome for ActionResult {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(Outcome(Answering::Result(self)))
    }
}

impl IntoOutcome for Form {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(Outcome::form(self))
    }
}

impl IntoOutcome for String {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(Outcome::success(self))
    }
}

impl IntoOutcome for &str {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(Outcome::success(self))
    }
}

impl<T: IntoOutcome, E: Into<Box<dyn std::error::Error + Send + Sync>>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<Outcome> {
        self.map_err(failed).and_then(T::into_outcome)
    }
}

/// An action's failure, in its own words.
fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    Error::new(ErrorKind::Handler, "run action", cause.to_string()).with_source(cause)
}

/// How work that goes on after the answer talks to the user who launched it.
#[derive(Clone)]
pub struct Progress {
    event: Event,
    context: Context,
}

impl Progress {
    pub(super) fn new(event: Event, context: Context) -> Self {
        Self { event, context }
    }

    /// Shows the user a message, on the web pages that are open (`ftrack.action.trigger-user-interface`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when the launch does not say whose it was, [`ErrorKind::Closed`] when the hub is
    /// gone, and those of publishing. The work may go on regardless.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not unsend the message.
    pub async fn say(&self, message: impl Into<String>) -> Result<()> {
        self.show(&TriggerUserInterface::message(true, message)).await
    }

    /// Shows the user something else than a message of success.
    ///
    /// # Errors
    ///
    /// As [`Progress::say`].
    pub async fn show(&self, what: &TriggerUserInterface) -> Result<()> {
        let event = what.for_user_of(&self.event)?;
        let Some(hub) = self.context.hub() else {
            return Err(Error::new(ErrorKind::Closed, "show progress", "the hub is gone"));
        };
        hub.publish(event).await.map(drop)
    }

    /// The event that launched the action.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The surroundings of the launch.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Tells the user how it ended, and the hub of failures.
    pub(super) async fn finish(self, ended: Result<String>) {
        let shown = match &ended {
            Ok(message) => self.say(message).await,
            Err(error) => self.show(&TriggerUserInterface::message(false, error.message())).await,
        };
        for error in [ended.err(), shown.err()].into_iter().flatten() {
            self.context.report_failure(error);
        }
    }
}

/// The reply of an outcome that is no work.
pub(super) fn reply(answering: Answering) -> Result<Option<RawJson>> {
    use event_core::IntoReply;
    match answering {
        Answering::Result(result) => Json(result).into_reply(),
        Answering::Form(form) => Json(form).into_reply(),
        Answering::Later(message, _) => Json(ActionResult::success(message)).into_reply(),
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("payload", &self.payload)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Answering::Result(_) => "Outcome(result)",
            Answering::Form(_) => "Outcome(form)",
            Answering::Later(..) => "Outcome(later)",
        })
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("event", &self.event).finish_non_exhaustive()
    }
}
