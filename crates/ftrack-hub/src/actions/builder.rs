//! Describing an action, and what it does with the events that concern it.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use event_core::{Context, Error, ErrorKind, Event, Expression, Json, RawJson, Result, Subscription};
use futures_util::future::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::discover::{IntoOffer, Offer, Scope};
use super::form::Form;
use super::handle::ActionHandle;
use super::launch::{Answering, IntoOutcome, Launch, Outcome, Progress, Work, reply};
use super::values::FormValues;
use crate::EventHub;
use crate::events::{
    ActionDiscover, ActionIdentifier, ActionItem, ActionItems, ActionLaunch, ActionResult, DecodeError, On,
    Payload,
};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
type Discovering = Arc<dyn Fn(ActionDiscover, Event) -> Boxed<Offer> + Send + Sync>;
type Launching = Arc<dyn Fn(Launch) -> Boxed<Outcome> + Send + Sync>;
type Asking = Arc<dyn Fn(&ActionLaunch) -> Form + Send + Sync>;

/// An action being described. See [`EventHub::action`].
#[must_use = "nothing is offered until on_launch is awaited"]
pub struct ActionBuilder {
    hub: EventHub,
    identifier: ActionIdentifier,
    item: ActionItem,
    scope: Scope,
    user_only: bool,
    where_: Vec<String>,
    discovering: Option<Discovering>,
    form: Option<Asking>,
    concurrency: usize,
    background: usize,
}

impl EventHub {
    /// Describes an action: an entry of the menu that ftrack shows for a selection, and what it does.
    ///
    /// The identifier names the action in events; give each action its own, with your studio's name in it. A hub may
    /// have many actions.
    ///
    /// ```
    /// # use ftrack_hub::{Error, EventHub};
    /// use ftrack_hub::actions::{Form, Input, Launch};
    ///
    /// # async fn example(hub: EventHub) -> Result<(), Error> {
    /// let publish = hub
    ///     .action("studio.publish")
    ///     .label("Publish")
    ///     .icon("publish")
    ///     .for_entities(["AssetVersion"])
    ///     .form(Form::new("Publish").with(Input::text("comment").label("Comment").required()))
    ///     .on_launch(async |launch: Launch| {
    ///         let comment = launch.values().text("comment")?;
    ///         Ok::<_, Error>(format!("{} version(s) published: {comment}", launch.selection().len()))
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn action(&self, identifier: impl Into<ActionIdentifier>) -> ActionBuilder {
        let identifier = identifier.into();
        ActionBuilder {
            hub: self.clone(),
            item: ActionItem::new(identifier.as_str()),
            identifier,
            scope: Scope::default(),
            user_only: false,
            where_: Vec::new(),
            discovering: None,
            form: None,
            concurrency: 4,
            background: 32,
        }
    }
}

impl ActionBuilder {
    /// What the menu says. Default: the identifier.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.item.label = Some(label.into()).into();
        self
    }

    /// Which of several with the same label; ftrack shows them under one.
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        self.item = self.item.variant(variant);
        self
    }

    /// What it does.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.item = self.item.description(description);
        self
    }

    /// The address of a picture, or the name of one that ftrack has.
    pub fn icon(mut self, icon: impl Into<String>) -> Self {
        self.item = self.item.icon(icon);
        self
    }

    /// Offered only when something is selected and all of it is of these types, in any spelling of
    /// [`EntityType::is`](crate::events::EntityType::is).
    ///
    /// A selection calls everything in the hierarchy of a project `task`, shots and sequences too: name
    /// `TypedContext`, and look closer in [`ActionBuilder::on_discover`].
    pub fn for_entities<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.scope.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Offered only when exactly one entity is selected.
    pub fn single(mut self) -> Self {
        self.scope.single = true;
        self
    }

    /// Offered to and launched by the session's own API user only, as for a tool on one person's workstation. The
    /// server does the filtering.
    pub fn user_only(mut self) -> Self {
        self.user_only = true;
        self
    }

    /// Narrows the subscriptions of the action: only events that match this expression, too.
    pub fn where_(mut self, expression: impl Into<String>) -> Self {
        self.where_.push(expression.into());
        self
    }

    /// Decides for each selection whether the action is offered, and as which items. Default: it is, as the builder
    /// describes it. Called only for selections of the right types.
    pub fn on_discover<F, Fut>(mut self, discover: F) -> Self
    where
        F: Fn(ActionDiscover, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOffer> + Send + 'static,
    {
        self.discovering = Some(Arc::new(move |payload, event| {
            let discovering = discover(payload, event);
            Box::pin(async move { discovering.await.into_offer() })
        }));
        self
    }

    /// Asks for values before the action runs. They are checked: one that is missing or of a wrong type is answered
    /// with a failure that names the field, and the action does not run.
    pub fn form(self, form: Form) -> Self {
        self.form_with(move |_launch| form.clone())
    }

    /// Like [`ActionBuilder::form`], with a form that depends on the launch. It is asked twice: to show the form and
    /// to check what was submitted.
    pub fn form_with(mut self, form: impl Fn(&ActionLaunch) -> Form + Send + Sync + 'static) -> Self {
        self.form = Some(Arc::new(form));
        self
    }

    /// How many launches are handled at a time. Default 4.
    pub fn concurrency(mut self, launches: usize) -> Self {
        self.concurrency = launches;
        self
    }

    /// How much work of [`Outcome::later`] goes on at a time. Default 32.
    pub fn background(mut self, works: usize) -> Self {
        self.background = works;
        self
    }

    /// Runs the action when it is launched, and offers it from now on.
    ///
    /// A launch is answered by what the function returns. A failure is answered with its message, counted and
    /// reported; so are a panic, and a launch whose payload does not decode, for which the function is not called. The handle may be dropped: the action stays until [`ActionHandle::remove`] or the end of the hub.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Duplicate`] when this hub has an action with this identifier,
    /// [`ErrorKind::InvalidExpression`] for an identifier or a user name that no expression can carry, and those of
    /// [`Subscribe::handle`](event_core::hub::Subscribe::handle).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no action behind.
    pub async fn on_launch<F, Fut>(self, launch: F) -> Result<ActionHandle>
    where
        F: Fn(Launch) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        let launching: Launching = Arc::new(move |given| {
            let launching = launch(given);
            Box::pin(async move { launching.await.into_outcome() })
        });
        let whose = self.whose()?;
        let own = Expression::eq("data.actionIdentifier", self.identifier.as_str())?;
        let discover_on = self.narrowed(self.hub.on::<ActionDiscover>(), whose.as_ref());
        let launch_on = self.narrowed(self.hub.on::<ActionLaunch>(), whose.as_ref()).where_(own);
        let action = Arc::new(Action {
            identifier: self.identifier.clone(),
            item: self.item,
            scope: self.scope,
            discovering: self.discovering,
            form: self.form,
            launching,
            launches: TaskTracker::new(),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            room: Arc::new(Semaphore::new(self.background.clamp(1, Semaphore::MAX_PERMITS))),
        });
        let id = |what: &str| format!("{}.{}.{what}", self.hub.id(), self.identifier);
        let launched = Arc::clone(&action);
        let launch = launch_on
            .id(id("launch"))
            .concurrency(self.concurrency)
            .handle_any_ctx(move |payload, event, context| {
                Arc::clone(&launched).launch(payload, event, context)
            })
            .await?;
        let discovered = Arc::clone(&action);
        let discovering = discover_on
            .id(id("discover"))
            .concurrency(self.concurrency)
            .handle(move |payload, event| Arc::clone(&discovered).discover(payload, event));
        let half = Half(Some(launch.clone()));
        let discover = discovering.await?;
        half.keep();
        Ok(ActionHandle { identifier: self.identifier, discover, launch, action })
    }

    fn whose(&self) -> Result<Option<Expression>> {
        let user = self.user_only.then(|| Expression::eq("source.user.username", self.hub.user()));
        Ok(user.transpose()?)
    }

    fn narrowed<P: Payload>(&self, on: On<P>, whose: Option<&Expression>) -> On<P> {
        let on = self.where_.iter().fold(on, On::where_);
        match whose {
            Some(whose) => on.where_(whose),
            None => on,
        }
    }
}

/// An action that can be launched and is not offered yet; taken back when whoever registers it gives up.
struct Half(Option<Subscription>);

impl Half {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(launch) = self.0.take() {
            launch.cancel();
        }
    }
}

/// An action at work.
pub(super) struct Action {
    identifier: ActionIdentifier,
    item: ActionItem,
    scope: Scope,
    discovering: Option<Discovering>,
    form: Option<Asking>,
    launching: Launching,
    /// Launches that are being handled.
    pub(super) launches: TaskTracker,
    /// Work that goes on after their answer.
    pub(super) tasks: TaskTracker,
    /// Ends that work.
    pub(super) cut: CancellationToken,
    room: Arc<Semaphore>,
}

impl Action {
    async fn discover(
        self: Arc<Self>,
        payload: ActionDiscover,
        event: Event,
    ) -> Result<Option<Json<ActionItems>>> {
        if !self.scope.includes(payload.selection()) {
            return Ok(None);
        }
        let offer = match &self.discovering {
            Some(discovering) => discovering(payload, event).await?,
            None => Offer::Yes,
        };
        let mut items = match offer {
            Offer::No => return Ok(None),
            Offer::Yes => vec![self.item.clone()],
            Offer::Items(items) => items,
        };
        for item in &mut items {
            if item.identifier.value().is_none() {
                item.identifier = Some(self.identifier.clone()).into();
            }
        }
        Ok(Some(Json(ActionItems { items: Some(items).into(), ..ActionItems::default() })))
    }

    /// Answers a launch in any case: the user waits for it.
    async fn launch(self: Arc<Self>, payload: Result<ActionLaunch>, event: Event, context: Context) -> Reply {
        let _at_work = self.launches.token();
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                apologise(&context, unreadable(&error)).await;
                return Reply(Err(error));
            }
        };
        match AssertUnwindSafe(self.answer(payload, event, context.clone())).catch_unwind().await {
            Ok(Ok(answer)) => Reply(Ok(answer)),
            Ok(Err(error)) => {
                apologise(&context, error.message().to_owned()).await;
                Reply(Err(error))
            }
            Err(panic) => {
                apologise(&context, "the action panicked".to_owned()).await;
                // Counted and reported as that of any handler.
                std::panic::resume_unwind(panic)
            }
        }
    }

    async fn answer(&self, payload: ActionLaunch, event: Event, context: Context) -> Result<Option<RawJson>> {
        let submitted = payload.values.value().cloned();
        if let Some(form) = self.form.as_ref().map(|form| form(&payload)) {
            match &submitted {
                None => return reply(Answering::Form(form)),
                Some(values) => {
                    if let Err(error) = form.check(values) {
                        tracing::debug!(action = %self.identifier, %error, "a form was refused");
                        return reply(Answering::Result(ActionResult::failure(error.message())));
                    }
                }
            }
        }
        let values = FormValues::from(submitted.unwrap_or_default());
        let launch = Launch { payload, values, event: event.clone(), context: context.clone() };
        match (self.launching)(launch).await? {
            Outcome(Answering::Later(message, work)) => self.later(message, work, event, context).await,
            Outcome(answering) => reply(answering),
        }
    }

    /// Answers, then has the work done.
    async fn later(
        &self,
        message: String,
        work: Work,
        event: Event,
        context: Context,
    ) -> Result<Option<RawJson>> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let busy = "too much is being worked on already; try again later";
            return reply(Answering::Result(ActionResult::failure(busy)));
        };
        // On its way before the work can say anything.
        if let Err(unsaid) = context.reply(&ActionResult::success(message)).await {
            context.report_failure(unsaid);
        }
        let (progress, cut) = (Progress::new(event, context), self.cut.clone());
        self.tasks.spawn(async move {
            let _room = room;
            let working = AssertUnwindSafe(work(progress.clone())).catch_unwind();
            let ended = tokio::select! {
                biased;
                () = cut.cancelled() => Err(ended_early("the action was removed while it worked on this")),
                ended = working => {
                    ended.unwrap_or_else(|_| Err(ended_early("the action's work panicked")))
                }
            };
            progress.finish(ended).await;
        });
        Ok(None)
    }
}

/// Answers that it did not go well.
async fn apologise(context: &Context, message: String) {
    if let Err(unsaid) = context.reply(&ActionResult::failure(message)).await {
        context.report_failure(unsaid);
    }
}

/// What the user reads when a launch is not what the protocol says.
fn unreadable(error: &Error) -> String {
    let place = error.source().and_then(|cause| cause.downcast_ref::<DecodeError>());
    let why = place.map_or_else(|| error.message().to_owned(), ToString::to_string);
    format!("the launch cannot be read: {why}")
}

fn ended_early(why: &str) -> Error {
    Error::new(ErrorKind::Handler, "run action", why)
}

/// The answer to a launch, with its error as it is.
struct Reply(Result<Option<RawJson>>);

impl event_core::IntoReply for Reply {
    fn into_reply(self) -> Result<Option<RawJson>> {
        self.0
    }
}

impl fmt::Debug for ActionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionBuilder").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}
