//! Forms: what an action asks its user for, and checking what came back.

use std::fmt;

use event_core::{Error, ErrorKind, IntoReply, Json, RawJson, Result};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::values;

/// A form that ftrack shows when an action is launched.
///
/// ```
/// use ftrack_hub::actions::{Form, Input};
///
/// let form = Form::new("Render")
///     .with(Input::note("Which frames?"))
///     .with(Input::number("first").label("First frame").value(1001).required())
///     .with(Input::number("last").label("Last frame").value(1100).required())
///     .with(Input::enumerator("quality", [("low", "Low"), ("high", "High")]).value("low"))
///     .with(Input::hidden("tool", "render-2"));
/// assert_eq!(form.items().len(), 5);
/// ```
#[derive(Clone, PartialEq)]
pub struct Form {
    title: String,
    submit: Option<String>,
    items: Vec<Input>,
}

/// One item of a [`Form`].
#[derive(Clone, PartialEq)]
pub struct Input {
    name: String,
    kind: Kind,
    label: Option<String>,
    value: Option<Value>,
    required: bool,
    several: bool,
}

/// What an item is.
#[derive(Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    Textarea,
    Number,
    Boolean,
    Date,
    /// What can be chosen: values and what the user reads.
    Enumerator(Vec<(Value, String)>),
    Hidden,
    Note,
}

impl Form {
    /// An empty form with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), submit: None, items: Vec::new() }
    }

    /// The text of the button that submits it. Default: ftrack's own.
    pub fn submit_label(mut self, label: impl Into<String>) -> Self {
        self.submit = Some(label.into());
        self
    }

    /// The same form with one more item.
    pub fn with(mut self, item: Input) -> Self {
        self.items.push(item);
        self
    }

    /// The items.
    pub fn items(&self) -> &[Input] {
        &self.items
    }

    /// Whether submitted values are what the form asks for: required fields are there, and each has its type.
    /// Values without a field are ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] that names the first field that is wrong.
    pub fn check(&self, values: &Map<String, Value>) -> Result<()> {
        self.items.iter().try_for_each(|item| item.check(values.get(&item.name)))
    }
}

impl Input {
    /// A line of text.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Text)
    }

    /// Several lines of text.
    pub fn textarea(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Textarea)
    }

    /// A number.
    pub fn number(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Number)
    }

    /// Yes or no.
    pub fn boolean(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Boolean)
    }

    /// A day.
    pub fn date(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Date)
    }

    /// One of several values, each with what the user reads.
    pub fn enumerator<V: Into<Value>, L: Into<String>>(
        name: impl Into<String>,
        choices: impl IntoIterator<Item = (V, L)>,
    ) -> Self {
        let choices = choices.into_iter().map(|(value, label)| (value.into(), label.into())).collect();
        Self::new(name, Kind::Enumerator(choices))
    }

    /// A value that the user does not see and that comes back as it is.
    pub fn hidden(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(name, Kind::Hidden).value(value)
    }

    /// A text to read, in Markdown; `---` is a line. ftrack calls this item a label.
    pub fn note(text: impl Into<String>) -> Self {
        Self::new("", Kind::Note).value(text.into())
    }

    fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, label: None, value: None, required: false, several: false }
    }

    /// What the user reads beside the field.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What the field holds at first.
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The form cannot be submitted without it: missing, null and the empty text are refused.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// For an enumerator: any number of the values, submitted as a list.
    pub fn several(mut self) -> Self {
        self.several = true;
        self
    }

    /// The name under which its value is submitted; empty for a note.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, value: Option<&Value>) -> Result<()> {
        if matches!(self.kind, Kind::Note) {
            return Ok(());
        }
        match value {
            None | Some(Value::Null) => self.check_absent(),
            Some(Value::String(text)) if text.is_empty() => self.check_absent(),
            Some(value) => self.check_present(value),
        }
    }

    fn check_absent(&self) -> Result<()> {
        if self.required { Err(self.refuse("is required")) } else { Ok(()) }
    }

    fn check_present(&self, value: &Value) -> Result<()> {
        let named = |result: Result<()>| result.map_err(|_| self.refuse(&self.expectation(value)));
        match &self.kind {
            Kind::Hidden | Kind::Note => Ok(()),
            Kind::Text | Kind::Textarea => named(values::text(&self.name, value).map(drop)),
            Kind::Number => named(values::number(&self.name, value).map(drop)),
            Kind::Boolean => named(values::boolean(&self.name, value).map(drop)),
            Kind::Date => named(values::date(&self.name, value).map(drop)),
            Kind::Enumerator(choices) => {
                let offered = |value: &Value| choices.iter().any(|(choice, _)| choice == value);
                let good = match value {
                    Value::Array(values) if self.several => values.iter().all(offered),
                    value => !self.several && offered(value),
                };
                if good { Ok(()) } else { Err(self.refuse(&self.expectation(value))) }
            }
        }
    }

    fn expectation(&self, value: &Value) -> String {
        let expected = match &self.kind {
            Kind::Number => "a number",
            Kind::Boolean => "yes or no",
            Kind::Date => "a date such as 2026-12-24",
            Kind::Enumerator(_) if self.several => "a list of the offered values",
            Kind::Enumerator(_) => "one of the offered values",
            Kind::Text | Kind::Textarea | Kind::Hidden | Kind::Note => "a text",
        };
        format!("is {}, expected {expected}", crate::events::DecodeError::kind_of(Some(value)))
    }

    fn refuse(&self, why: &str) -> Error {
        let label = self.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
        Error::new(ErrorKind::InvalidInput, "check form", format!("field `{}`{label} {why}", self.name))
    }

    fn to_json(&self) -> Value {
        let kind = match self.kind {
            Kind::Text => "text",
            Kind::Textarea => "textarea",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Enumerator(_) => "enumerator",
            Kind::Hidden => "hidden",
            Kind::Note => "label",
        };
        let mut item = json!({ "type": kind });
        if !matches!(self.kind, Kind::Note) {
            item["name"] = json!(self.name);
        }
        if let Some(label) = &self.label {
            item["label"] = json!(label);
        }
        if let Some(value) = &self.value {
            item["value"] = value.clone();
        }
        if let Kind::Enumerator(choices) = &self.kind {
            let data = choices.iter().map(|(value, label)| json!({"label": label, "value": value})).collect();
            item["data"] = Value::Array(data);
            if self.several {
                item["multi_select"] = json!(true);
            }
        }
        item
    }
}

/// The answer to a launch that shows the form.
impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items: Vec<Value> = self.items.iter().map(Input::to_json).collect();
        let mut form = json!({"type": "form", "title": self.title, "items": items});
        if let Some(submit) = &self.submit {
            form["submit_button_label"] = json!(submit);
        }
        form.serialize(serializer)
    }
}

impl IntoReply for Form {
    fn into_reply(self) -> Result<Option<RawJson>> {
        Json(self).into_reply()
    }
}

impl fmt::Debug for Form {
    /// The names of the fields, not what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("title", &self.title).field("items", &self.items).finish_non_exhaustive()
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({:?})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form::new("Publish")
            .submit_label("Go")
            .with(Input::note("**Publish** what?"))
            .with(Input::text("comment").label("Comment").required())
            .with(Input::textarea("notes"))
            .with(Input::number("frames").value(24))
            .with(Input::boolean("dry_run").value(false))
            .with(Input::date("due"))
            .with(Input::enumerator("quality", [("low", "Low"), ("high", "High")]))
            .with(Input::enumerator("layers", [(1, "beauty"), (2, "depth")]).several())
            .with(Input::hidden("task", json!({"id": 7})))
    }

    #[test]
    fn a_form_is_written_as_the_items_that_ftrack_shows() {
        let form = serde_json::to_value(form()).unwrap();
        assert_eq!((&form["title"], &form["submit_button_label"]), (&json!("Publish"), &json!("Go")));
        let kinds: Vec<&str> =
            form["items"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
        let all =
            ["label", "text", "textarea", "number", "boolean", "date", "enumerator", "enumerator", "hidden"];
        assert_eq!(kinds, all);
        assert_eq!(form["items"][0], json!({"type": "label", "value": "**Publish** what?"}));
        assert_eq!(form["items"][6]["data"][1], json!({"label": "High", "value": "high"}));
        assert_eq!(form["items"][7]["multi_select"], true);
    }

    #[test]
    fn good_values_pass_and_wrong_ones_name_their_field() {
        let good = json!({
            "comment": "c", "notes": "a\nb", "frames": 24.5, "dry_run": true, "due": "2026-02-28T00:00:00",
            "quality": "high", "layers": [2, 1], "task": {"id": 7}, "other": 1,
        });
        let Value::Object(good) = good else { panic!("an object") };
        form().check(&good).unwrap();
        for (field, value, expected) in [
            ("comment", json!(7), "field `comment` (Comment) is a number, expected a text"),
            ("comment", json!(""), "field `comment` (Comment) is required"),
            ("comment", json!(null), "field `comment` (Comment) is required"),
            ("notes", json!(["a"]), "field `notes` is a list, expected a text"),
            ("frames", json!("many"), "field `frames` is a text, expected a number"),
            ("dry_run", json!("true"), "field `dry_run` is a text, expected yes or no"),
            ("due", json!("2026-02-29"), "field `due` is a text, expected a date such as 2026-12-24"),
            ("quality", json!("best"), "field `quality` is a text, expected one of the offered values"),
            ("layers", json!([1, 3]), "field `layers` is a list, expected a list of the offered values"),
            ("layers", json!(1), "field `layers` is a number, expected a list of the offered values"),
        ] {
            let mut values = good.clone();
            values.insert(field.to_owned(), value);
            let error = form().check(&values).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidInput, expected));
        }
        for field in ["notes", "frames", "dry_run", "due", "quality", "layers"] {
            let mut values = good.clone();
            values.insert(field.to_owned(), json!(null));
            form().check(&values).unwrap();
        }
    }
}
