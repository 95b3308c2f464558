//! Actions: offered, launched, filled in, worked on, removed.

use std::sync::Arc;
use std::time::Duration;

use ftrack_hub::actions::{ActionBuilder, Form, Input, Launch, Outcome, Progress};
use ftrack_hub::events::{ActionDiscover, ActionItem, ActionLaunch, Payload, Selected};
use ftrack_hub::{Error, ErrorKind, Event, EventHub, Lifecycle, Session};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{Log, one, report, two, within};

const LONG: Duration = Duration::from_secs(60);

fn discover(kinds: &[&str]) -> Event {
    ActionDiscover::new(kinds.iter().map(|kind| Selected::new("e1", *kind))).to_event().unwrap()
}

fn launch(identifier: &str, values: Option<Value>) -> Event {
    let launch = ActionLaunch::new(identifier, [Selected::new("v1", "assetversion")]);
    let launch = match values {
        Some(values) => launch.submitted(values.as_object().unwrap().clone()),
        None => launch,
    };
    launch.to_event().unwrap()
}

/// What the actions of this hub answer, without a network.
async fn answers(hub: &EventHub, event: &Event) -> Vec<Value> {
    let outcomes = within(hub.publish_local(event)).await.unwrap();
    outcomes
        .into_iter()
        .filter_map(|outcome| outcome.reply.unwrap())
        .map(|raw| raw.to_value().unwrap())
        .collect()
}

async fn ask(session: &Session, event: Event) -> Value {
    within(session.event_hub().publish_and_wait_for_reply(event)).await.unwrap().data_value().clone()
}

fn publish(hub: &EventHub) -> ActionBuilder {
    hub.action("studio.publish")
        .label("Publish")
        .variant("final")
        .icon("publish")
        .for_entities(["AssetVersion"])
}

fn form() -> Form {
    Form::new("Publish")
        .with(Input::text("comment").label("Comment").required())
        .with(Input::number("frames").value(24))
}

#[tokio::test]
async fn an_action_is_offered_for_its_types_and_launched_by_its_identifier() {
    let (_emulator, ann, ben) = two().await;
    publish(ann.event_hub())
        .on_launch(async |launch: Launch| {
            let selected = launch.selection()[0].id.value().unwrap().to_string();
            format!("{selected} for {}", launch.username().unwrap())
        })
        .await
        .unwrap();
    let items = ask(&ben, discover(&["assetversion"])).await;
    let item = json!({"label": "Publish", "variant": "final", "icon": "publish", "actionIdentifier": "studio.publish"});
    assert_eq!(items, json!({"items": [item]}));
    let done = ask(&ben, launch("studio.publish", None)).await;
    assert_eq!(done, json!({"success": true, "message": "v1 for ben"}));
    for kinds in [&["task"][..], &["assetversion", "task"], &[]] {
        assert_eq!(answers(ann.event_hub(), &discover(kinds)).await, Vec::<Value>::new(), "{kinds:?}");
    }
    let deeper = json!({"context": {"selection": [{"entityId": "v1", "entityType": "assetversion"}]}});
    let deeper = Event::new("ftrack.action.discover", &deeper).unwrap();
    assert_eq!(answers(ann.event_hub(), &deeper).await.len(), 1, "the other documented form");
}

#[tokio::test]
async fn an_action_for_its_user_only_does_not_hear_others() {
    let (_emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    within(publish(hub).user_only().on_launch(async |_: Launch| "done")).await.unwrap();
    within(publish(ben.event_hub()).on_launch(async |_: Launch| "ben's")).await.unwrap();
    assert_eq!(ask(&ben, launch("studio.publish", None)).await["message"], "ben's");
    assert_eq!((hub.stats().received, answers(hub, &discover(&["assetversion"])).await.len()), (0, 1));
    let foreign = discover(&["assetversion"]).to_builder().source_field("user", json!({"username": "ben"}));
    assert_eq!(answers(hub, &foreign.build().unwrap()).await, Vec::<Value>::new());
}

#[tokio::test]
async fn on_discover_decides_and_may_offer_several_items() {
    let (_emulator, session) = one().await;
    let hub = session.event_hub();
    let launchers = hub.action("studio.open").on_discover(async |discover: ActionDiscover, _: Event| {
        match discover.selection() {
            [] => Ok(Vec::new()),
            [one] if one.kind.value().is_some_and(|kind| kind.is("Project")) => {
                Err("the licence server is away")
            }
            _ => Ok(["2025", "2026"]
                .map(|year| ActionItem::new("Compositor").variant(year).carry("year", year))
                .into()),
        }
    });
    let version = async |launch: Launch| Outcome::success(launch.payload().rest["year"].as_str().unwrap());
    within(launchers.on_launch(version)).await.unwrap();
    assert_eq!(answers(hub, &discover(&[])).await, Vec::<Value>::new());
    let items = answers(hub, &discover(&["task"])).await.remove(0);
    assert_eq!(items["items"][1]["variant"], "2026");
    assert_eq!(items["items"][1]["actionIdentifier"], "studio.open");
    let mut picked = ActionLaunch::decode(&launch("studio.open", None)).unwrap();
    picked.rest.insert("year".to_owned(), items["items"][1]["year"].clone());
    assert_eq!(answers(hub, &picked.to_event().unwrap()).await[0]["message"], "2026");
    let [outcome] = &within(hub.publish_local(&discover(&["show"]))).await.unwrap()[..] else {
        panic!("one")
    };
    assert!(outcome.reply.as_ref().unwrap_err().to_string().contains("licence server"));
}

#[tokio::test]
async fn a_form_is_shown_checked_and_its_values_reach_the_action() {
    let (_emulator, ann, ben) = two().await;
    let ran = Log::default();
    let log = ran.clone();
    publish(ann.event_hub())
        .form(form())
        .on_launch(move |launch: Launch| {
            let log = log.clone();
            async move {
                let line =
                    format!("{} {}", launch.values().text("comment")?, launch.values().integer("frames")?);
                log.add(&line);
                Ok::<_, Error>(line)
            }
        })
        .await
        .unwrap();
    let shown = ask(&ben, launch("studio.publish", None)).await;
    assert_eq!((&shown["title"], &shown["items"][1]["value"]), (&json!("Publish"), &json!(24)));
    for (values, message) in [
        (json!({"comment": "good", "frames": []}), "field `frames` is a list, expected a number"),
        (json!({"frames": 7}), "field `comment` (Comment) is required"),
    ] {
        let refused = ask(&ben, launch("studio.publish", Some(values))).await;
        assert_eq!(refused, json!({"success": false, "message": message}));
    }
    assert!(ran.lines().is_empty(), "a form that is refused does not run the action");
    let done = ask(&ben, launch("studio.publish", Some(json!({"comment": "good", "frames": "96"})))).await;
    assert_eq!(done, json!({"success": true, "message": "good 96"}));
    assert_eq!((ran.lines().len(), ann.event_hub().stats().handler_failures), (1, 0));
}

#[tokio::test]
async fn an_action_may_ask_step_by_step() {
    let (_emulator, session) = one().await;
    let hub = session.event_hub();
    let steps = async |launch: Launch| match launch.values().text("show") {
        Err(_) => Outcome::form(Form::new("1").with(Input::text("show"))),
        Ok(show) if launch.values().get("shot").is_none() => {
            Outcome::form(Form::new("2").with(Input::hidden("show", show)).with(Input::text("shot")))
        }
        Ok(show) => Outcome::success(format!("{show} {}", launch.values().text("shot").unwrap())),
    };
    within(hub.action("steps").on_launch(steps)).await.unwrap();
    let first = answers(hub, &launch("steps", None)).await.remove(0);
    let second = answers(hub, &launch("steps", Some(json!({"show": "dune"})))).await.remove(0);
    let third =
        answers(hub, &launch("steps", Some(json!({"show": "dune", "shot": "sh010"})))).await.remove(0);
    assert_eq!((&first["title"], &second["items"][0]["value"]), (&json!("1"), &json!("dune")));
    assert_eq!(third["message"], "dune sh010");
}

#[tokio::test]
async fn a_failing_action_is_answered_counted_and_reported() {
    let (_emulator, ann, ben) = two().await;
    let mut lifecycle = ann.event_hub().lifecycle();
    let action = publish(ann.event_hub()).on_launch(async |_: Launch| Err::<&str, _>("the disk is full"));
    let action = within(action).await.unwrap();
    let answer = ask(&ben, launch("studio.publish", None)).await;
    assert_eq!(answer, json!({"success": false, "message": "the disk is full"}));
    let error = report(&mut lifecycle, |change| match change {
        Lifecycle::HandlerFailed { error, .. } => Some(error),
        _ => None,
    })
    .await;
    assert_eq!((error.kind(), error.message()), (ErrorKind::Handler, "the disk is full"));
    assert_eq!((action.launches().failed, ann.event_hub().stats().handler_failures), (1, 1));
}

#[tokio::test]
async fn a_launch_that_cannot_be_read_is_answered_counted_and_reported() {
    let (_emulator, ann, ben) = two().await;
    let ran = Log::default();
    let log = ran.clone();
    let mut lifecycle = ann.event_hub().lifecycle();
    let action = publish(ann.event_hub()).form(form()).on_launch(move |_: Launch| {
        log.add("ran");
        async { "done" }
    });
    let action = within(action).await.unwrap();
    let data =
        json!({"actionIdentifier": "studio.publish", "selection": "marked", "values": {"comment": "c"}});
    let answer = ask(&ben, Event::new("ftrack.action.launch", &data).unwrap()).await;
    let message = "the launch cannot be read: `selection` is a text, expected a sequence";
    assert_eq!(answer, json!({"success": false, "message": message}));
    let error = report(&mut lifecycle, |change| match change {
        Lifecycle::HandlerFailed { error, .. } => Some(error),
        _ => None,
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    let stats = ann.event_hub().stats();
    assert_eq!((action.launches().failed, stats.handler_failures, stats.undecodable), (1, 1, 1));
    assert!(ran.lines().is_empty());
}

#[tokio::test]
async fn an_action_that_panics_is_answered_counted_and_reported() {
    let (_emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    let mut lifecycle = hub.lifecycle();
    let now = |_: Launch| -> std::future::Ready<&str> { panic!("at once") };
    within(hub.action("now").on_launch(now)).await.unwrap();
    within(hub.action("soon").on_launch(async |_: Launch| -> &str { panic!("in a while") })).await.unwrap();
    for (action, why) in [("now", "at once"), ("soon", "in a while")] {
        let answer = ask(&ben, launch(action, None)).await;
        assert_eq!(answer, json!({"success": false, "message": "the action panicked"}));
        let error = report(&mut lifecycle, |change| match change {
            Lifecycle::HandlerFailed { error, .. } => Some(error),
            _ => None,
        })
        .await;
        assert_eq!(error.message(), format!("the handler panicked: {why}"));
    }
    assert_eq!(hub.stats().handler_failures, 2);
}

#[tokio::test]
async fn several_actions_live_in_one_process_and_each_identifier_once() {
    let (_emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    for name in ["one", "two", "three"] {
        within(hub.action(name).on_launch(move |_: Launch| async move { name })).await.unwrap();
    }
    for name in ["two", "three", "one"] {
        assert_eq!(ask(&ben, launch(name, None)).await["message"], name);
    }
    assert_eq!(answers(hub, &discover(&["task"])).await.len(), 3);
    let error = within(hub.action("two").on_launch(async |_: Launch| "again")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    let error = within(hub.action("a\"b'").on_launch(async |_: Launch| "")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidExpression, "{error}");
}

/// The user's web page: what it is shown.
async fn web_page(session: &Session) -> Log {
    let log = Log::default();
    let handler = async |event: Event, log: Log| {
        log.add(format!("{} {}", event.data_value()["success"], event.data_value()["message"]));
    };
    let page = session.event_hub().subscribe("topic=ftrack.action.trigger-user-interface");
    let page =
        page.metadata("applicationId", "ftrack.client.web").metadata("user", json!({"username": "ben"}));
    within(page.handle_with(log.clone(), handler)).await.unwrap();
    log
}

/// Work that says how far it is and waits for the permission to end.
fn slow(
    hub: &EventHub,
    may_end: &Arc<Semaphore>,
) -> (ActionBuilder, impl Fn(Launch) -> std::future::Ready<Outcome> + use<>) {
    let may_end = Arc::clone(may_end);
    let work = move |_: Launch| {
        let may_end = Arc::clone(&may_end);
        std::future::ready(Outcome::later("begun", move |progress: Progress| async move {
            progress.say("half").await?;
            may_end.acquire().await.unwrap().forget();
            Ok::<_, Error>("all of it")
        }))
    };
    (hub.action("slow"), work)
}

#[tokio::test]
async fn long_work_is_answered_at_once_and_tells_its_user_how_it_goes() {
    let (_emulator, ann, ben) = two().await;
    let (page, may_end) = (web_page(&ben).await, Arc::new(Semaphore::new(0)));
    let (action, work) = slow(ann.event_hub(), &may_end);
    let action = within(action.on_launch(work)).await.unwrap();
    let answer = ask(&ben, launch("slow", None)).await;
    assert_eq!(answer, json!({"success": true, "message": "begun"}));
    assert_eq!(page.wait_for(1).await, ["true \"half\""]);
    assert_eq!(action.working(), 1);
    may_end.add_permits(1);
    assert_eq!(page.wait_for(2).await[1], "true \"all of it\"");
    assert_eq!(within(action.remove(LONG)).await.unwrap(), 0);
    assert_eq!(ann.event_hub().stats().handler_failures, 0);
}

#[tokio::test]
async fn long_work_that_fails_or_panics_tells_its_user_and_is_reported() {
    let (_emulator, ann, ben) = two().await;
    let page = web_page(&ben).await;
    let hub = ann.event_hub();
    let mut lifecycle = hub.lifecycle();
    let fails =
        async |_: Launch| Outcome::later("begun", async |_: Progress| Err::<&str, _>("the farm is down"));
    within(hub.action("fails").on_launch(fails)).await.unwrap();
    let panics = async |_: Launch| {
        Outcome::later("begun", async |_: Progress| -> Result<&str, Error> { panic!("no!") })
    };
    within(hub.action("panics").on_launch(panics)).await.unwrap();
    for (action, said) in
        [("fails", "false \"the farm is down\""), ("panics", "false \"the action's work panicked\"")]
    {
        let before = page.lines().len();
        assert_eq!(ask(&ben, launch(action, None)).await["success"], true);
        assert_eq!(page.wait_for(before + 1).await[before], said);
    }
    while hub.stats().handler_failures < 2 {
        report(&mut lifecycle, |change| matches!(change, Lifecycle::HandlerFailed { .. }).then_some(()))
            .await;
    }
    assert_eq!(hub.stats().handler_failures, 2);
}

#[tokio::test]
async fn more_work_than_allowed_is_refused() {
    let (_emulator, ann, ben) = two().await;
    let (page, may_end) = (web_page(&ben).await, Arc::new(Semaphore::new(0)));
    let (action, work) = slow(ann.event_hub(), &may_end);
    let action = within(action.background(1).on_launch(work)).await.unwrap();
    assert_eq!(ask(&ben, launch("slow", None)).await["success"], true);
    let refused = ask(&ben, launch("slow", None)).await;
    assert_eq!(refused["success"], false);
    assert!(refused["message"].as_str().unwrap().contains("too much"), "{refused}");
    may_end.add_permits(1);
    page.wait_for(2).await;
    assert_eq!(within(action.remove(LONG)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_removed_action_is_gone_and_work_that_takes_too_long_is_cut_off() {
    let (emulator, ann, ben) = two().await;
    let (page, may_end) = (web_page(&ben).await, Arc::new(Semaphore::new(0)));
    let (action, work) = slow(ann.event_hub(), &may_end);
    let action = within(action.on_launch(work)).await.unwrap();
    assert_eq!(ask(&ben, launch("slow", None)).await["success"], true);
    page.wait_for(1).await;
    let before =
        emulator.connections().iter().map(|connection| connection.subscriptions.len()).sum::<usize>();
    assert_eq!(within(action.remove(Duration::from_millis(20))).await.unwrap(), 1, "one work was cut off");
    assert!(page.wait_for(2).await[1].contains("removed while it worked"));
    let after = emulator.connections().iter().map(|connection| connection.subscriptions.len()).sum::<usize>();
    assert_eq!((after, action.working()), (before - 2, 0));
    assert_eq!(answers(ann.event_hub(), &discover(&["task"])).await, Vec::<Value>::new());
    assert_eq!(within(action.remove(LONG)).await.unwrap(), 0, "removing it again does nothing");
    let again = ann.event_hub().action("slow").on_launch(async |_: Launch| "anew");
    within(again).await.unwrap();
    assert_eq!(ask(&ben, launch("slow", None)).await["message"], "anew");
}
