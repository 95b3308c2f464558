//! wss end to end, by every library that is compiled in, directly and by way of proxies.

use ftrack_hub::network::CertificateFault;
use ftrack_hub::{ConnectionState, ErrorKind, Event, Json, Session, SessionBuilder, Tls, TlsBackend};
use hub_emulator::{Emulator, PassageEnd, Proxy, ProxyProtocol, TlsCertificate};

use crate::support::{event, quick, state, within};

const LIBRARIES: &[TlsBackend] = &[
    #[cfg(feature = "rustls")]
    TlsBackend::Rustls,
    #[cfg(feature = "native-tls")]
    TlsBackend::NativeTls,
];

async fn emulator(certificate: TlsCertificate) -> Emulator {
    Emulator::builder().tls(certificate).start().await.unwrap()
}

fn to(emulator: &Emulator, tls: Tls) -> SessionBuilder {
    Session::builder(emulator.ftrack_url(), "ann", "key").reconnect(quick()).tls(tls)
}

/// Connect, ask, break, connect again, ask.
async fn a_life(builder: SessionBuilder, emulator: &Emulator) {
    let session = builder.build().unwrap();
    let hub = session.event_hub();
    within(hub.connect()).await.unwrap();
    within(hub.subscribe("topic=ask").handle(async |_: Event| Json("answer"))).await.unwrap();
    within(hub.publish_and_wait_for_reply(event("ask", "question"))).await.unwrap();
    emulator.cut_all();
    state(hub, |state| !state.is_connected()).await;
    state(hub, ConnectionState::is_connected).await;
    within(hub.publish_and_wait_for_reply(event("ask", "again"))).await.unwrap();
    within(hub.close()).await;
}

#[tokio::test]
async fn a_session_that_trusts_the_root_lives_over_wss() {
    let emulator = emulator(TlsCertificate::valid()).await;
    assert!(emulator.ftrack_url().starts_with("https://127.0.0.1:"));
    let (pem, der) = (emulator.root_certificate_pem().unwrap(), emulator.root_certificate_der().unwrap());
    for &library in LIBRARIES {
        for tls in [
            Tls::default().add_root_certificate_pem(pem.clone()),
            Tls::default().add_root_certificate_der(der.clone()),
        ] {
            a_life(to(&emulator, tls.backend(library)), &emulator).await;
        }
    }
}

#[tokio::test]
async fn a_session_lives_over_wss_through_proxies_with_a_login() {
    let emulator = emulator(TlsCertificate::valid()).await;
    let proxy = Proxy::builder().user("jane", "secret").start().await.unwrap();
    let trusting = Tls::default().add_root_certificate_pem(emulator.root_certificate_pem().unwrap());
    for &library in LIBRARIES {
        for (scheme, protocol) in [("http", ProxyProtocol::Connect), ("socks5h", ProxyProtocol::Socks5)] {
            let before = proxy.passages().len();
            let address = format!("{scheme}://jane:secret@{}", proxy.addr());
            a_life(to(&emulator, trusting.clone().backend(library)).proxy(address), &emulator).await;
            let passages = proxy.passages().split_off(before);
            assert_eq!(passages.len(), 4, "{passages:?}");
            assert!(
                passages
                    .iter()
                    .all(|passage| passage.protocol == protocol && passage.end == PassageEnd::Opened)
            );
        }
    }
}

#[tokio::test]
async fn the_certificate_is_the_servers_and_each_of_its_faults_has_its_name() {
    let proxy = Proxy::start().await.unwrap();
    for (expected, certificate) in [
        (CertificateFault::Untrusted, TlsCertificate::valid()),
        (CertificateFault::WrongHost, TlsCertificate::wrong_host()),
        (CertificateFault::Expired, TlsCertificate::expired()),
        (CertificateFault::NotYetValid, TlsCertificate::not_yet_valid()),
    ] {
        let emulator = emulator(certificate).await;
        for &library in LIBRARIES {
            let mut tls = Tls::default().backend(library);
            if expected != CertificateFault::Untrusted {
                tls = tls.add_root_certificate_der(emulator.root_certificate_der().unwrap());
            }
            let direct = to(&emulator, tls.clone()).no_proxy();
            let proxied = to(&emulator, tls).proxy(format!("http://{}", proxy.addr()));
            for builder in [direct, proxied] {
                let session = builder.build().unwrap();
                let error = within(session.event_hub().connect()).await.unwrap_err();
                assert_eq!(
                    (error.kind(), error.is_transient()),
                    (ErrorKind::Tls, false),
                    "{library:?}: {error}"
                );
                assert_eq!(CertificateFault::of(&error), Some(expected), "{library:?}: {error:?}");
            }
        }
    }
}
