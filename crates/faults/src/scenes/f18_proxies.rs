//! F18: the way leads through a proxy, and the proxy is the trouble.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use event_core::{Error, ErrorKind};
use ftrack_hub::Session;
use hub_emulator::{Emulator, Proxy, ProxyFault, TlsCertificate};
use imodelhub_events::{AccessToken, Environment, EventType, IModelHubClient, IModelId};
use tracing::{Event, Metadata, Subscriber, field, span};

use super::stage::broken;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F18",
    what: "proxy: CONNECT and SOCKS5, with and without login, refusing, dead, hanging, babbling",
    holds: "right kind of error; credential never shown",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// No time, no id and no port has it.
const MARK: &str = "never-shown";
const PASSWORD: &str = "pass-never-shown-4711";
const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an attempt may take, and how long at a proxy that hangs.
const ATTEMPT: Duration = Duration::from_secs(20);
const HANGING: Duration = Duration::from_millis(300);

/// What is to come of a case: a connection, or an error of this kind; the second is what long polling says where it
/// cannot know better.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    login: Login,
    fault: fn() -> Option<ProxyFault>,
    dead: bool,
    ftrack: Option<ErrorKind>,
    imodelhub: Option<ErrorKind>,
}

/// What speaks TLS.
#[derive(Clone, Copy, Debug)]
enum Library {
    Rustls,
    NativeTls,
}

#[derive(Clone, Copy)]
enum Login {
    Right,
    Wrong,
    None,
}

const fn case(name: &'static str, login: Login, fault: fn() -> Option<ProxyFault>) -> Case {
    Case { name, login, fault, dead: false, ftrack: None, imodelhub: None }
}

impl Case {
    const fn ends(mut self, ftrack: ErrorKind, imodelhub: ErrorKind) -> Self {
        self.ftrack = Some(ftrack);
        self.imodelhub = Some(imodelhub);
        self
    }

    fn patience(&self) -> Duration {
        if self.name == "hangs" { HANGING } else { ATTEMPT }
    }

    const fn dead(mut self) -> Self {
        self.dead = true;
        self
    }
}

const CASES: &[Case] = &[
    case("login", Login::Right, || None),
    case("answers in pieces", Login::Right, || Some(ProxyFault::Pieces)),
    case("wrong login", Login::Wrong, || None)
        .ends(ErrorKind::ProxyUnauthenticated, ErrorKind::ProxyUnauthenticated),
    case("no login", Login::None, || None)
        .ends(ErrorKind::ProxyUnauthenticated, ErrorKind::ProxyUnauthenticated),
    case("dead", Login::Right, || None).dead().ends(ErrorKind::Unreachable, ErrorKind::Unreachable),
    case("hangs up", Login::Right, || Some(ProxyFault::Close))
        .ends(ErrorKind::Unreachable, ErrorKind::Unreachable),
    case("cannot get through", Login::Right, || Some(ProxyFault::Reply(5)))
        .ends(ErrorKind::Unreachable, ErrorKind::Unreachable),
    case("babbles", Login::Right, || Some(ProxyFault::Answer(b"220 mail ready\r\n\r\n".to_vec())))
        .ends(ErrorKind::Protocol, ErrorKind::Unreachable),
    case("never ends", Login::Right, || Some(ProxyFault::Endless))
        .ends(ErrorKind::Protocol, ErrorKind::Unreachable),
    case("hangs", Login::Right, || Some(ProxyFault::Hang)).ends(ErrorKind::Timeout, ErrorKind::Timeout),
];

/// Everything that was shown: errors, `Debug`, and the log at every level.
#[derive(Clone, Default)]
struct Shown(Arc<parking_lot::Mutex<String>>);

impl Shown {
    fn add(&self, text: std::fmt::Arguments<'_>) {
        let mut shown = self.0.lock();
        _ = shown.write_fmt(text);
        shown.push('\n');
    }
}

/// Keeps whatever is logged, spans included.
impl Subscriber for Shown {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Fields(self));
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Fields(self));
    }

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields(self));
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// What libraries log that do so without spans, reqwest among them.
static LOG: Kept = Kept(parking_lot::const_mutex(None));

struct Kept(parking_lot::Mutex<Option<Shown>>);

impl log::Log for Kept {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(shown) = &*self.0.lock() {
            shown.add(format_args!("log {} {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

struct Fields<'a>(&'a Shown);

impl field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        self.0.add(format_args!("log {field} {value:?}"));
    }
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let shown = Shown::default();
    *LOG.0.lock() = Some(shown.clone());
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
    // With one subscriber alone, a line of code that another thread reaches first would be switched off for this one.
    let _second = tracing::Dispatch::new(Shown::default());
    // The scene's runtime has one thread, so everything that it starts is seen.
    let guard = tracing::subscriber::set_default(shown.clone());
    let outcome = every_case(run, &shown).await;
    drop(guard);
    *LOG.0.lock() = None;
    let figures = outcome?;
    let all = shown.0.lock();
    let logged = all.lines().filter(|line| line.starts_with("log ")).count();
    let seen = ["ProxyUnauthenticated", "log reqwest::", "the proxy leads to the server"];
    ensure(seen.iter().all(|part| all.contains(part)), || {
        "nothing was shown, so nothing is known".to_owned()
    })?;
    let leaks = all.matches(MARK).count();
    ensure(leaks == 0, || {
        let line = all.lines().find(|line| line.contains(MARK)).unwrap_or_default();
        format!("the password is shown {leaks} times, first in {line:?}")
    })?;
    Ok(figures.with("lines of log", logged).with("credential shown", leaks))
}

async fn every_case(run: Run, shown: &Shown) -> Result<Figures, Broken> {
    let (mut connected, mut failed) = (0, 0);
    for library in [None, Some(Library::Rustls), Some(Library::NativeTls)] {
        let tls = library.is_some();
        let mut builder = Emulator::builder();
        if tls {
            builder = builder.tls(TlsCertificate::valid());
        }
        let emulator = builder.start().await.map_err(broken("start the emulator"))?;
        let proxy =
            Proxy::builder().user("jane", PASSWORD).start().await.map_err(broken("start the proxy"))?;
        for &scheme in run.pick(&["http", "socks5h"][..], &["http", "socks5", "socks5h"]) {
            for case in CASES {
                proxy.set_fault((case.fault)());
                let address = address(case, scheme, &proxy).await?;
                for (facade, expected, outcome) in [
                    ("ftrack-hub", case.ftrack, ftrack(case, library, &emulator, &address, shown).await),
                    (
                        "imodelhub-events",
                        case.imodelhub,
                        imodelhub(case, library, &emulator, &address, shown).await,
                    ),
                ] {
                    let got = outcome.as_ref().err().map(Error::kind);
                    // A request to be forwarded is answered by the proxy as by a server.
                    let forwarded = facade == "imodelhub-events" && scheme == "http" && !tls;
                    let expected = if forwarded { forwarded_kind(case).or(expected) } else { expected };
                    ensure(got == expected, || {
                        let what = format!("{facade}, {scheme} proxy, {library:?}, {}", case.name);
                        format!("{what}: expected {expected:?}, got {outcome:?}")
                    })?;
                    match outcome {
                        Ok(()) => connected += 1,
                        Err(error) => {
                            failed += 1;
                            shown.add(format_args!("{error} {error:?} {error:#?}"));
                        }
                    }
                }
            }
        }
    }
    Ok(Figures::new().with("connected", connected).with("refused as they should be", failed))
}

/// What long polling makes of a proxy that forwards, where it differs: its connection stands, and its words are those
/// of a server.
fn forwarded_kind(case: &Case) -> Option<ErrorKind> {
    match case.name {
        "hangs up" | "never ends" => Some(ErrorKind::Disconnected),
        "babbles" => Some(ErrorKind::Protocol),
        _ => None,
    }
}

async fn address(case: &Case, scheme: &str, proxy: &Proxy) -> Result<String, Broken> {
    let place = if case.dead {
        let gone = Proxy::start().await.map_err(broken("start a proxy"))?;
        gone.stop().await;
        gone.addr()
    } else {
        proxy.addr()
    };
    Ok(match case.login {
        Login::Right => format!("{scheme}://jane:{PASSWORD}@{place}"),
        Login::Wrong => format!("{scheme}://jane:{PASSWORD}-not@{place}"),
        Login::None => format!("{scheme}://{place}"),
    })
}

async fn ftrack(
    case: &Case,
    library: Option<Library>,
    emulator: &Emulator,
    proxy: &str,
    shown: &Shown,
) -> Result<(), Error> {
    let mut policy = event_core::supervisor::ReconnectPolicy::default();
    policy.attempt_timeout = case.patience();
    let tls = emulator
        .root_certificate_pem()
        .into_iter()
        .fold(ftrack_hub::Tls::default(), ftrack_hub::Tls::add_root_certificate_pem)
        .backend(match library {
            Some(Library::NativeTls) => ftrack_hub::TlsBackend::NativeTls,
            _ => ftrack_hub::TlsBackend::Rustls,
        });
    let builder =
        Session::builder(emulator.ftrack_url(), "ann", "key").reconnect(policy).tls(tls).proxy(proxy);
    shown.add(format_args!("{builder:?}"));
    let session = builder.build()?;
    let hub = session.event_hub();
    let outcome = within(async {
        hub.connect().await?;
        hub.publish(event_core::Event::new("t", &1)?).await.map(drop)
    })
    .await;
    shown.add(format_args!("{session:?} {hub:?} {:?}", hub.state()));
    within(async {
        hub.close().await;
        Ok(())
    })
    .await?;
    outcome
}

async fn imodelhub(
    case: &Case,
    library: Option<Library>,
    emulator: &Emulator,
    proxy: &str,
    shown: &Shown,
) -> Result<(), Error> {
    let tls = emulator
        .root_certificate_pem()
        .into_iter()
        .fold(imodelhub_events::Tls::default(), imodelhub_events::Tls::add_root_certificate_pem)
        .backend(match library {
            Some(Library::NativeTls) => imodelhub_events::TlsBackend::NativeTls,
            _ => imodelhub_events::TlsBackend::Rustls,
        });
    let environment = Environment::Url(emulator.imodelhub_url());
    let builder = IModelHubClient::builder(environment, AccessToken::bearer("jwt"))
        .request_timeout(case.patience())
        .tls(tls)
        .proxy(proxy);
    shown.add(format_args!("{builder:?}"));
    let client = builder.build()?;
    shown.add(format_args!("{client:?}"));
    within(async {
        let subscription = client.create_subscription(&IModelId::new(IMODEL)?, &[EventType::Version]).await?;
        client.get_event(&subscription, None).await?;
        client.delete_subscription(&subscription).await
    })
    .await
}

async fn within(future: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| {
        let message = format!("not done after {PATIENCE:?}");
        Err(Error::new(ErrorKind::Handler, "play a scene", message))
    })
}
