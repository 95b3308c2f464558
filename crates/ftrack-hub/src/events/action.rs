//! `ftrack.action.*`: actions are looked for, launched, and talk to their user.

use event_core::{Error, Event, Field, IntoReply, Json, RawJson, Result};
use serde_json::{Map, Value};

use super::names::{ActionIdentifier, EntityId, EntityType};
use super::shape::{object, payload};

payload! {
    /// Somebody opens the menu of actions (`ftrack.action.discover`). Answer with [`ActionItems`].
    ActionDiscover = "ftrack.action.discover" {
        /// What is selected, on servers that say it here.
        selection: Vec<Selected> = "selection",
        /// What is selected, on servers that say it one level deeper.
        context: DiscoverContext = "context",
    }
}

object! {
    /// Where actions are looked for.
    DiscoverContext {
        /// What is selected.
        selection: Vec<Selected> = "selection",
    }
}

object! {
    /// A selected entity.
    Selected {
        /// Its id.
        id: EntityId = "entityId",
        /// Its type, as events spell it: `task` for everything in the hierarchy of a project.
        kind: EntityType = "entityType",
    }
}

payload! {
    /// Somebody launches an action, or submits the form that it showed (`ftrack.action.launch`). Answer with an
    /// [`ActionResult`] or a form.
    ActionLaunch = "ftrack.action.launch" {
        /// Which action.
        identifier: ActionIdentifier = "actionIdentifier",
        /// What is selected.
        selection: Vec<Selected> = "selection",
        /// The submitted form: names of fields and their values. Missing when the action is launched first.
        values: Map<String, Value> = "values",
        /// The item's label.
        label: String = "label",
        /// The item's variant.
        variant: String = "variant",
        /// The item's description.
        description: String = "description",
        /// What the item carried along.
        action_data: Value = "actionData",
    }
}

payload! {
    /// Something for a user's web page: a message or a form (`ftrack.action.trigger-user-interface`).
    TriggerUserInterface = "ftrack.action.trigger-user-interface" {
        /// What it is: `message`, `form`, `widget`.
        kind: String = "type",
        /// For a message: whether it is good news.
        success: bool = "success",
        /// The message.
        message: String = "message",
        /// For a form: its fields.
        items: Vec<Value> = "items",
        /// For a form: its title.
        title: String = "title",
        /// For a form: which action gets it.
        identifier: ActionIdentifier = "actionIdentifier",
    }
}

object! {
    /// The answer to [`ActionDiscover`].
    ActionItems {
        /// Entries of the menu.
        items: Vec<ActionItem> = "items",
    }
}

object! {
    /// An entry of the menu of actions. Members of `rest` come back when it is launched.
    ActionItem {
        /// What it says. Items with the same label are shown as one, with their variants below.
        label: String = "label",
        /// Which of several with the same label.
        variant: String = "variant",
        /// What it does.
        description: String = "description",
        /// The address of a picture, or the name of one that ftrack has.
        icon: String = "icon",
        /// Which action it launches.
        identifier: ActionIdentifier = "actionIdentifier",
        /// What to carry along.
        action_data: Value = "actionData",
    }
}

object! {
    /// The answer to [`ActionLaunch`], unless it is a form.
    ActionResult {
        /// Whether it went well.
        success: bool = "success",
        /// What the user reads.
        message: String = "message",
    }
}

impl ActionDiscover {
    /// The question which actions there are for a selection, as ftrack asks it.
    pub fn new(selection: impl IntoIterator<Item = Selected>) -> Self {
        Self { selection: Some(selection.into_iter().collect()).into(), ..Self::default() }
    }

    /// What is selected, wherever the server says it.
    pub fn selection(&self) -> &[Selected] {
        let deeper = || self.context.value()?.selection.value();
        self.selection.value().or_else(deeper).map_or(&[], Vec::as_slice)
    }
}

impl ActionLaunch {
    /// The launch of an action, as ftrack sends it.
    pub fn new(
        identifier: impl Into<ActionIdentifier>,
        selection: impl IntoIterator<Item = Selected>,
    ) -> Self {
        Self {
            identifier: Some(identifier.into()).into(),
            selection: Some(selection.into_iter().collect()).into(),
            ..Self::default()
        }
    }

    /// The same launch with the values of a form.
    pub fn submitted<K: Into<String>, V: Into<Value>>(
        mut self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.values = Field::Value(values);
        self
    }

    /// What is selected.
    pub fn selection(&self) -> &[Selected] {
        self.selection.value().map_or(&[], Vec::as_slice)
    }
}

impl Selected {
    /// A selected entity.
    pub fn new(id: impl Into<EntityId>, kind: impl Into<EntityType>) -> Self {
        let (id, kind) = (Some(id.into()).into(), Some(kind.into()).into());
        Self { id, kind, rest: Map::new() }
    }
}

impl ActionItem {
    /// An item that says `label`.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: Some(label.into()).into(), ..Self::default() }
    }

    /// The same item as one of several with its label.
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        self.variant = Some(variant.into()).into();
        self
    }

    /// The same item with what it does.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into()).into();
        self
    }

    /// The same item with a picture.
    pub fn icon(mut self, icon: impl Into<String>) -> Self {
        self.icon = Some(icon.into()).into();
        self
    }

    /// The same item with one more member, which comes back in [`ActionLaunch::rest`].
    pub fn carry(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.rest.insert(key.into(), value.into());
        self
    }
}

impl ActionResult {
    /// It went well.
    pub fn success(message: impl Into<String>) -> Self {
        Self { success: Some(true).into(), message: Some(message.into()).into(), rest: Map::new() }
    }

    /// It did not.
    pub fn failure(message: impl Into<String>) -> Self {
        Self { success: Some(false).into(), message: Some(message.into()).into(), rest: Map::new() }
    }
}

impl TriggerUserInterface {
    /// A message for the user whose web page gets it.
    pub fn message(success: bool, message: impl Into<String>) -> Self {
        Self {
            kind: Some("message".to_owned()).into(),
            success: Some(success).into(),
            message: Some(message.into()).into(),
            ..Self::default()
        }
    }

    /// The event that brings it to the web pages of the user from whom `asked` came.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when `asked` does not say whose it is.
    pub fn for_user_of(&self, asked: &Event) -> Result<Event> {
        Event::builder(<Self as super::Payload>::TOPIC).data(self).target(web_pages_of(asked)?).build()
    }
}

/// The web pages of a user, as a target.
fn web_pages_of(asked: &Event) -> Result<String> {
    let user = asked.source().get("user");
    let known = |key: &str| user.and_then(|user| user.get(key)).and_then(Value::as_str);
    let whose = match (known("id"), known("username")) {
        (Some(id), _) => event_core::Expression::eq("user.id", id)?,
        (None, Some(name)) => event_core::Expression::eq("user.username", name)?,
        (None, None) => {
            let message = "the event does not say which user it came from; address the message by hand";
            return Err(Error::new(crate::ErrorKind::InvalidInput, "address user", message));
        }
    };
    Ok(event_core::Expression::eq("applicationId", "ftrack.client.web")?.and(whose)?.to_string())
}

macro_rules! replies {
    ($($type:ty),*) => {$(
        impl IntoReply for $type {
            fn into_reply(self) -> Result<Option<RawJson>> {
                Json(self).into_reply()
            }
        }
    )*};
}

replies!(ActionItems, ActionResult);
