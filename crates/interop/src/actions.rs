//! An action of ours, discovered, launched, filled in and answered by both official clients through the emulator.

use std::time::Duration;

use ftrack_hub::Session;
use ftrack_hub::actions::{ActionHandle, Form, Input, Launch, Outcome, Progress};
use hub_emulator::Emulator;
use serde_json::{Value, json};

use crate::{Direction, Failure, Needs, Puppet, Scenario, Stage, ensure};

const USER: &str = "ann";
const KEY: &str = "her-key";

/// Each client: its name, what it needs, how it is started.
type Client = (&'static str, Needs, fn(&Stage) -> Result<Puppet, Failure>);

const CLIENTS: [Client; 2] = [
    ("@ftrack/api 1.11.2", Needs::Node, |stage| {
        Puppet::start("@ftrack/api 1.11.2", stage.tools.node("ftrack", "ftrack.cjs")?)
    }),
    ("ftrack-python-api 3.1.0", Needs::Python, |stage| {
        Puppet::start("ftrack-python-api 3.1.0", stage.tools.python("ftrack.py")?)
    }),
];

/// An official client as the user's web page, and our actions in another process.
struct Scene {
    emulator: Emulator,
    theirs: Puppet,
    ours: Session,
    render: ActionHandle,
}

impl Scene {
    async fn set(stage: &Stage, start: fn(&Stage) -> Result<Puppet, Failure>) -> Result<Self, Failure> {
        let emulator = stage.emulator(|builder| builder.user(USER, KEY).user("ben", KEY)).await?;
        let theirs = start(stage)?;
        let url = emulator.ftrack_url();
        theirs.call("connect", json!({"hub": "a", "url": url, "user": USER, "key": KEY})).await?;
        let ours = Session::builder(emulator.ftrack_url(), USER, KEY).build()?;
        ours.event_hub().connect().await?;
        let render = render(&ours).await?;
        Ok(Self { emulator, theirs, ours, render })
    }

    async fn ask(&self, topic: &str, data: Value) -> Result<Value, Failure> {
        let reply = self.theirs.call("request", json!({"hub": "a", "topic": topic, "data": data})).await?;
        Ok(reply["reply"]["data"].clone())
    }

    async fn discover(&self, kind: &str) -> Result<Value, Failure> {
        let selection = json!([{"entityId": "v1", "entityType": kind}]);
        self.ask("ftrack.action.discover", json!({ "selection": selection })).await
    }

    /// Launches what an item of the menu stands for, as the web page does: with all that the item carries.
    async fn launch(&self, item: &Value, values: Option<Value>) -> Result<Value, Failure> {
        let mut data = item.clone();
        data["selection"] = json!([{"entityId": "v1", "entityType": "assetversion"}]);
        if let Some(values) = values {
            data["values"] = values;
        }
        self.ask("ftrack.action.launch", data).await
    }
}

async fn render(ours: &Session) -> Result<ActionHandle, Failure> {
    let form = Form::new("Render")
        .with(Input::note("Which frames?"))
        .with(Input::number("frames").label("Frames").value(96).required())
        .with(Input::enumerator("quality", [("low", "Low"), ("high", "High")]))
        .with(Input::hidden("tool", json!({"version": 2})));
    let action = ours.event_hub().action("studio.render").label("Render").variant("farm").icon("render");
    let action = action.for_entities(["AssetVersion"]).user_only().form(form);
    let launched = action.on_launch(async |launch: Launch| {
        let frames = launch.values().integer("frames")?;
        if frames == 0 {
            return Err("no frames, nothing to do".into());
        }
        let tool = launch.values().get("tool").cloned().unwrap_or_default();
        let answer = format!("{frames} frames for {} by {tool}", launch.username().unwrap_or("nobody"));
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Outcome::later(
            answer,
            async |progress: Progress| {
                progress.say("half").await?;
                Ok::<_, ftrack_hub::Error>("all of it")
            },
        ))
    });
    Ok(launched.await?)
}

type Play = fn(Scene) -> futures_util::future::BoxFuture<'static, Result<(), Failure>>;

macro_rules! list {
    ($($scenario:ident),* $(,)?) => {
        [$((stringify!($scenario), (|scene| Box::pin($scenario(scene))) as Play)),*]
    };
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let plays = list![
        discovers_an_action_for_its_types_only,
        launches_an_action_fills_in_its_form_and_is_answered,
        is_told_which_value_of_a_form_is_wrong,
        is_told_why_an_action_failed,
        is_shown_the_progress_of_long_work,
        finds_each_of_several_actions,
        does_not_find_a_removed_action,
    ];
    let mut all = Vec::new();
    for (name, needs, start) in CLIENTS {
        for (title, play) in plays {
            let title = format!("action: {title}");
            all.push(Scenario::new(Direction::EmulatorServes, name, needs, title, move |stage| async move {
                play(Scene::set(&stage, start).await?).await
            }));
        }
    }
    all
}

async fn discovers_an_action_for_its_types_only(scene: Scene) -> Result<(), Failure> {
    let menu = scene.discover("assetversion").await?;
    let item =
        json!({"label": "Render", "variant": "farm", "icon": "render", "actionIdentifier": "studio.render"});
    ensure(menu == json!({ "items": [item] }), || format!("the menu is {menu}"))?;
    let other = json!({"hub": "a", "topic": "ftrack.action.discover", "seconds": 0.3,
        "data": {"selection": [{"entityId": "t1", "entityType": "task"}]}});
    scene.theirs.refused("request", other).await?;
    // The server itself keeps other users' menus away.
    let ben = Session::builder(scene.emulator.ftrack_url(), "ben", KEY).build()?;
    ben.event_hub().connect().await?;
    let before = scene.ours.event_hub().stats().received;
    let event = ftrack_hub::Event::new("ftrack.action.discover", &json!({"selection": []}))?;
    ben.event_hub().publish(event).await?;
    scene.discover("assetversion").await?;
    let received = scene.ours.event_hub().stats().received - before;
    ensure(received == 1, || format!("{received} requests came, one was of this user"))
}

async fn launches_an_action_fills_in_its_form_and_is_answered(scene: Scene) -> Result<(), Failure> {
    let item = scene.discover("assetversion").await?["items"][0].clone();
    let form = scene.launch(&item, None).await?;
    let kinds: Vec<&Value> =
        form["items"].as_array().into_iter().flatten().map(|item| &item["type"]).collect();
    ensure(kinds == ["label", "number", "enumerator", "hidden"], || format!("the form is {form}"))?;
    let mut values = json!({});
    for field in form["items"].as_array().into_iter().flatten() {
        if let Some(name) = field["name"].as_str() {
            values[name] = field.get("value").cloned().unwrap_or_else(|| field["data"][1]["value"].clone());
        }
    }
    let answer = scene.launch(&item, Some(values)).await?;
    let expected = json!({"success": true, "message": "96 frames for ann by {\"version\":2}"});
    ensure(answer == expected, || format!("the answer is {answer}"))
}

async fn is_told_which_value_of_a_form_is_wrong(scene: Scene) -> Result<(), Failure> {
    let item = json!({"actionIdentifier": "studio.render"});
    for (values, message) in [
        (json!({"frames": "many"}), "field `frames` (Frames) is a text, expected a number"),
        (json!({"quality": "low"}), "field `frames` (Frames) is required"),
        (
            json!({"frames": 1, "quality": "best"}),
            "field `quality` is a text, expected one of the offered values",
        ),
    ] {
        let answer = scene.launch(&item, Some(values)).await?;
        ensure(answer == json!({"success": false, "message": message}), || {
            format!("the answer is {answer}")
        })?;
    }
    let launches = scene.render.launches();
    ensure((launches.handled, launches.failed) == (3, 0), || format!("{launches:?}"))
}

async fn is_told_why_an_action_failed(scene: Scene) -> Result<(), Failure> {
    let answer =
        scene.launch(&json!({"actionIdentifier": "studio.render"}), Some(json!({"frames": 0}))).await?;
    let expected = json!({"success": false, "message": "no frames, nothing to do"});
    ensure(answer == expected, || format!("the answer is {answer}"))
}

async fn is_shown_the_progress_of_long_work(scene: Scene) -> Result<(), Failure> {
    let topic = "ftrack.action.trigger-user-interface";
    let before = scene.emulator.stats().subscribed;
    let page = json!({"hub": "a", "expression": format!("topic={topic}"),
        "metadata": {"applicationId": "ftrack.client.web", "user": {"username": USER}}});
    scene.theirs.call("subscribe", page).await?;
    scene.emulator.wait_for(|state| state.stats.subscribed > before).await;
    let answer =
        scene.launch(&json!({"actionIdentifier": "studio.render"}), Some(json!({"frames": 7}))).await?;
    ensure(answer["success"] == true, || format!("the answer is {answer}"))?;
    for message in ["half", "all of it"] {
        let shown = scene.theirs.event_on(topic).await?["data"].clone();
        let expected = json!({"type": "message", "success": true, "message": message});
        ensure(shown == expected, || format!("shown is {shown}"))?;
    }
    Ok(())
}

async fn finds_each_of_several_actions(scene: Scene) -> Result<(), Failure> {
    for name in ["studio.one", "studio.two"] {
        scene.ours.event_hub().action(name).on_launch(move |_: Launch| async move { name }).await?;
    }
    let all = json!({"hub": "a", "topic": "ftrack.action.discover", "count": 3,
        "data": {"selection": [{"entityId": "v1", "entityType": "assetversion"}]}});
    let replies = scene.theirs.call("request_all", all).await?;
    let mut found: Vec<String> = Vec::new();
    for reply in replies["replies"].as_array().into_iter().flatten() {
        found.push(reply["data"]["items"][0]["actionIdentifier"].as_str().unwrap_or("").to_owned());
    }
    found.sort();
    ensure(found == ["studio.one", "studio.render", "studio.two"], || format!("{found:?}"))?;
    for name in ["studio.two", "studio.one"] {
        let answer = scene.launch(&json!({ "actionIdentifier": name }), None).await?;
        ensure(answer["message"] == name, || format!("{name} answers {answer}"))?;
    }
    Ok(())
}

async fn does_not_find_a_removed_action(scene: Scene) -> Result<(), Failure> {
    scene.discover("assetversion").await?;
    let cut_off = scene.render.remove(Duration::from_secs(10)).await?;
    ensure(cut_off == 0, || format!("{cut_off} works were cut off"))?;
    for (topic, data) in [
        ("ftrack.action.discover", json!({"selection": [{"entityId": "v1", "entityType": "assetversion"}]})),
        ("ftrack.action.launch", json!({"actionIdentifier": "studio.render"})),
    ] {
        let asked = json!({"hub": "a", "topic": topic, "data": data, "seconds": 0.3});
        scene.theirs.refused("request", asked).await?;
    }
    Ok(())
}
