//! F18: the way leads through a proxy, and the proxy is the trouble.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use event_core::{Error, ErrorKind};
use ftrack_hub::Session;
use hub_emulator::{Emulator, Proxy, ProxyFault, TlsCertificate};
use imodelhub_events::{AccessToken, Environment, EventType, IModelHubClient, IModelId};

use super::stage::broken;
use crate::capture::Capture;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::marks::{MARK, Needles};

pub(super) const FAULT: Fault = Fault {
    id: "F18",
    what: "proxy: CONNECT and SOCKS5, with and without login, refusing, dead, hanging, babbling",
    holds: "right kind of error; credential never shown",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

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

/// Everything that was shown: errors and `Debug`.
#[derive(Clone, Default)]
struct Shown(Arc<parking_lot::Mutex<String>>);

impl Shown {
    fn add(&self, text: std::fmt::Arguments<'_>) {
        let mut shown = self.0.lock();
        _ = shown.write_fmt(text);
        shown.push('\n');
    }
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let shown = Shown::default();
    let capture = Capture::new()?;
    // The scene's runtime has one thread, so everything that it starts is seen.
    let guard = capture.on_this_thread();
    let outcome = every_case(run, &shown).await;
    drop(guard);
    let figures = outcome?;
    let (shown, log) = (shown.0.lock(), capture.take());
    let logged = String::from_utf8_lossy(&log);
    ensure(shown.contains("ProxyUnauthenticated"), || "no error was shown, so nothing is known".to_owned())?;
    let heard = ["reqwest::", "the proxy leads to the server"];
    ensure(heard.iter().all(|part| logged.contains(part)), || {
        "nothing was logged, so nothing is known".to_owned()
    })?;
    let needles = Needles::of([MARK])?;
    let leak = needles.find(shown.as_bytes()).or_else(|| needles.find(&log));
    ensure(leak.is_none(), || format!("the password is shown: {leak:?}"))?;
    Ok(figures.with("lines of log", logged.lines().count()).with("credential shown", 0))
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
