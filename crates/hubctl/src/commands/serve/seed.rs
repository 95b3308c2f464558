//! What is there at the start.

use std::path::Path;

use ftrack_hub::Event;
use hub_emulator::Emulator;
use imodelhub_events::{AccessToken, Environment, EventType, IModelHubClient, IModelId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::exit::{Exit, Failure, Result};

/// The file, as in the guide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seed {
    #[serde(default)]
    imodels: Vec<IModel>,
    /// ftrack events, published in order: nobody is connected yet, but the inspector shows them.
    #[serde(default)]
    events: Vec<Box<RawValue>>,
}

/// One iModel: subscriptions first, then events for their queues.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IModel {
    id: String,
    /// The types of each.
    #[serde(default)]
    subscriptions: Vec<Vec<String>>,
    #[serde(default)]
    events: Vec<IModelEvent>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IModelEvent {
    Type(String),
    Whole { r#type: String, body: Value },
}

impl Seed {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |what: String| Failure::usage(format!("--seed: {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| {
            wrong(format!("this is no seed: {error}"))
                .next(r#"{"imodels": [{"id": GUID, "subscriptions": [[TYPE]], "events": [TYPE]}], "events": [EVENT]}"#)
        })
    }

    /// Makes it so.
    pub(super) async fn plant(&self, emulator: &Emulator) -> Result {
        for imodel in &self.imodels {
            imodel.plant(emulator).await?;
        }
        for event in &self.events {
            let event = Event::from_json(event.get().to_owned())?;
            emulator
                .publish(&event)
                .map_err(|error| Failure::new(Exit::Failed, format!("--seed: {error}")))?;
        }
        Ok(())
    }
}

impl IModel {
    async fn plant(&self, emulator: &Emulator) -> Result {
        let id = IModelId::new(&self.id)?;
        let environment = Environment::Url(emulator.imodelhub_url());
        let client = IModelHubClient::builder(environment, AccessToken::bearer("seed")).build()?;
        for types in &self.subscriptions {
            let types: Vec<EventType> = types.iter().map(|name| EventType::from(name.as_str())).collect();
            client.create_subscription(&id, &types).await?;
        }
        for event in &self.events {
            match event {
                IModelEvent::Type(name) => emulator.publish_imodel_event(&self.id, name, None),
                IModelEvent::Whole { r#type: name, body } => {
                    emulator.publish_imodel_event(&self.id, name, Some(body.clone()))
                }
            };
        }
        Ok(())
    }
}
