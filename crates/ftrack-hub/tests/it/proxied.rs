//! A session by way of a proxy: every refusal with its own kind and words, and the proxy's password shown nowhere.

use std::time::Duration;

use ftrack_hub::network::{Proxy as Address, ProxySetting};
use ftrack_hub::{ConnectionState, Error, ErrorKind, Event, Json, ReconnectPolicy, Session, SessionBuilder};
use hub_emulator::{Emulator, Passage, PassageEnd, Proxy, ProxyFault, ProxyProtocol};

use crate::support::{ClosedPort, event, quick, state, within};

const PASSWORD: &str = "never-shown-4711";

async fn stage() -> (Emulator, Proxy) {
    let emulator = Emulator::builder().user("ann", "key").allow_host("hub.invalid").start().await.unwrap();
    let proxy = Proxy::builder()
        .user("jane", PASSWORD)
        .route("hub.invalid", emulator.ftrack_addr())
        .start()
        .await
        .unwrap();
    (emulator, proxy)
}

fn url(scheme: &str, login: &str, proxy: &Proxy) -> String {
    format!("{scheme}://{login}{}", proxy.addr())
}

fn to(emulator: &Emulator) -> SessionBuilder {
    Session::builder(emulator.ftrack_url(), "ann", "key").reconnect(quick())
}

async fn failure(builder: SessionBuilder) -> Error {
    let shown = format!("{builder:?}");
    let session = builder.build().unwrap();
    let error = within(session.event_hub().connect()).await.unwrap_err();
    let shown = format!("{shown} {session:?} {:?} {error} {error:?}", session.event_hub().state());
    assert!(!shown.contains("never-shown"), "{shown}");
    error
}

/// Connect, ask, break, connect again, ask.
async fn a_life(builder: SessionBuilder, emulator: &Emulator, proxy: &Proxy) {
    let session = builder.build().unwrap();
    let hub = session.event_hub();
    within(hub.connect()).await.unwrap();
    within(hub.subscribe("topic=ask").handle(async |_: Event| Json("answer"))).await.unwrap();
    within(hub.publish_and_wait_for_reply(event("ask", "question"))).await.unwrap();
    let before = emulator.stats().handshakes;
    proxy.cut_all();
    state(hub, |state| !state.is_connected()).await;
    state(hub, ConnectionState::is_connected).await;
    within(hub.publish_and_wait_for_reply(event("ask", "again"))).await.unwrap();
    assert_eq!(emulator.stats().handshakes, before + 1);
    within(hub.close()).await;
}

#[tokio::test]
async fn a_session_goes_through_every_kind_of_proxy_and_comes_back_after_a_cut() {
    let (emulator, proxy) = stage().await;
    let login = format!("jane:{PASSWORD}@");
    for (scheme, protocol) in [
        ("http", ProxyProtocol::Connect),
        ("socks5", ProxyProtocol::Socks5),
        ("socks5h", ProxyProtocol::Socks5),
    ] {
        let before = proxy.passages().len();
        a_life(to(&emulator).proxy(url(scheme, &login, &proxy)), &emulator, &proxy).await;
        let passages = proxy.passages().split_off(before);
        let expected = (protocol, emulator.ftrack_addr().to_string(), PassageEnd::Opened);
        assert_eq!(passages.iter().map(parts).collect::<Vec<_>>(), vec![expected; 4], "{scheme}");
    }
    let given = Address::parse(&url("http", "", &proxy)).unwrap().credentials("jane", PASSWORD).unwrap();
    a_life(to(&emulator).proxy(given), &emulator, &proxy).await;
    proxy.set_fault(ProxyFault::Pieces);
    for scheme in ["http", "socks5"] {
        a_life(to(&emulator).proxy(url(scheme, &login, &proxy)), &emulator, &proxy).await;
    }
}

fn parts(passage: &Passage) -> (ProxyProtocol, String, PassageEnd) {
    (passage.protocol, passage.target.clone(), passage.end)
}

#[tokio::test]
async fn a_name_is_looked_up_by_the_proxy_or_here_as_its_scheme_says() {
    let (emulator, proxy) = stage().await;
    let login = format!("jane:{PASSWORD}@");
    let port = emulator.ftrack_addr().port();
    for (scheme, host, target) in [
        ("http", "hub.invalid", format!("hub.invalid:{port}")),
        ("socks5h", "hub.invalid", format!("hub.invalid:{port}")),
        ("http", "localhost", format!("localhost:{port}")),
        ("socks5h", "localhost", format!("localhost:{port}")),
    ] {
        let session = Session::builder(format!("http://{host}:{port}"), "ann", "key")
            .proxy(url(scheme, &login, &proxy))
            .build()
            .unwrap();
        within(session.event_hub().connect()).await.unwrap();
        assert_eq!(proxy.passages().last().unwrap().target, target, "{scheme}");
        within(session.event_hub().close()).await;
    }
    // Here, `socks5` asks this machine, which has never heard of it.
    let unknown = Session::builder("http://other.invalid", "ann", "key").proxy(url("socks5", &login, &proxy));
    let error = failure(unknown).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("socks5h"), "{error}");
}

#[tokio::test]
async fn every_refusal_of_a_proxy_has_its_kind_and_names_the_proxy() {
    let (emulator, proxy) = stage().await;
    let place = proxy.addr().to_string();
    let login = format!("jane:{PASSWORD}@");
    let wrong = format!("jane:{PASSWORD}-not@");
    for (scheme, login, fault, kind, says) in [
        ("http", "", None, ErrorKind::ProxyUnauthenticated, "it wants credentials"),
        ("http", &wrong, None, ErrorKind::ProxyUnauthenticated, "user and password"),
        ("socks5", "", None, ErrorKind::ProxyUnauthenticated, "it wants credentials"),
        ("socks5", &wrong, None, ErrorKind::ProxyUnauthenticated, "user and password"),
        ("http", &login, Some(ProxyFault::Status(403)), ErrorKind::PermissionDenied, "403"),
        ("http", &login, Some(ProxyFault::Status(502)), ErrorKind::Unreachable, "502"),
        ("http", &login, Some(ProxyFault::Status(504)), ErrorKind::Unreachable, "504"),
        ("http", &login, Some(ProxyFault::Close), ErrorKind::Unreachable, "broke off"),
        ("socks5", &login, Some(ProxyFault::Close), ErrorKind::Unreachable, "broke off"),
        ("http", &login, Some(ProxyFault::Endless), ErrorKind::Protocol, "no end"),
        ("socks5", &login, Some(ProxyFault::Endless), ErrorKind::Protocol, "not SOCKS5"),
        (
            "http",
            &login,
            Some(ProxyFault::Answer(b"garbage\r\n\r\n".to_vec())),
            ErrorKind::Protocol,
            "not HTTP",
        ),
        ("socks5", &login, Some(ProxyFault::Answer(b"HTTP/1.1 400".to_vec())), ErrorKind::Protocol, "SOCKS5"),
        ("socks5h", &login, Some(ProxyFault::Reply(2)), ErrorKind::PermissionDenied, "rules"),
        ("socks5h", &login, Some(ProxyFault::Reply(4)), ErrorKind::Unreachable, "host unreachable"),
        ("socks5h", &login, Some(ProxyFault::Reply(5)), ErrorKind::Unreachable, "connection refused"),
    ] {
        proxy.set_fault(fault.clone());
        let error = failure(to(&emulator).proxy(url(scheme, login, &proxy))).await;
        assert_eq!(error.kind(), kind, "{scheme} {fault:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&place), "{scheme} {fault:?}: {text}");
    }
    assert_eq!(emulator.stats().handshakes, 0);
}

#[tokio::test]
async fn a_dead_proxy_is_named_and_one_that_hangs_ends_with_the_attempt() {
    let (emulator, proxy) = stage().await;
    let closed = ClosedPort::new();
    for scheme in ["http", "socks5"] {
        let dead = format!("{scheme}://jane:{PASSWORD}@{}", closed.address());
        let error = failure(to(&emulator).proxy(dead)).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unreachable, true), "{error}");
        let named = format!("the proxy {scheme}://{}", closed.address());
        assert!(error.to_string().contains(&named), "{error}");
    }
    proxy.set_fault(ProxyFault::Hang);
    for scheme in ["http", "socks5"] {
        let mut policy = ReconnectPolicy::default();
        policy.attempt_timeout = Duration::from_millis(200);
        let hanging =
            to(&emulator).reconnect(policy).proxy(url(scheme, &format!("jane:{PASSWORD}@"), &proxy));
        let error = failure(hanging).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true), "{error}");
    }
}

#[tokio::test]
async fn a_refused_login_stops_a_session_that_would_go_on_trying() {
    let (emulator, proxy) = stage().await;
    let session = to(&emulator).proxy(url("http", "", &proxy)).auto_connect_event_hub(true).build().unwrap();
    let stopped = state(session.event_hub(), |state| matches!(state, ConnectionState::Failed { .. })).await;
    let ConnectionState::Failed { reason } = stopped else { unreachable!("waited for") };
    assert_eq!(reason.kind(), ErrorKind::ProxyUnauthenticated, "{reason}");
    assert_eq!(proxy.passages().len(), 1);
}

#[tokio::test]
async fn the_environment_chooses_a_proxy_and_spares_what_it_lists() {
    let (emulator, proxy) = stage().await;
    let setting = |no_proxy: &'static str| {
        let address = url("http", &format!("jane:{PASSWORD}@"), &proxy);
        ProxySetting::from_lookup(move |name| match name {
            "HTTP_PROXY" => Some(address.clone()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        })
    };
    let named = format!("http://hub.invalid:{}", emulator.ftrack_addr().port());
    let session = Session::builder(&named, "ann", "key").proxy_setting(setting("")).build().unwrap();
    within(session.event_hub().connect()).await.unwrap();
    assert_eq!(proxy.passages().len(), 2);
    within(session.event_hub().close()).await;
    // Spared, the name leads nowhere.
    let spared = Session::builder(named, "ann", "key").proxy_setting(setting(".invalid"));
    let error = failure(spared).await;
    assert!(error.kind() == ErrorKind::Unreachable && !error.to_string().contains("proxy"), "{error}");
    // This machine is spared always, and `no_proxy` spares everything.
    for builder in
        [to(&emulator).proxy_setting(setting("")), to(&emulator).proxy("http://[::1]:1").no_proxy()]
    {
        let session = builder.build().unwrap();
        within(session.event_hub().connect()).await.unwrap();
        within(session.event_hub().close()).await;
    }
    assert_eq!(proxy.passages().len(), 2);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anything_is_sent() {
    for address in ["https://jane:never-shown@h", "http://jane:never-shown@h:x", ""] {
        let error = Session::builder("http://h", "ann", "key").proxy(address).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{error}");
        assert!(!format!("{error:?}").contains("never-shown"));
    }
}
