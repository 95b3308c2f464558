//! Our client against the historical socket.io 0.9.19, which nobody here wrote, with a small hub script on top.

use std::collections::HashSet;
use std::fmt;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use event_core::hub::Report;
use event_core::{ConnectionState, ErrorKind, Event, Lifecycle};
use ftrack_hub::{Json, Session};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bare::{Bare, Heard, handshake};
use crate::tap::{Frame, Noted, Tap};
use crate::{Direction, Failure, Needs, Puppet, Scenario, Stage, Tools, ensure};

const SERVER: &str = "socket.io 0.9.19";
const PATIENCE: Duration = Duration::from_secs(30);

/// The server, and a session of ours on it.
struct Scene {
    server: Puppet,
    address: SocketAddr,
    ours: Session,
}

impl Scene {
    async fn set(stage: &Stage, options: Value) -> Result<Self, Failure> {
        let (server, address) = serve(stage, options).await?;
        let ours = session(&url(address)).await?;
        Ok(Self { server, address, ours })
    }

    async fn state(&self) -> Result<Value, Failure> {
        self.server.call("state", json!({})).await
    }
}

async fn serve(stage: &Stage, options: Value) -> Result<(Puppet, SocketAddr), Failure> {
    let server = stage.puppet(SERVER, stage.tools.node("socketio", "socketio-hub.cjs")?)?;
    let started = server.call("start", options).await?;
    let port = started["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| Failure::new(format!("no port in {started}")))?;
    Ok((server, SocketAddr::from(([127, 0, 0, 1], port))))
}

fn url(server: SocketAddr) -> String {
    format!("http://{server}")
}

async fn session(url: &str) -> Result<Session, Failure> {
    let session = Session::builder(url, "ann", "her-key").build()?;
    session.event_hub().connect().await?;
    Ok(session)
}

async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::new(format!("not within {PATIENCE:?}")))
}

fn scenario<F>(name: &'static str, options: Value, play: fn(Scene) -> F) -> Scenario
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Scenario::new(Direction::ClientWorks, SERVER, Needs::Node, name, move |stage| {
        let options = options.clone();
        async move { play(Scene::set(&stage, options).await?).await }
    })
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let default = || json!({});
    vec![
        Scenario::new(
            Direction::ClientWorks,
            SERVER,
            Needs::Node,
            "refuses_a_wrong_key",
            refuses_a_wrong_key,
        ),
        scenario("delivers_what_we_subscribe_to", default(), delivers_what_we_subscribe_to),
        scenario("delivers_by_wildcard", default(), delivers_by_wildcard),
        scenario("carries_a_request_and_its_reply", default(), carries_a_request_and_its_reply),
        scenario("carries_several_replies", default(), carries_several_replies),
        scenario("forgets_what_we_unsubscribe", default(), forgets_what_we_unsubscribe),
        scenario("carries_unicode_and_a_megabyte", default(), carries_unicode_and_a_megabyte),
        scenario("puts_us_out_and_we_return_with_a_fresh_session", default(), kicked),
        scenario("loses_the_connection_and_we_return", default(), cut),
        scenario("beats_and_we_answer", json!({"heartbeat": 1, "timeout": 3}), beats),
        scenario("breaks_on_a_ping_and_a_pong", default(), breaks_on_a_ping_and_a_pong),
        scenario("gives_a_session_id_for_one_websocket", default(), single_use),
        Scenario::new(
            Direction::ClientWorks,
            SERVER,
            Needs::Node,
            "never_gets_from_us_what_breaks_it",
            never_gets_from_us_what_breaks_it,
        ),
        scenario("sends_the_unreadable_65536_byte_frame_and_we_return", default(), unreadable_frame),
        scenario("cuts_a_busy_publisher_off_and_nothing_is_lost", default(), busy_publisher),
    ]
}

async fn refuses_a_wrong_key(stage: Stage) -> Result<(), Failure> {
    let (_server, address) = serve(&stage, json!({})).await?;
    let session = Session::builder(url(address), "ann", "wrong").build()?;
    match session.event_hub().connect().await {
        Err(error) if error.kind() == ErrorKind::Unauthenticated => Ok(()),
        other => Err(Failure::new(format!("{other:?} instead of Unauthenticated"))),
    }
}

async fn delivers_what_we_subscribe_to(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=real.plain").stream().await?;
    let other = session(&url(scene.address)).await?;
    other.event_hub().publish(Event::new("real.other", &0)?).await?;
    other.event_hub().publish(Event::new("real.plain", &json!({"n": 1}))?).await?;
    let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    ensure(*delivery.event().data_value() == json!({"n": 1}), || format!("{:?}", delivery.event()))
}

async fn delivers_by_wildcard(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=real.w*").stream().await?;
    scene.ours.event_hub().publish(Event::new("real.wild", &1)?).await?;
    within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    Ok(())
}

async fn carries_a_request_and_its_reply(scene: Scene) -> Result<(), Failure> {
    let other = session(&url(scene.address)).await?;
    let answer = |event: Event| async move { Json(json!({"echo": event.data_value()})) };
    other.event_hub().subscribe("topic=real.ask").handle(answer).await?;
    let request = scene.ours.event_hub().publish_and_wait_for_reply(Event::new("real.ask", &7)?);
    let reply = request.timeout(PATIENCE).await?;
    ensure(*reply.data_value() == json!({"echo": 7}), || format!("{reply:?}"))
}

async fn carries_several_replies(scene: Scene) -> Result<(), Failure> {
    let others = [session(&url(scene.address)).await?, session(&url(scene.address)).await?];
    for other in &others {
        other.event_hub().subscribe("topic=real.ask").handle(async |_: Event| Json("here")).await?;
    }
    let event = Event::new("real.ask", &Value::Null)?;
    let mut replies = scene.ours.event_hub().publish_with_replies(event, PATIENCE).await?;
    for _ in &others {
        within(replies.next()).await?.ok_or_else(|| Failure::new("no more replies"))?;
    }
    Ok(())
}

async fn forgets_what_we_unsubscribe(scene: Scene) -> Result<(), Failure> {
    let subscription =
        scene.ours.event_hub().subscribe("topic=real.left").handle(async |_: Event| {}).await?;
    let before = scene.state().await?["subscriptions"].as_u64().unwrap_or_default();
    subscription.unsubscribe().await?;
    let after = scene.state().await?["subscriptions"].as_u64().unwrap_or_default();
    ensure(after + 1 == before, || format!("{before} subscriptions before, {after} after"))
}

async fn carries_unicode_and_a_megabyte(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=real.large").stream().await?;
    let text = "é漢🎬".repeat(131_072);
    scene.ours.event_hub().publish(Event::new("real.large", &text)?).await?;
    let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    ensure(delivery.event().data_value() == text.as_str(), || "it came back changed".to_owned())
}

/// Waits until the hub was connected anew, with a gap told.
async fn returns(
    scene: &Scene,
    trouble: impl Future<Output = Result<Value, Failure>>,
) -> Result<(), Failure> {
    let mut lifecycle = scene.ours.event_hub().lifecycle();
    trouble.await?;
    let mut gap = false;
    loop {
        match within(lifecycle.next()).await? {
            Some(Report::Happened(Lifecycle::Gap(_))) => gap = true,
            Some(Report::Happened(Lifecycle::Connected { .. })) => break,
            Some(_) => {}
            None => return Err(Failure::new("the hub ended")),
        }
    }
    ensure(gap, || "no gap was told".to_owned())
}

async fn kicked(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=real.back").stream().await?;
    for n in 0..3 {
        returns(&scene, scene.server.call("kick", json!({}))).await?;
        scene.ours.event_hub().publish(Event::new("real.back", &n)?).await?;
        within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    }
    let state = scene.state().await?;
    ensure(state["connections"] == 4, || format!("one connection each: {state}"))
}

async fn cut(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=real.back").stream().await?;
    returns(&scene, scene.server.call("cut", json!({}))).await?;
    scene.ours.event_hub().publish(Event::new("real.back", &1)?).await?;
    within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    Ok(())
}

async fn beats(scene: Scene) -> Result<(), Failure> {
    let gone = scene.ours.event_hub().wait_for_state(|state| !state.is_connected());
    // Longer than the server waits for an answer, and than we wait for a beat.
    ensure(timeout(Duration::from_secs(7), gone).await.is_err(), || "the connection broke".to_owned())?;
    let state = scene.state().await?;
    ensure(state["connections"] == 1 && state["open"] == 1, || state.to_string())
}

/// An empty ping is answered with a frame that no websocket may have, and its mask is read as the next frame: here one
/// with reserved bits, and one that continues nothing, which both end the connection. (About one mask in sixty reads as
/// the start of a message, for whose rest the server waits.) A pong that it did not ask for always ends it.
async fn breaks_on_a_ping_and_a_pong(scene: Scene) -> Result<(), Failure> {
    for mask in [[0x70, 0, 0, 0], [0; 4]] {
        let mut bare = Bare::connect(scene.address, "ann", "her-key").await?;
        bare.ping(mask).await?;
        let heard = bare.hear().await?;
        let broke = matches!(&heard, Heard::End(why) if !why.starts_with("Pong"));
        ensure(broke, || format!("{heard:?} to a ping masked {mask:x?}"))?;
    }
    let mut bare = Bare::connect(scene.address, "ann", "her-key").await?;
    bare.pong([0x81, 0x0a, 0, 0]).await?;
    let heard = bare.hear().await?;
    ensure(matches!(heard, Heard::End(_)), || format!("{heard:?} to a pong"))?;
    // Others are not affected.
    scene.ours.event_hub().publish(Event::new("real.after", &0)?).await?;
    Ok(())
}

async fn single_use(scene: Scene) -> Result<(), Failure> {
    let session = handshake(scene.address, "ann", "her-key").await?;
    let mut first = Bare::open(scene.address, &session).await?;
    let connected = first.next().await?;
    ensure(connected == "1::", || connected)?;
    first.close().await?;
    let mut second = Bare::open(scene.address, &session).await?;
    let refused = second.next().await?;
    ensure(refused == "7:::1+0", || format!("{refused} to a session id that was used"))?;
    let heard = second.hear().await?;
    ensure(matches!(heard, Heard::End(_)), || format!("{heard:?} after the refusal"))
}

/// Everything that our client says in a long session, seen on the wire: no pings, no pongs, no fragments, and each
/// session id once.
async fn never_gets_from_us_what_breaks_it(stage: Stage) -> Result<(), Failure> {
    let (server, address) = serve(&stage, json!({"heartbeat": 1, "timeout": 5})).await?;
    let tap = Tap::before(address).await?;
    let ours = session(&tap.url()).await?;
    let scene = Scene { server, address, ours };
    let large = "\u{e9}\u{1f600}".repeat(200_000);
    for _ in 0..2 {
        scene.ours.event_hub().publish(Event::new("real.large", &json!({"text": large}))?).await?;
        returns(&scene, scene.server.call("kick", json!({}))).await?;
    }
    let beats = |noted: &Noted| noted.frames.iter().filter(|frame| frame.length == 3).count();
    within(tap.wait_for(|noted| beats(noted) >= 3)).await?;
    scene.ours.event_hub().close().await;
    let noted = tap.noted();
    let whole = |frame: &Frame| frame.last && matches!(frame.opcode, 1 | 8);
    ensure(noted.frames.iter().all(whole), || format!("{:?}", noted.frames))?;
    ensure(noted.frames.iter().any(|frame| frame.length > 1_000_000), || {
        "nothing large was sent".to_owned()
    })?;
    let websockets: Vec<&String> =
        noted.requests.iter().filter(|line| line.contains("/socket.io/1/websocket/")).collect();
    let different: HashSet<_> = websockets.iter().collect();
    ensure(websockets.len() == 3 && different.len() == 3, || format!("{websockets:?}"))
}

async fn unreadable_frame(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=real.sized").stream().await?;
    for bytes in [65_535, 65_537] {
        scene.server.call("emit_sized", json!({"topic": "real.sized", "bytes": bytes})).await?;
        within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    }
    returns(&scene, scene.server.call("emit_sized", json!({"topic": "real.sized", "bytes": 65_536}))).await?;
    scene.server.call("emit_sized", json!({"topic": "real.sized", "bytes": 65_540})).await?;
    within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    Ok(())
}

async fn busy_publisher(scene: Scene) -> Result<(), Failure> {
    let burst = publish_burst(&scene, 3_000).await?;
    ensure(burst.is_complete(3_000), || burst.to_string())?;
    ensure(burst.cut_offs > 0, || format!("the server did not cut off, so nothing was shown: {burst}"))
}

/// What became of many publishes to the real server.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Publishes that returned `Ok`.
    pub acknowledged: u64,
    /// Of these, said to be possible duplicates.
    pub possible_duplicates: u64,
    /// Different events that the server got.
    pub received: u64,
    /// Events that the server got, repeats included.
    pub with_repeats: u64,
    /// Events that the server got more than once although their publish was not said to be a possible duplicate.
    pub unmarked_repeats: u64,
    /// How often the server cut us off.
    pub cut_offs: u64,
    /// How long it took.
    pub took: Duration,
}

impl Burst {
    /// Whether so many were acknowledged and received, each once when the marked repeats are removed.
    pub fn is_complete(&self, count: u64) -> bool {
        self.acknowledged == count && self.received == count && self.unmarked_repeats == 0
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            possible_duplicates,
            received,
            with_repeats,
            unmarked_repeats,
            cut_offs,
            took,
        } = self;
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let rate = *acknowledged as f64 / took.as_secs_f64();
        write!(
            f,
            "{acknowledged} acknowledged ({possible_duplicates} marked as possible duplicates), {received} different \
             events received ({with_repeats} with repeats, {unmarked_repeats} of them repeated without a mark), \
             {cut_offs} cut-offs, {:.2} s, {rate:.0} events/s",
            took.as_secs_f64()
        )
    }
}

/// Publishes `count` events of 1.5 KB over one hub to the real server at its default settings.
///
/// # Errors
///
/// When the server does not start, or an event is not acknowledged.
pub async fn burst(tools: &Tools, count: u64) -> Result<Burst, Failure> {
    let stage = Stage::new(tools, None);
    let scene = Scene::set(&stage, json!({})).await?;
    publish_burst(&scene, count).await
}

#[expect(clippy::disallowed_methods, reason = "measures how long it takes")]
async fn publish_burst(scene: &Scene, count: u64) -> Result<Burst, Failure> {
    let began = std::time::Instant::now();
    let filling = "x".repeat(1_200);
    let hub = scene.ours.event_hub();
    let publishes =
        futures_util::stream::iter(0..count).map(|n| {
            let event = Event::new("real.burst", &json!({"n": n, "filling": filling}));
            async move {
                Ok::<_, Failure>(hub.publish(event?).timeout(Duration::from_secs(120)).into_future().await?)
            }
        });
    let receipts: Vec<_> = publishes.buffered(256).collect().await;
    let took = began.elapsed();
    let mut burst = Burst {
        acknowledged: 0,
        possible_duplicates: 0,
        received: 0,
        with_repeats: 0,
        unmarked_repeats: 0,
        cut_offs: 0,
        took,
    };
    let mut marked = HashSet::new();
    for (n, receipt) in (0..).zip(receipts) {
        burst.acknowledged += 1;
        if receipt?.possible_duplicate {
            burst.possible_duplicates += 1;
            marked.insert(n);
        }
    }
    let repeated = scene.server.call("repeated", json!({})).await?;
    let repeated: Vec<u64> =
        repeated["numbers"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    burst.unmarked_repeats = repeated.iter().filter(|n| !marked.contains(*n)).count() as u64;
    let state = scene.state().await?;
    burst.received = state["unique"].as_u64().unwrap_or_default();
    burst.with_repeats = state["received"].as_u64().unwrap_or_default();
    burst.cut_offs = state["connections"].as_u64().unwrap_or_default().saturating_sub(1);
    let connected = matches!(hub.state(), ConnectionState::Connected | ConnectionState::Reconnecting { .. });
    ensure(connected, || format!("the hub is {}", hub.state()))?;
    Ok(burst)
}
