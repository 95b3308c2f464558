//! ftrack's official clients against the emulator, and through it against each other and against ours.

mod connections;
mod events;

use std::time::Duration;

use event_core::Event;
use ftrack_hub::Session;
use hub_emulator::Emulator;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::tap::Tap;
use crate::{Direction, Failure, Needs, Puppet, Scenario, Stage, ensure};

const USER: &str = "ann";
/// One of ours who is nobody of theirs.
const WATCHER: &str = "ben";
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
        let emulator = stage.emulator(|builder| builder.user(USER, KEY).user(WATCHER, KEY)).await?;
        let theirs = lang.start(stage)?;
        connect(&theirs, "a", &emulator).await?;
        let ours = session(&emulator, USER).await?;
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

async fn session(emulator: &Emulator, user: &str) -> Result<Session, Failure> {
    let session = Session::builder(emulator.ftrack_url(), user, KEY).build()?;
    session.event_hub().connect().await?;
    Ok(session)
}

macro_rules! list {
    ($($room:ident::$scenario:ident),* $(,)?) => {
        vec![$((stringify!($scenario), (|scene| Box::pin($room::$scenario(scene))) as Play)),*]
    };
}

type Play = fn(Scene) -> futures_util::future::BoxFuture<'static, Result<(), Failure>>;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let both: Vec<(&str, Play)> = list![
        events::receives_a_plain_topic_and_no_other,
        events::receives_a_wildcard,
        events::receives_an_event_of_ours_byte_for_byte,
        events::its_events_reach_us_with_their_envelope,
        events::its_publish_reaches_itself,
        events::answers_our_request_by_returning_a_value,
        events::gets_our_answer,
        events::sends_several_replies_to_one_event,
        events::gets_several_replies_to_one_event,
        events::gives_up_waiting_for_a_reply_that_nobody_sends,
        events::its_reply_reaches_the_asker_and_nobody_else,
        events::gets_what_is_targeted_at_its_subscriber,
        events::does_not_get_what_is_targeted_at_another,
        events::hears_nothing_after_unsubscribing,
        connections::has_two_hubs_at_once,
        connections::comes_back_after_a_restart_with_its_subscriptions,
        connections::publishes_of_the_time_away_arrive,
        connections::comes_back_after_being_cut_off,
        events::carries_unicode_both_ways,
        events::carries_a_megabyte_both_ways,
        events::keeps_the_order_of_a_thousand_events_from_us,
        events::keeps_the_order_of_a_thousand_events_to_us,
        connections::leaves_politely,
        events::gets_what_is_targeted_at_its_metadata,
        events::targets_one_of_ours,
        connections::stays_connected_while_nothing_happens,
    ];
    let mut all = Vec::new();
    for lang in [Lang::Js, Lang::Python] {
        all.push(plain(lang, "connects_with_its_credentials_where_it_puts_them", move |stage| {
            right_credentials(stage, lang)
        }));
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
        events::subscribes_by_a_full_expression,
        events::has_its_packets_acknowledged,
        events::publishes_locally,
        events::stops_an_event_by_priority,
        connections::is_put_out_by_a_disconnect_packet_and_returns,
        events::subscribes_with_quotes_and_precedence,
        connections::has_two_hubs_of_one_user,
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

/// One client has them in the query, of both requests; the other in headers of the first.
async fn right_credentials(stage: Stage, lang: Lang) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder.user(USER, KEY)).await?;
    let tap = Tap::before(emulator.ftrack_addr()).await?;
    let theirs = lang.start(&stage)?;
    let args = json!({"hub": "a", "url": tap.url(), "user": USER, "key": KEY});
    theirs.call("connect", args).await?;
    within(emulator.wait_for(|state| state.connections == 1 && state.stats.subscribed >= 1)).await?;
    let requests = tap.noted().requests;
    let query = format!("?api_user={USER}&api_key={KEY} ");
    let shown = requests.iter().filter(|line| line.contains(&query)).count();
    let wanted = if lang == Lang::Js { 2 } else { 0 };
    ensure(requests.len() == 2 && shown == wanted, || format!("{requests:?}"))
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
