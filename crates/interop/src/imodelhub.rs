//! Bentley's iModelHub client and Microsoft's queue client against the emulator.

use std::collections::BTreeMap;
use std::time::Duration;

use hub_emulator::Emulator;
use hub_emulator::imodelhub::{Action, Fault};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Direction, Failure, Needs, Puppet, Scenario, Stage, ensure};

const CLIENT: &str = "@bentley/imodelhub-client 2.19.53";
const QUEUE: &str = "azure-sb 0.11.2";
const IMODEL: &str = "8585af91-74e6-4159-a172-dbb08f66d0fd";
const GIVEN: &str = "1f0c3d7e-0000-4000-8000-00000000000a";
const TOKEN: &str = "access-token";
const PATIENCE: Duration = Duration::from_secs(30);

/// Every type of an iModel's events, with the class that the client makes of it.
const TYPES: [(&str, &str); 10] = [
    ("LockEvent", "LockEvent"),
    ("AllLocksDeletedEvent", "AllLocksDeletedEvent"),
    ("ChangeSetPostPushEvent", "ChangeSetPostPushEvent"),
    ("ChangeSetPrePushEvent", "ChangeSetPrePushEvent"),
    ("CodeEvent", "CodeEvent"),
    ("AllCodesDeletedEvent", "AllCodesDeletedEvent"),
    ("BriefcaseDeletedEvent", "BriefcaseDeletedEvent"),
    ("VersionEvent", "VersionEvent"),
    ("CheckpointCreatedEvent", "CheckpointCreatedEvent"),
    ("CheckpointV2CreatedEvent", "CheckpointV2CreatedEvent"),
];

/// An emulator and the foreign client on it.
struct Scene {
    emulator: Emulator,
    theirs: Puppet,
}

impl Scene {
    async fn set(stage: &Stage) -> Result<Self, Failure> {
        let emulator = stage.emulator(|builder| builder.access_token(TOKEN).without_ftrack()).await?;
        let theirs = stage.puppet(CLIENT, stage.tools.node("imodelhub", "imodelhub.cjs")?)?;
        theirs.call("open", json!({"url": emulator.imodelhub_url(), "access": TOKEN})).await?;
        Ok(Self { emulator, theirs })
    }

    async fn call(&self, what: &str, args: Value) -> Result<Value, Failure> {
        self.theirs.call(what, args).await
    }

    /// A subscription to these types, with a SAS token: what `get` wants.
    async fn subscribe(&self, types: &[&str]) -> Result<Value, Failure> {
        let subscription = self.call("subscribe", json!({"imodel": IMODEL, "types": types})).await?;
        let mut place = self.call("sas", json!({"imodel": IMODEL})).await?;
        place["id"] = subscription["id"].clone();
        Ok(place)
    }

    async fn global(&self, types: &[&str]) -> Result<Value, Failure> {
        let subscription = self.call("global_subscribe", json!({"given": GIVEN, "types": types})).await?;
        let mut place = self.call("global_sas", json!({})).await?;
        place["id"] = subscription["id"].clone();
        Ok(place)
    }

    fn publish(&self, name: &str) -> Result<(), Failure> {
        let reached = self.emulator.publish_imodel_event(IMODEL, name, None);
        ensure(reached > 0, || format!("{name} reached no subscription"))
    }

    /// Microsoft's client on the queue of a subscription.
    async fn queue(&self) -> Result<(), Failure> {
        let place = self.subscribe(&["VersionEvent"]).await?;
        let args = json!({"url": self.emulator.imodelhub_url(), "topic": format!("bus/{IMODEL}"), "id": place["id"]});
        self.call("queue_open", args).await.map(drop)
    }
}

macro_rules! list {
    ($with:expr; $($scenario:ident),* $(,)?) => {
        vec![$(Scenario::new(Direction::EmulatorServes, $with, Needs::Node, stringify!($scenario), |stage| async move {
            $scenario(Scene::set(&stage).await?).await
        })),*]
    };
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = list![CLIENT;
        creates_a_subscription_and_gets_what_it_asked_for,
        updates_a_subscription,
        deletes_a_subscription,
        gets_a_token_for_the_queue,
        gets_every_type_of_event,
        gets_events_in_the_order_in_which_they_came,
        gets_no_type_that_it_did_not_ask_for,
        gets_nothing_from_an_empty_queue,
        waits_in_a_long_poll_for_an_event,
        listens,
        listens_past_the_end_of_its_token,
        is_told_that_its_token_has_ended,
        is_refused_without_a_good_access_token,
        is_told_of_an_unknown_subscription,
        is_told_of_an_unknown_type,
        is_told_that_its_queue_is_gone,
        refuses_malformed_ids_and_no_types_itself,
        is_told_of_a_failure_of_the_queue,
        gets_global_events,
        listens_to_global_events,
        waits_in_a_long_poll_for_a_global_event,
        subscribes_globally_again_with_its_key,
        updates_and_deletes_a_global_subscription,
        peeks_at_a_global_event_and_deletes_it,
        peeks_at_an_event_again_when_its_lock_lapsed,
    ];
    all.extend(list![QUEUE;
        receives_and_deletes,
        gives_up_on_an_empty_queue,
        locks_and_completes,
        locks_and_unlocks,
        renews_a_lock,
        cannot_complete_twice,
        finds_the_type_as_it_is,
        loses_a_lock_that_lapsed,
    ]);
    all
}

async fn creates_a_subscription_and_gets_what_it_asked_for(scene: Scene) -> Result<(), Failure> {
    let types = json!(["VersionEvent", "LockEvent"]);
    let got = scene.call("subscribe", json!({"imodel": IMODEL, "types": types})).await?;
    ensure(got["types"] == types && got["id"].as_str().is_some_and(|id| id.len() == 36), || got.to_string())
}

async fn updates_a_subscription(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    let args = json!({"imodel": IMODEL, "id": place["id"], "types": ["LockEvent"]});
    let got = scene.call("update", args).await?;
    ensure(got["types"] == json!(["LockEvent"]), || got.to_string())?;
    scene.publish("LockEvent")?;
    let got = scene.call("get", place).await?;
    ensure(got["event"]["type"] == "LockEvent", || got.to_string())
}

async fn deletes_a_subscription(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    scene.call("unsubscribe", json!({"imodel": IMODEL, "id": place["id"]})).await?;
    ensure(scene.emulator.imodelhub_state().subscriptions.is_empty(), || "it is still there".to_owned())
}

async fn gets_a_token_for_the_queue(scene: Scene) -> Result<(), Failure> {
    let got = scene.call("sas", json!({"imodel": IMODEL})).await?;
    let sas = got["sas"].as_str().unwrap_or_default();
    ensure(sas.starts_with("SharedAccessSignature ") && sas.contains("&se="), || got.to_string())?;
    ensure(got["base"].as_str().is_some_and(|base| base.starts_with("http://")), || got.to_string())
}

async fn gets_every_type_of_event(scene: Scene) -> Result<(), Failure> {
    let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
    let place = scene.subscribe(&names).await?;
    for (name, class) in TYPES {
        scene.publish(name)?;
        let got = scene.call("get", place.clone()).await?;
        ensure(got["event"]["type"] == class, || format!("{got} instead of {class}"))?;
        ensure(got["event"]["members"]["iModelId"] == IMODEL, || got.to_string())?;
    }
    Ok(())
}

async fn gets_events_in_the_order_in_which_they_came(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent", "LockEvent", "CodeEvent"]).await?;
    let order = ["VersionEvent", "LockEvent", "CodeEvent", "LockEvent"];
    for name in order {
        scene.publish(name)?;
    }
    for name in order {
        let got = scene.call("get", place.clone()).await?;
        ensure(got["event"]["type"] == name, || format!("{got} instead of {name}"))?;
    }
    Ok(())
}

async fn gets_no_type_that_it_did_not_ask_for(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    scene.emulator.publish_imodel_event(IMODEL, "LockEvent", None);
    scene.publish("VersionEvent")?;
    let got = scene.call("get", place).await?;
    ensure(got["event"]["type"] == "VersionEvent", || got.to_string())
}

async fn gets_nothing_from_an_empty_queue(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    let got = scene.call("get", place).await?;
    ensure(got["event"].is_null(), || got.to_string())
}

async fn waits_in_a_long_poll_for_an_event(scene: Scene) -> Result<(), Failure> {
    let mut place = scene.subscribe(&["VersionEvent"]).await?;
    place["timeout"] = json!(20);
    let later = async {
        scene.emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        scene.publish("VersionEvent")
    };
    let (got, published) = tokio::join!(scene.call("get", place), later);
    published?;
    let got = got?;
    ensure(got["event"]["type"] == "VersionEvent", || got.to_string())
}

async fn listens(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent", "LockEvent"]).await?;
    scene.call("listen", json!({"imodel": IMODEL, "id": place["id"]})).await?;
    for name in ["VersionEvent", "LockEvent", "VersionEvent"] {
        scene.publish(name)?;
        scene.theirs.event(|event| event["type"] == name).await?;
    }
    scene.call("stop_listening", json!({"id": place["id"]})).await.map(drop)
}

async fn listens_past_the_end_of_its_token(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    scene.call("listen", json!({"imodel": IMODEL, "id": place["id"]})).await?;
    for _ in 0..2 {
        // The poll that waits still brings something; the next one is refused, and then it gets another token.
        scene.emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        let issued = scene.emulator.imodelhub_state().stats.sas_issued;
        scene.emulator.expire_sas();
        scene.publish("VersionEvent")?;
        scene.theirs.event(|event| event["type"] == "VersionEvent").await?;
        scene.emulator.wait_for_imodelhub(|state| state.stats.sas_issued > issued).await;
    }
    scene.call("stop_listening", json!({"id": place["id"]})).await.map(drop)
}

/// Checks what the client tells of an error: its class, number and status, as far as they are given.
fn class(error: &Value, class: &str, number: Option<u64>, status: Option<u64>) -> Result<(), Failure> {
    let is = |member: &str, wanted: Option<u64>| wanted.is_none() || error[member].as_u64() == wanted;
    ensure(error["error"] == class && is("number", number) && is("status", status), || {
        format!("{error} instead of {class}, number {number:?}, status {status:?}")
    })
}

async fn is_told_that_its_token_has_ended(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    scene.publish("VersionEvent")?;
    scene.emulator.advance(Duration::from_secs(4_000));
    let error = scene.theirs.refusal("get", place).await?;
    class(&error, "ResponseError", Some(0), Some(401))?;
    ensure(scene.emulator.imodelhub_state().stats.sas_refused == 1, || error.to_string())
}

async fn is_refused_without_a_good_access_token(scene: Scene) -> Result<(), Failure> {
    scene.call("use_token", json!({"access": "another"})).await?;
    let error = scene.theirs.refusal("sas", json!({"imodel": IMODEL})).await?;
    class(&error, "WsgError", None, Some(401))?;
    ensure(scene.emulator.imodelhub_state().stats.tokens_refused >= 1, || error.to_string())
}

async fn is_told_of_an_unknown_subscription(scene: Scene) -> Result<(), Failure> {
    let args = json!({"imodel": IMODEL, "id": "00000000-0000-4000-8000-000000000000"});
    let error = scene.theirs.refusal("unsubscribe", args).await?;
    // EventSubscriptionDoesNotExist
    class(&error, "IModelHubError", Some(102_433), Some(404))
}

async fn is_told_of_an_unknown_type(scene: Scene) -> Result<(), Failure> {
    let args = json!({"imodel": IMODEL, "types": ["VersionEvent", "NoSuchEvent"]});
    let error = scene.theirs.refusal("subscribe", args).await?;
    // EventTypeDoesNotExist
    class(&error, "IModelHubError", Some(102_432), None)
}

async fn is_told_that_its_queue_is_gone(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    scene.call("unsubscribe", json!({"imodel": IMODEL, "id": place["id"]})).await?;
    let error = scene.theirs.refusal("get", place).await?;
    class(&error, "ResponseError", Some(0), None)?;
    ensure(matches!(error["status"].as_u64(), Some(404 | 410)), || error.to_string())
}

async fn refuses_malformed_ids_and_no_types_itself(scene: Scene) -> Result<(), Failure> {
    for (id, types) in [("not-a-guid", json!(["VersionEvent"])), (IMODEL, json!([]))] {
        let error = scene.theirs.refusal("subscribe", json!({"imodel": id, "types": types})).await?;
        // InvalidArgumentError
        class(&error, "IModelHubClientError", Some(102_658), None)?;
    }
    ensure(scene.emulator.imodelhub_state().subscriptions.is_empty(), || "something was created".to_owned())
}

async fn is_told_of_a_failure_of_the_queue(scene: Scene) -> Result<(), Failure> {
    let place = scene.subscribe(&["VersionEvent"]).await?;
    scene.publish("VersionEvent")?;
    for status in [403, 500, 503] {
        let action = Action::Status { status, headers: BTreeMap::new(), body: "no".to_owned() };
        scene.emulator.imodelhub_faults().add(Fault::new(action).path("/messages/head"))?;
        let error = scene.theirs.refusal("get", place.clone()).await?;
        class(&error, "ResponseError", Some(0), Some(u64::from(status)))?;
    }
    let got = scene.call("get", place).await?;
    ensure(got["event"]["type"] == "VersionEvent", || format!("a failure took the event: {got}"))
}

async fn listens_to_global_events(scene: Scene) -> Result<(), Failure> {
    let place = scene.global(&["iModelCreatedEvent", "HardiModelDeleteEvent"]).await?;
    scene.call("global_listen", json!({"id": place["id"]})).await?;
    for (name, class) in
        [("iModelCreatedEvent", "IModelCreatedEvent"), ("HardiModelDeleteEvent", "HardiModelDeleteEvent")]
    {
        scene.emulator.publish_global_event(name, None);
        scene.theirs.event(|event| event["type"] == class).await?;
    }
    scene.call("stop_listening", json!({"id": place["id"]})).await.map(drop)
}

async fn waits_in_a_long_poll_for_a_global_event(scene: Scene) -> Result<(), Failure> {
    let mut place = scene.global(&["iModelCreatedEvent"]).await?;
    place["timeout"] = json!(20);
    let (got, ()) = tokio::join!(scene.call("global_get", place), async {
        scene.emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        scene.emulator.publish_global_event("iModelCreatedEvent", None);
    });
    let got = got?;
    ensure(got["event"]["type"] == "IModelCreatedEvent", || got.to_string())
}

async fn subscribes_globally_again_with_its_key(scene: Scene) -> Result<(), Failure> {
    let first = scene.global(&["iModelCreatedEvent"]).await?;
    let second = scene.global(&["iModelCreatedEvent"]).await?;
    ensure(first["id"] == second["id"], || format!("{first} and {second}"))
}

async fn gets_global_events(scene: Scene) -> Result<(), Failure> {
    let place = scene.global(&["iModelCreatedEvent", "NamedVersionCreatedEvent"]).await?;
    for (name, class) in [
        ("iModelCreatedEvent", "IModelCreatedEvent"),
        ("NamedVersionCreatedEvent", "NamedVersionCreatedEvent"),
    ] {
        scene.emulator.publish_global_event(name, None);
        let got = scene.call("global_get", place.clone()).await?;
        ensure(got["event"]["type"] == class, || format!("{got} instead of {class}"))?;
    }
    Ok(())
}

async fn updates_and_deletes_a_global_subscription(scene: Scene) -> Result<(), Failure> {
    let place = scene.global(&["iModelCreatedEvent"]).await?;
    let args = json!({"id": place["id"], "given": GIVEN, "types": ["NamedVersionCreatedEvent"]});
    let got = scene.call("global_update", args).await?;
    ensure(got["types"] == json!(["NamedVersionCreatedEvent"]), || got.to_string())?;
    scene.call("global_unsubscribe", json!({"id": place["id"]})).await?;
    ensure(scene.emulator.imodelhub_state().subscriptions.is_empty(), || "it is still there".to_owned())
}

async fn peeks_at_a_global_event_and_deletes_it(scene: Scene) -> Result<(), Failure> {
    let mut place = scene.global(&["iModelCreatedEvent"]).await?;
    scene.emulator.publish_global_event("iModelCreatedEvent", None);
    place["peek"] = json!(true);
    let got = scene.call("global_get", place.clone()).await?;
    ensure(got["event"]["locked"] == true, || format!("it found no place to settle: {got}"))?;
    let hidden = scene.call("global_get", place).await?;
    ensure(hidden["event"].is_null(), || format!("locked and delivered again: {hidden}"))?;
    let deleted = scene.call("delete_event", json!({"number": got["number"]})).await?;
    ensure(deleted["deleted"] == true, || deleted.to_string())?;
    let state = scene.emulator.imodelhub_state();
    ensure(state.locked() == 0 && state.queued() == 0, || format!("{state:?}"))
}

async fn peeks_at_an_event_again_when_its_lock_lapsed(scene: Scene) -> Result<(), Failure> {
    let mut place = scene.global(&["iModelCreatedEvent"]).await?;
    scene.emulator.publish_global_event("iModelCreatedEvent", None);
    place["peek"] = json!(true);
    scene.call("global_get", place.clone()).await?;
    scene.emulator.advance(Duration::from_secs(61));
    let again = scene.call("global_get", place).await?;
    ensure(again["event"]["type"] == "IModelCreatedEvent", || format!("the lock did not lapse: {again}"))
}

async fn receives_and_deletes(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({})).await?;
    ensure(got["broker"]["DeliveryCount"] == 1, || got.to_string())?;
    ensure(scene.emulator.imodelhub_state().queued() == 0, || "it is still there".to_owned())
}

async fn gives_up_on_an_empty_queue(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    let asked = timeout(PATIENCE, scene.theirs.refused("receive", json!({"seconds": 1}))).await;
    asked.map_err(|_| Failure::new("it still waits"))?.map(drop)
}

async fn locks_and_completes(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({"lock": true})).await?;
    ensure(got["broker"]["LockToken"].is_string() && got["location"].is_string(), || got.to_string())?;
    scene.call("complete", json!({"number": got["number"]})).await?;
    ensure(scene.emulator.imodelhub_state().stats.completed == 1, || "not completed".to_owned())
}

async fn locks_and_unlocks(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({"lock": true})).await?;
    scene.call("unlock", json!({"number": got["number"]})).await?;
    let again = scene.call("receive", json!({"lock": true})).await?;
    ensure(again["broker"]["DeliveryCount"] == 2, || again.to_string())?;
    ensure(again["broker"]["MessageId"] == got["broker"]["MessageId"], || format!("{got} {again}"))
}

async fn renews_a_lock(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({"lock": true})).await?;
    scene.emulator.advance(Duration::from_secs(40));
    scene.call("renew", json!({"number": got["number"]})).await?;
    scene.emulator.advance(Duration::from_secs(40));
    ensure(scene.emulator.imodelhub_state().locked() == 1, || "the lock lapsed".to_owned())?;
    scene.call("complete", json!({"number": got["number"]})).await.map(drop)
}

async fn cannot_complete_twice(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({"lock": true})).await?;
    scene.call("complete", json!({"number": got["number"]})).await?;
    scene.theirs.refused("complete", json!({"number": got["number"]})).await.map(drop)
}

async fn finds_the_type_as_it_is(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({})).await?;
    ensure(got["type"] == "VersionEvent", || got.to_string())
}

async fn loses_a_lock_that_lapsed(scene: Scene) -> Result<(), Failure> {
    scene.queue().await?;
    scene.publish("VersionEvent")?;
    let got = scene.call("receive", json!({"lock": true})).await?;
    scene.emulator.advance(Duration::from_secs(61));
    scene.theirs.refused("complete", json!({"number": got["number"]})).await?;
    let again = scene.call("receive", json!({"lock": true})).await?;
    ensure(again["broker"]["DeliveryCount"] == 2, || again.to_string())
}
