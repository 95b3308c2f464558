//! A client by way of a proxy, with and without TLS: every refusal with its own kind and words, and the proxy's password
//! shown nowhere.

use std::sync::Arc;
use std::time::Duration;

use hub_emulator::{Emulator, PassageEnd, Proxy, ProxyFault, ProxyProtocol, TlsCertificate};
use imodelhub_events::network::ProxySetting;
use imodelhub_events::{
    AccessToken, ClientBuilder, Environment, Error, ErrorKind, EventType, HubEvent, IModelHubClient,
    ListenerState, Retry, Tls,
};

use crate::support::{IMODEL, Log, imodel};

const PASSWORD: &str = "never-shown-4711";

async fn proxy() -> Proxy {
    Proxy::builder().user("jane", PASSWORD).start().await.unwrap()
}

fn url(scheme: &str, login: &str, proxy: &Proxy) -> String {
    format!("{scheme}://{login}{}", proxy.addr())
}

fn at(url: impl Into<String>) -> ClientBuilder {
    IModelHubClient::builder(Environment::Url(url.into()), AccessToken::bearer("jwt"))
}

fn to(emulator: &Emulator) -> ClientBuilder {
    at(emulator.imodelhub_url())
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it takes too long")
}

async fn failure(builder: ClientBuilder) -> Error {
    let shown = format!("{builder:?}");
    let client = builder.build().unwrap();
    let error =
        within(client.create_subscription(&imodel(), &[EventType::Version])).await.map(drop).unwrap_err();
    let shown = format!("{shown} {client:?} {error} {error:?}");
    assert!(!shown.contains("never-shown"), "{shown}");
    error
}

/// Subscribe, listen, receive, break, receive again.
async fn a_life(builder: ClientBuilder, emulator: &Arc<Emulator>, proxy: &Proxy) {
    let client = builder.build().unwrap();
    let subscription = within(client.create_subscription(&imodel(), &[EventType::Version])).await.unwrap();
    let (log, notes) = (Log::default(), Log::default());
    let noting = notes.clone();
    let listener = client
        .create_listener(&subscription)
        .handle(move |event: HubEvent| {
            let log = noting.clone();
            async move { log.add(event.event_type()) }
        })
        .await
        .unwrap();
    within(emulator.wait_for_imodelhub(|state| state.waiting() == 1)).await;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    within(notes.wait_for(1)).await;
    within(emulator.wait_for_imodelhub(|state| state.waiting() == 1)).await;
    proxy.cut_all();
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    within(notes.wait_for(2)).await;
    drop((listener, log));
    within(client.delete_subscription(&subscription)).await.unwrap();
}

#[tokio::test]
async fn a_client_goes_through_every_kind_of_proxy_and_comes_back_after_a_cut() {
    let proxy = proxy().await;
    let login = format!("jane:{PASSWORD}@");
    for tls in [false, true] {
        let mut setup = Emulator::builder().lock_duration(Duration::from_secs(1));
        if tls {
            setup = setup.tls(TlsCertificate::valid());
        }
        let emulator = Arc::new(setup.start().await.unwrap());
        let root = emulator.root_certificate_pem();
        let trusting = root.into_iter().fold(Tls::default(), Tls::add_root_certificate_pem);
        for (scheme, protocol) in [
            ("http", if tls { ProxyProtocol::Connect } else { ProxyProtocol::Forward }),
            ("socks5", ProxyProtocol::Socks5),
            ("socks5h", ProxyProtocol::Socks5),
        ] {
            let before = proxy.passages().len();
            let builder = to(&emulator).tls(trusting.clone()).proxy(url(scheme, &login, &proxy));
            a_life(builder, &emulator, &proxy).await;
            let passages = proxy.passages().split_off(before);
            assert!(passages.len() >= 2, "{scheme} {passages:?}");
            for passage in passages {
                assert_eq!((passage.protocol, passage.end), (protocol, PassageEnd::Opened), "{scheme}");
                assert_eq!(passage.target, emulator.imodelhub_addr().to_string());
            }
        }
    }
}

#[tokio::test]
async fn every_refusal_of_a_proxy_has_its_kind_and_names_the_proxy() {
    use ErrorKind::{PermissionDenied, ProxyUnauthenticated, Unreachable};

    let proxy = proxy().await;
    let place = proxy.addr().to_string();
    let login = format!("jane:{PASSWORD}@");
    let wrong = format!("jane:{PASSWORD}-not@");
    for (service, scheme, login, fault, kind, says) in [
        ("http", "http", "", None, ProxyUnauthenticated, "it wants credentials"),
        ("http", "http", &*wrong, None, ProxyUnauthenticated, "user and password"),
        ("https", "http", "", None, ProxyUnauthenticated, "it wants credentials"),
        ("https", "http", &wrong, None, ProxyUnauthenticated, "user and password"),
        ("http", "socks5", "", None, ProxyUnauthenticated, "it wants credentials"),
        ("https", "socks5", &wrong, None, ProxyUnauthenticated, "user and password"),
        ("https", "http", &login, Some(ProxyFault::Status(403)), Unreachable, "does not lead to the server"),
        ("https", "http", &login, Some(ProxyFault::Status(502)), Unreachable, "does not lead to the server"),
        ("https", "http", &login, Some(ProxyFault::Close), Unreachable, "does not lead to the server"),
        ("https", "http", &login, Some(ProxyFault::Endless), Unreachable, "does not lead to the server"),
        (
            "https",
            "http",
            &login,
            Some(ProxyFault::Answer(b"x\r\n\r\n".to_vec())),
            Unreachable,
            "does not lead",
        ),
        (
            "http",
            "socks5h",
            &login,
            Some(ProxyFault::Reply(2)),
            PermissionDenied,
            "does not allow this server",
        ),
        ("https", "socks5h", &login, Some(ProxyFault::Reply(4)), Unreachable, "host unreachable"),
        ("http", "socks5h", &login, Some(ProxyFault::Reply(5)), Unreachable, "connection refused"),
        ("http", "socks5", &login, Some(ProxyFault::Close), Unreachable, "does not lead to the server"),
        ("http", "socks5", &login, Some(ProxyFault::Endless), Unreachable, "does not lead to the server"),
    ] {
        proxy.set_fault(fault.clone());
        let error = failure(at(format!("{service}://127.0.0.1:9")).proxy(url(scheme, login, &proxy))).await;
        assert_eq!(error.kind(), kind, "{service} {scheme} {fault:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&place), "{service} {scheme} {fault:?}: {text}");
    }
}

#[tokio::test]
async fn a_dead_proxy_is_named_and_one_that_hangs_ends_in_time() {
    let proxy = proxy().await;
    let dead = {
        let gone = Proxy::start().await.unwrap();
        let address = gone.addr();
        gone.stop().await;
        address
    };
    for service in ["http", "https"] {
        for scheme in ["http", "socks5", "socks5h"] {
            let builder =
                at(format!("{service}://127.0.0.1:9")).proxy(format!("{scheme}://jane:{PASSWORD}@{dead}"));
            let error = failure(builder).await;
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unreachable, Retry::Backoff), "{error}");
            let named = format!("cannot reach the proxy {scheme}://{dead}");
            assert!(error.to_string().contains(&named), "{error}");
        }
        proxy.set_fault(ProxyFault::Hang);
        for scheme in ["http", "socks5"] {
            let builder = at(format!("{service}://127.0.0.1:9"))
                .request_timeout(Duration::from_millis(200))
                .proxy(url(scheme, &format!("jane:{PASSWORD}@"), &proxy));
            let error = failure(builder).await;
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true), "{error}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_begins_to_want_a_login_ends_a_listener_with_the_reason() {
    let emulator = Emulator::start().await.unwrap();
    let proxy = Proxy::start().await.unwrap();
    let client = to(&emulator).proxy(url("http", "", &proxy)).build().unwrap();
    let subscription = within(client.create_subscription(&imodel(), &[EventType::Version])).await.unwrap();
    proxy.set_fault(ProxyFault::Status(407));
    let listener = client.create_listener(&subscription).handle(async |_event: HubEvent| {}).await;
    let reason = match listener {
        Err(error) => error.to_string(),
        Ok(listener) => {
            let ended =
                within(listener.wait_for_state(|state| matches!(state, ListenerState::Ended(_)))).await;
            let ListenerState::Ended(Some(reason)) = ended else { panic!("{ended:?}") };
            assert_eq!(reason.kind(), ErrorKind::ProxyUnauthenticated, "{reason}");
            reason.to_string()
        }
    };
    assert!(reason.contains("it wants credentials"), "{reason}");
}

#[tokio::test]
async fn the_environment_chooses_a_proxy_and_a_broken_variable_is_named() {
    let emulator = Arc::new(Emulator::builder().allow_host("hub.invalid").start().await.unwrap());
    let proxy = Proxy::builder().route("hub.invalid", emulator.imodelhub_addr()).start().await.unwrap();
    let setting = |address: String| {
        ProxySetting::from_lookup(move |name| (name == "ALL_PROXY").then(|| address.clone()))
    };
    let named = format!("http://hub.invalid:{}", emulator.imodelhub_addr().port());
    for scheme in ["http", "socks5h"] {
        let before = proxy.passages().len();
        let client = at(&named).proxy_setting(setting(url(scheme, "", &proxy))).build().unwrap();
        let subscription =
            within(client.create_subscription(&imodel(), &[EventType::Version])).await.unwrap();
        within(client.get_event(&subscription, None)).await.unwrap();
        assert!(proxy.passages().len() > before);
        assert!(proxy.passages().iter().all(|passage| passage.target.starts_with("hub.invalid:")));
    }
    let before = proxy.passages().len();
    for builder in
        [to(&emulator).proxy_setting(setting(url("http", "", &proxy))), to(&emulator).proxy("h").no_proxy()]
    {
        within(builder.build().unwrap().get_sas_token(&imodel())).await.unwrap();
    }
    assert_eq!(proxy.passages().len(), before);
    let error = failure(at(named).proxy_setting(setting("socks4://u:never-shown@h".to_owned()))).await;
    assert!(!error.is_transient() && error.to_string().contains("ALL_PROXY"), "{error}");
    for address in ["https://u:never-shown@h", "http://u:never-shown@h:x", ""] {
        let error = to(&emulator).proxy(address).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{error}");
        assert!(!format!("{error:?}").contains("never-shown"));
    }
}
