//! ftrack's official clients against the emulator, and through it against each other and against ours.

use std::time::Duration;

use event_core::Event;
use ftrack_hub::{Json, Session};
use hub_emulator::Emulator;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Direction, Failure, Needs, Puppet, Scenario, Stage, ensure};

const USER: &str = "ann";
const KEY: &str = "her-key";
const PATIENCE: Duration = Duration::from_secs(30);

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lang {
    Js,
    Python,
}

impl Lang {
    fn name(self) -> &'static str {
        match self {
            Self::Js => "@ftrack/api 1.11.2",
            Self::Python => "ftrack-python-api 3.1.0",
        }
    }

    fn needs(self) -> Needs {
        match self {
            Self::Js => Needs::Node,
            Self::Python => Needs::Python,
        }
    }

    fn start(self, stage: &Stage) -> Result<Puppet, Failure> {
        match self {
            Self::Js => stage.puppet(self.name(), stage.tools.node("ftrack", "ftrack.cjs")?),
            Self::Python => stage.puppet(self.name(), stage.tools.python("ftrack.py")?),
        }
    }
}

/// An emulator, an official client on it, and ours.
struct Scene {
    emulator: Emulator,
    lang: Lang,
    theirs: Puppet,
    ours: Session,
}

impl Scene {
    async fn set(stage: &Stage, lang: Lang) -> Result<Self, Failure> {
        let emulator = stage.emulator(|builder| builder.user(USER, KEY)).await?;
        let theirs = lang.start(stage)?;
        connect(&theirs, "a", &emulator).await?;
        let ours = session(&emulator).await?;
        Ok(Self { emulator, lang, theirs, ours })
    }

    /// They subscribe, and the emulator knows.
    async fn they_subscribe(&self, args: Value) -> Result<Value, Failure> {
        let before = self.emulator.stats().subscribed;
        let mut args = args;
        args["hub"] = json!("a");
        let subscribed = self.theirs.call("subscribe", args).await?;
        within(self.emulator.wait_for(|state| state.stats.subscribed > before)).await?;
        Ok(subscribed)
    }

    async fn we_publish(&self, topic: &str, data: &Value) -> Result<(), Failure> {
        let event = Event::new(topic, data)?;
        self.ours.event_hub().publish(event).await?;
        Ok(())
    }
}

async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::new(format!("not within {PATIENCE:?}")))
}

async fn connect(theirs: &Puppet, hub: &str, emulator: &Emulator) -> Result<Value, Failure> {
    let url = emulator.ftrack_url();
    theirs.call("connect", json!({"hub": hub, "url": url, "user": USER, "key": KEY})).await
}

async fn session(emulator: &Emulator) -> Result<Session, Failure> {
    let session = Session::builder(emulator.ftrack_url(), USER, KEY).build()?;
    session.event_hub().connect().await?;
    Ok(session)
}

macro_rules! list {
    ($($scenario:ident),* $(,)?) => {
        vec![$((stringify!($scenario), (|scene| Box::pin($scenario(scene))) as Play)),*]
    };
}

type Play = fn(Scene) -> futures_util::future::BoxFuture<'static, Result<(), Failure>>;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let both: Vec<(&str, Play)> = list![
        receives_a_plain_topic_and_no_other,
        receives_a_wildcard,
        receives_an_event_of_ours_byte_for_byte,
        its_events_reach_us_with_their_envelope,
        its_publish_reaches_itself,
        answers_our_request_by_returning_a_value,
        gets_our_answer,
        sends_several_replies_to_one_event,
        gets_several_replies_to_one_event,
        gives_up_waiting_for_a_reply_that_nobody_sends,
        its_reply_reaches_the_asker_and_nobody_else,
        gets_what_is_targeted_at_its_subscriber,
        does_not_get_what_is_targeted_at_another,
        hears_nothing_after_unsubscribing,
        has_two_hubs_at_once,
        comes_back_after_a_restart_with_its_subscriptions,
        publishes_of_the_time_away_arrive,
        comes_back_after_being_cut_off,
        carries_unicode_both_ways,
        carries_a_megabyte_both_ways,
        keeps_the_order_of_a_thousand_events_from_us,
        keeps_the_order_of_a_thousand_events_to_us,
        leaves_politely,
    ];
    let mut all = Vec::new();
    for lang in [Lang::Js, Lang::Python] {
        all.push(plain(lang, "is_refused_with_wrong_credentials", move |stage| {
            wrong_credentials(stage, lang)
        }));
        for (name, play) in &both {
            let play = *play;
            all.push(plain(
                lang,
                name,
                move |stage| async move { play(Scene::set(&stage, lang).await?).await },
            ));
        }
    }
    let python: Vec<(&str, Play)> = list![
        subscribes_by_a_full_expression,
        has_its_packets_acknowledged,
        publishes_locally,
        stops_an_event_by_priority,
        is_put_out_by_a_disconnect_packet_and_returns,
    ];
    for (name, play) in python {
        all.push(plain(Lang::Python, name, move |stage| async move {
            play(Scene::set(&stage, Lang::Python).await?).await
        }));
    }
    for (asks, answers) in [(Lang::Js, Lang::Python), (Lang::Python, Lang::Js)] {
        let name = format!("asks_{}_through_the_emulator", answers.name());
        all.push(Scenario::new(
            Direction::EmulatorServes,
            asks.name(),
            Needs::Both,
            name,
            move |stage| async move { across(stage, asks, answers).await },
        ));
    }
    all
}

fn plain<F>(lang: Lang, name: &str, play: impl Fn(Stage) -> F + Send + Sync + 'static) -> Scenario
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Scenario::new(Direction::EmulatorServes, lang.name(), lang.needs(), name, play)
}

async fn wrong_credentials(stage: Stage, lang: Lang) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder.user(USER, KEY)).await?;
    let theirs = lang.start(&stage)?;
    let args = json!({"hub": "a", "url": emulator.ftrack_url(), "user": USER, "key": "wrong"});
    match lang {
        // It says nothing to its caller: it just never connects.
        Lang::Js => {
            let mut args = args;
            args["ms"] = json!(500);
            theirs.refused("connect", args).await?;
        }
        Lang::Python => {
            let error = theirs.refused("connect", args).await?;
            ensure(error == "EventHubConnectionError", || {
                format!("{error} instead of EventHubConnectionError")
            })?;
        }
    }
    let seen = emulator.state();
    ensure(seen.stats.handshakes_unauthorized >= 1 && seen.connections == 0, || format!("{seen:?}"))
}

async fn receives_a_plain_topic_and_no_other(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.plain"})).await?;
    scene.we_publish("interop.other", &json!(0)).await?;
    scene.we_publish("interop.plain", &json!({"n": 1})).await?;
    let event = scene.theirs.event(|_| true).await?["event"].clone();
    ensure(event["topic"] == "interop.plain" && event["data"] == json!({"n": 1}), || event.to_string())
}

async fn receives_a_wildcard(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.w*"})).await?;
    scene.we_publish("other.topic", &json!(0)).await?;
    scene.we_publish("interop.wild", &json!(1)).await?;
    let event = scene.theirs.event(|_| true).await?["event"].clone();
    ensure(event["topic"] == "interop.wild", || event.to_string())
}

async fn receives_an_event_of_ours_byte_for_byte(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.all"})).await?;
    let data = json!({"numbers": [0, -1, 1.5, 9_007_199_254_740_991_i64], "null": null, "nested": {"a": [{}, []]},
        "text": "\"quoted\" \\ / \u{1}", "yes": true});
    let event = Event::builder("interop.all").data(&data).build()?;
    scene.ours.event_hub().publish(event).await?;
    let got = scene.theirs.event_on("interop.all").await?;
    ensure(got["data"] == data, || got.to_string())?;
    ensure(got["source"]["user"]["username"] == USER, || format!("source {}", got["source"]))?;
    ensure(got["id"].as_str().is_some_and(|id| !id.is_empty()), || format!("id {}", got["id"]))
}

async fn its_events_reach_us_with_their_envelope(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=interop.theirs").stream().await?;
    let args = json!({"hub": "a", "topic": "interop.theirs", "data": {"n": 7}});
    let published = scene.theirs.call("publish", args).await?;
    let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    let event = delivery.event();
    ensure(*event.data_value() == json!({"n": 7}), || format!("{event:?}"))?;
    // The Python client does not say.
    let id = published["id"].as_str();
    ensure(id.is_none() || event.id().map(event_core::EventId::as_str) == id, || {
        format!("{published} {event:?}")
    })?;
    ensure(event.source_id().is_some(), || format!("no source: {event:?}"))?;
    let whole: Value =
        serde_json::from_slice(&event.to_json()).map_err(|error| Failure::new(error.to_string()))?;
    let known = ["topic", "data", "target", "inReplyToEvent", "id", "source", "sent"];
    let strange: Vec<&String> = whole
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .filter(|key| !known.contains(&key.as_str()))
        .collect();
    ensure(strange.is_empty(), || format!("unknown members {strange:?}"))
}

async fn its_publish_reaches_itself(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.self"})).await?;
    scene.theirs.call("publish", json!({"hub": "a", "topic": "interop.self", "data": 1})).await?;
    scene.theirs.event_on("interop.self").await.map(drop)
}

async fn answers_our_request_by_returning_a_value(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.ask", "answer": "echo"})).await?;
    let request = Event::new("interop.ask", &json!({"q": "?"}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(*reply.data_value() == json!({"echo": {"q": "?"}}), || format!("{reply:?}"))
}

async fn gets_our_answer(scene: Scene) -> Result<(), Failure> {
    let answer = |event: Event| async move { Json(json!({"answer": event.data_value()})) };
    scene.ours.event_hub().subscribe("topic=interop.ask").handle(answer).await?;
    let got =
        scene.theirs.call("request", json!({"hub": "a", "topic": "interop.ask", "data": {"n": 3}})).await?;
    ensure(got["reply"]["data"] == json!({"answer": {"n": 3}}), || got.to_string())?;
    ensure(got["reply"]["topic"] == "ftrack.meta.reply", || got.to_string())
}

async fn sends_several_replies_to_one_event(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.twice", "answer": "twice"})).await?;
    let request = Event::new("interop.twice", &json!(null))?;
    let mut replies = scene.ours.event_hub().publish_with_replies(request, PATIENCE).await?;
    for part in [1, 2] {
        let reply = within(replies.next()).await?.ok_or_else(|| Failure::new("no more replies"))?;
        ensure(*reply.data_value() == json!({"part": part}), || format!("{reply:?}"))?;
    }
    Ok(())
}

async fn gets_several_replies_to_one_event(scene: Scene) -> Result<(), Failure> {
    for n in 1..=3 {
        let answer = move |_: Event| async move { Json(json!({"part": n})) };
        scene.ours.event_hub().subscribe("topic=interop.many").handle(answer).await?;
    }
    let args = json!({"hub": "a", "topic": "interop.many", "data": null, "count": 3});
    let got = scene.theirs.call("request_all", args).await?;
    let mut parts: Vec<u64> = got["replies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reply| reply["data"]["part"].as_u64())
        .collect();
    parts.sort_unstable();
    ensure(parts == [1, 2, 3], || got.to_string())
}

async fn gives_up_waiting_for_a_reply_that_nobody_sends(scene: Scene) -> Result<(), Failure> {
    let args = json!({"hub": "a", "topic": "interop.silence", "data": null, "seconds": 1});
    let error = scene.theirs.refused("request", args).await?;
    let wanted = match scene.lang {
        Lang::Js => "EventServerReplyTimeoutError",
        // It has no such call; the puppet waits and gives up.
        Lang::Python => "TimeoutError",
    };
    ensure(error == wanted || error == "Error", || format!("{error} instead of {wanted}"))
}

async fn its_reply_reaches_the_asker_and_nobody_else(scene: Scene) -> Result<(), Failure> {
    let bystander = session(&scene.emulator).await?;
    let mut overheard = bystander.event_hub().subscribe("topic=ftrack.meta.reply").stream().await?;
    let mut marker = bystander.event_hub().subscribe("topic=interop.marker").stream().await?;
    scene.they_subscribe(json!({"expression": "topic=interop.ask", "answer": "echo"})).await?;
    let request = Event::new("interop.ask", &json!(1))?;
    scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    scene.we_publish("interop.marker", &json!(1)).await?;
    within(marker.next()).await?;
    let nothing = timeout(Duration::from_millis(1), overheard.next()).await.is_err();
    ensure(nothing, || "a bystander got the reply".to_owned())
}

async fn gets_what_is_targeted_at_its_subscriber(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.target", "id": "their-subscriber"})).await?;
    let event = Event::builder("interop.target").data(&json!(1)).target("id=their-subscriber").build()?;
    scene.ours.event_hub().publish(event).await?;
    scene.theirs.event_on("interop.target").await.map(drop)
}

async fn does_not_get_what_is_targeted_at_another(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.target", "id": "their-subscriber"})).await?;
    let event = Event::builder("interop.target").data(&json!("no")).target("id=somebody-else").build()?;
    scene.ours.event_hub().publish(event).await?;
    scene.we_publish("interop.target", &json!("yes")).await?;
    let got = scene.theirs.event_on("interop.target").await?;
    ensure(got["data"] == "yes", || got.to_string())
}

async fn hears_nothing_after_unsubscribing(scene: Scene) -> Result<(), Failure> {
    let args = json!({"expression": "topic=interop.left", "id": "leaving"});
    let subscribed = scene.they_subscribe(args).await?;
    scene.they_subscribe(json!({"expression": "topic=interop.marker"})).await?;
    let before = scene.emulator.stats().unsubscribed;
    let gone = json!({"hub": "a", "subscriber": subscribed["subscriber"]});
    scene.theirs.call("unsubscribe", gone).await?;
    within(scene.emulator.wait_for(|state| state.stats.unsubscribed > before)).await?;
    scene.we_publish("interop.left", &json!(1)).await?;
    scene.we_publish("interop.marker", &json!(1)).await?;
    let first = scene.theirs.event(|_| true).await?;
    ensure(first["event"]["topic"] == "interop.marker", || first.to_string())
}

async fn has_two_hubs_at_once(scene: Scene) -> Result<(), Failure> {
    // The JavaScript client shares one socket for one user: another user makes a second one in both.
    let second = json!({"hub": "b", "url": scene.emulator.ftrack_url(), "user": USER, "key": KEY});
    scene.theirs.call("connect", second).await?;
    let before = scene.emulator.stats().subscribed;
    let args = json!({"hub": "b", "expression": "topic=interop.two"});
    scene.theirs.call("subscribe", args).await?;
    within(scene.emulator.wait_for(|state| state.stats.subscribed > before)).await?;
    scene.theirs.call("publish", json!({"hub": "a", "topic": "interop.two", "data": 2})).await?;
    scene.theirs.event_on("interop.two").await.map(drop)
}

async fn comes_back_after_a_restart_with_its_subscriptions(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.back"})).await?;
    let Scene { emulator, theirs, ours, .. } = scene;
    let before = emulator.stats();
    emulator.restart().await?;
    within(
        emulator.wait_for(|state| state.connections >= 2 && state.stats.subscribed >= before.subscribed + 3),
    )
    .await?;
    ours.event_hub().publish(Event::new("interop.back", &json!(1))?).await?;
    theirs.event_on("interop.back").await.map(drop)
}

async fn publishes_of_the_time_away_arrive(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=interop.queued").stream().await?;
    scene.emulator.stop().await;
    let mut down = json!({"hub": "a"});
    for _ in 0..500 {
        down = scene.theirs.call("connected", json!({"hub": "a"})).await?;
        if down["connected"] == false {
            break;
        }
    }
    ensure(down["connected"] == false, || "it does not notice that the server is away".to_owned())?;
    for n in 0..3 {
        scene
            .theirs
            .call("publish_later", json!({"hub": "a", "topic": "interop.queued", "data": {"n": n}}))
            .await?;
    }
    // Ours has to be there before they are: what nobody subscribes to is lost.
    scene.emulator.restart().await?;
    within(scene.ours.event_hub().wait_for_state(event_core::ConnectionState::is_connected)).await?;
    for n in 0..3 {
        let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))?;
        let Ok(delivery) = delivery else { return Err(Failure::new("the hub gave up")) };
        ensure(delivery.event().data_value()["n"] == n, || format!("{:?} instead of {n}", delivery.event()))?;
    }
    Ok(())
}

async fn comes_back_after_being_cut_off(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.cut"})).await?;
    let before = scene.emulator.stats();
    scene.emulator.cut_all();
    within(
        scene
            .emulator
            .wait_for(|state| state.connections >= 2 && state.stats.subscribed >= before.subscribed + 3),
    )
    .await?;
    scene.we_publish("interop.cut", &json!(1)).await?;
    scene.theirs.event_on("interop.cut").await.map(drop)
}

async fn carries_unicode_both_ways(scene: Scene) -> Result<(), Failure> {
    let text = "ÅÄÖ ß 漢字 🎬 \u{200d} \u{feff}é \u{2028} end";
    scene.they_subscribe(json!({"expression": "topic=interop.unicode", "answer": "echo"})).await?;
    let request = Event::new("interop.unicode", &json!({"text": text}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(reply.data_value()["echo"]["text"] == text, || format!("{:?}", reply.data_value()))
}

async fn carries_a_megabyte_both_ways(scene: Scene) -> Result<(), Failure> {
    let text = "0123456789abcdef".repeat(65_536);
    scene.they_subscribe(json!({"expression": "topic=interop.large", "answer": "echo"})).await?;
    let request = Event::new("interop.large", &json!({"text": text}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(reply.data_value()["echo"]["text"] == text.as_str(), || "it came back changed".to_owned())
}

async fn keeps_the_order_of_a_thousand_events_from_us(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.order"})).await?;
    for n in 0..1000 {
        scene.ours.event_hub().publish(Event::new("interop.order", &json!({"n": n}))?).no_wait().await?;
    }
    for n in 0..1000 {
        let event = scene.theirs.event_on("interop.order").await?;
        ensure(event["data"]["n"] == n, || format!("{} instead of {n}", event["data"]))?;
    }
    Ok(())
}

async fn keeps_the_order_of_a_thousand_events_to_us(scene: Scene) -> Result<(), Failure> {
    let subscribe = scene.ours.event_hub().subscribe("topic=interop.order");
    let mut stream = subscribe.buffer(2048, event_core::Overflow::DropNewest).stream().await?;
    let args = json!({"hub": "a", "topic": "interop.order", "data": {}, "count": 1000});
    scene.theirs.call("publish_many", args).await?;
    for n in 0..1000 {
        let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
        let got = delivery.event().data_value();
        ensure(got["n"] == n, || format!("{got} instead of {n}"))?;
    }
    Ok(())
}

async fn leaves_politely(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.bye"})).await?;
    scene.theirs.call("disconnect", json!({"hub": "a"})).await?;
    let state = within(scene.emulator.wait_for(|state| state.connections == 1)).await?;
    ensure(state.stats.cut_silent == 0 && state.stats.events_malformed == 0, || format!("{state:?}"))
}

async fn subscribes_by_a_full_expression(scene: Scene) -> Result<(), Failure> {
    let expression =
        "topic=interop.full and (data.kind=shot or not data.kind=task) and source.user.username!=bob";
    scene.they_subscribe(json!({"expression": expression})).await?;
    for kind in ["task", "shot", "asset"] {
        scene.we_publish("interop.full", &json!({"kind": kind})).await?;
    }
    for kind in ["shot", "asset"] {
        let event = scene.theirs.event(|_| true).await?["event"].clone();
        ensure(event["data"]["kind"] == kind, || format!("{event} instead of {kind}"))?;
    }
    Ok(())
}

async fn has_its_packets_acknowledged(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.acked"})).await?;
    scene
        .theirs
        .call("publish_many", json!({"hub": "a", "topic": "interop.acked", "data": {}, "count": 20}))
        .await?;
    for _ in 0..20 {
        scene.theirs.event_on("interop.acked").await?;
    }
    let open = scene.theirs.call("unacknowledged", json!({"hub": "a"})).await?;
    ensure(open["packets"] == 0, || format!("{open} when the consequences had arrived"))
}

async fn publishes_locally(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.local", "answer": "echo"})).await?;
    let args = json!({"hub": "a", "topic": "interop.local", "data": 5});
    let got = scene.theirs.call("publish_local", args).await?;
    ensure(got["results"] == json!([{"echo": 5}]), || got.to_string())
}

async fn stops_an_event_by_priority(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.stop", "id": "late", "priority": 200})).await?;
    scene
        .they_subscribe(
            json!({"expression": "topic=interop.stop", "id": "early", "priority": 10, "stop": true}),
        )
        .await?;
    scene.they_subscribe(json!({"expression": "topic=interop.marker"})).await?;
    scene.we_publish("interop.stop", &json!(1)).await?;
    scene.we_publish("interop.marker", &json!(1)).await?;
    let first = scene.theirs.event(|_| true).await?;
    let second = scene.theirs.event(|_| true).await?;
    ensure(first["subscriber"] == "early" && second["event"]["topic"] == "interop.marker", || {
        format!("{first} {second}")
    })
}

async fn is_put_out_by_a_disconnect_packet_and_returns(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.out"})).await?;
    let before = scene.emulator.stats();
    scene.emulator.disconnect_all();
    within(
        scene
            .emulator
            .wait_for(|state| state.connections >= 2 && state.stats.subscribed >= before.subscribed + 3),
    )
    .await?;
    scene.we_publish("interop.out", &json!(1)).await?;
    scene.theirs.event_on("interop.out").await.map(drop)
}

async fn across(stage: Stage, asks: Lang, answers: Lang) -> Result<(), Failure> {
    let scene = Scene::set(&stage, answers).await?;
    scene.they_subscribe(json!({"expression": "topic=interop.across", "answer": "echo"})).await?;
    let asking = asks.start(&stage)?;
    connect(&asking, "a", &scene.emulator).await?;
    let got =
        asking.call("request", json!({"hub": "a", "topic": "interop.across", "data": {"n": 1}})).await?;
    ensure(got["reply"]["data"] == json!({"echo": {"n": 1}}), || got.to_string())?;
    // And on to us.
    let request = Event::new("interop.across", &json!({"n": 2}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(*reply.data_value() == json!({"echo": {"n": 2}}), || format!("{reply:?}"))
}
