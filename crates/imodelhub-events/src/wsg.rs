//! The REST side, pure: requests as values, answers read by the envelope's rules.

use event_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::names::{GlobalSubscriptionKey, IModelId};

/// Where something lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    IModel(IModelId),
    Global,
}

/// A request: method, path below the service's base, body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Delete,
    #[cfg(feature = "webhooks")]
    Get,
    #[cfg(feature = "webhooks")]
    Patch,
}

/// What an answer's envelope holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) e_tag: Option<String>,
    pub(crate) properties: Value,
}

impl Scope {
    fn schema(&self) -> &'static str {
        match self {
            Self::IModel(_) => "iModelScope",
            Self::Global => "GlobalScope",
        }
    }

    fn repository(&self) -> String {
        match self {
            Self::IModel(id) => format!("/Repositories/iModel--{id}/iModelScope"),
            Self::Global => "/Repositories/Global--Global/GlobalScope".to_owned(),
        }
    }

    pub(crate) fn subscription_class(&self) -> &'static str {
        match self {
            Self::IModel(_) => "EventSubscription",
            Self::Global => "GlobalEventSubscription",
        }
    }

    pub(crate) fn sas_class(&self) -> &'static str {
        match self {
            Self::IModel(_) => "EventSAS",
            Self::Global => "GlobalEventSAS",
        }
    }

    fn path(&self, class: &str, id: &str) -> String {
        format!("{}/{class}/{id}", self.repository())
    }

    /// Creates a subscription; a global one carries the caller's key.
    pub(crate) fn create(&self, types: &[String], key: Option<&GlobalSubscriptionKey>) -> Call {
        let class = self.subscription_class();
        let instance = json!({
            "schemaName": self.schema(),
            "className": class,
            "properties": properties(types, key),
        });
        Call { method: Method::Post, path: self.path(class, ""), body: Some(envelope(&instance)) }
    }

    /// Changes a subscription's types. The tag is that of the last answer about it.
    pub(crate) fn update(
        &self,
        id: &str,
        types: &[String],
        key: Option<&GlobalSubscriptionKey>,
        e_tag: Option<&str>,
    ) -> Call {
        let class = self.subscription_class();
        let mut instance = json!({
            "schemaName": self.schema(),
            "className": class,
            "properties": properties(types, key),
            "instanceId": id,
        });
        if let Some(e_tag) = e_tag {
            instance["eTag"] = e_tag.into();
        }
        Call { method: Method::Post, path: self.path(class, id), body: Some(envelope(&instance)) }
    }

    /// Deletes a subscription.
    pub(crate) fn delete(&self, id: &str) -> Call {
        Call { method: Method::Delete, path: self.path(self.subscription_class(), id), body: None }
    }

    /// Asks for a token for the queues.
    pub(crate) fn sas(&self) -> Call {
        let class = self.sas_class();
        let instance = json!({"schemaName": self.schema(), "className": class});
        Call { method: Method::Post, path: self.path(class, ""), body: Some(envelope(&instance)) }
    }

    /// Reads a good answer about an instance of `class`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when the envelope is not what was asked for.
    pub(crate) fn read(&self, class: &str, body: &[u8]) -> Result<Instance> {
        let body: Value =
            serde_json::from_slice(body).map_err(|cause| unexpected("it is not JSON").with_source(cause))?;
        let Some(instance) = body.pointer("/changedInstance/instanceAfterChange") else {
            return Err(unexpected("it has no changedInstance.instanceAfterChange"));
        };
        let text = |key: &str| instance.get(key).and_then(Value::as_str);
        if text("schemaName") != Some(self.schema()) || text("className") != Some(class) {
            return Err(unexpected("it is about something else than was asked for"));
        }
        Ok(Instance {
            id: text("instanceId").unwrap_or_default().to_owned(),
            e_tag: text("eTag").map(str::to_owned),
            properties: instance.get("properties").cloned().unwrap_or_default(),
        })
    }
}

fn properties(types: &[String], key: Option<&GlobalSubscriptionKey>) -> Value {
    let mut properties = json!({ "EventTypes": types });
    if let Some(key) = key {
        properties["SubscriptionId"] = key.as_str().into();
    }
    properties
}

fn envelope(instance: &Value) -> Vec<u8> {
    json!({ "instance": instance }).to_string().into_bytes()
}

fn unexpected(what: &str) -> Error {
    let message =
        format!("the service's answer is not of the expected form: {what}; is the service URL right?");
    Error::new(ErrorKind::Protocol, "read answer", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    fn imodel() -> Scope {
        Scope::IModel(IModelId::new(ID).unwrap())
    }

    fn body(call: &Call) -> Value {
        serde_json::from_slice(call.body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn requests_have_the_recorded_form() {
        let types = ["VersionEvent".to_owned()];
        let create = imodel().create(&types, None);
        assert_eq!(create.path, format!("/Repositories/iModel--{ID}/iModelScope/EventSubscription/"));
        assert_eq!(
            body(&create),
            json!({"instance": {"schemaName": "iModelScope", "className": "EventSubscription", "properties": {"EventTypes": ["VersionEvent"]}}})
        );
        let update = imodel().update("sub", &types, None, Some("tag"));
        assert!(update.path.ends_with("/EventSubscription/sub"));
        assert_eq!(
            (&body(&update)["instance"]["instanceId"], &body(&update)["instance"]["eTag"]),
            (&json!("sub"), &json!("tag"))
        );
        assert_eq!(
            body(&imodel().sas()),
            json!({"instance": {"schemaName": "iModelScope", "className": "EventSAS"}})
        );
        let key = GlobalSubscriptionKey::new(ID).unwrap();
        let global = Scope::Global.create(&[], Some(&key));
        assert_eq!(global.path, "/Repositories/Global--Global/GlobalScope/GlobalEventSubscription/");
        assert_eq!(body(&global)["instance"]["properties"], json!({"EventTypes": [], "SubscriptionId": ID}));
        let delete = Scope::Global.delete("x");
        assert_eq!((delete.method, delete.body.is_none()), (Method::Delete, true));
    }

    #[test]
    fn answers_are_checked_for_what_they_are_about() {
        let answer = |class: &str| {
            json!({"changedInstance": {"change": "Created", "instanceAfterChange": {
                "instanceId": "i", "schemaName": "iModelScope", "className": class, "eTag": "t",
                "properties": {"EventTypes": ["A", "NewEvent"], "Extra": 1}}}})
            .to_string()
        };
        let instance = imodel().read("EventSubscription", answer("EventSubscription").as_bytes()).unwrap();
        assert_eq!((instance.id.as_str(), instance.e_tag.as_deref()), ("i", Some("t")));
        assert_eq!(instance.properties["EventTypes"], json!(["A", "NewEvent"]));
        for bad in [answer("EventSAS"), "{}".to_owned(), "[]".to_owned(), "no".to_owned(), String::new()] {
            assert_eq!(
                imodel().read("EventSubscription", bad.as_bytes()).unwrap_err().kind(),
                ErrorKind::Protocol
            );
        }
    }
}
