//! TLS in front of a scripted server on a loopback port.

use std::sync::Arc;

use event_core::transport::{Attempt, Transport};
use event_core::{Error, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use transport_ws::{Endpoint, Tls, WsTransport};

/// A certificate authority, and a certificate of it.
struct Issued {
    #[cfg_attr(
        not(any(feature = "rustls-no-provider", feature = "native-tls")),
        expect(dead_code, reason = "for clients with TLS only")
    )]
    root: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn issue(by: &str, names: &[&str], edit: impl FnOnce(&mut CertificateParams)) -> Issued {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.distinguished_name.push(DnType::CommonName, by);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap().der().clone();
    let issuer = Issuer::new(authority, authority_key);
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    edit(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Issued { root, chain: vec![certificate.der().clone()], key }
}

/// A server with this certificate: its port, and what ends TLS there.
async fn server(issued: &Issued) -> (TcpListener, TlsAcceptor) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(issued.chain.clone(), issued.key.clone_key())
        .unwrap();
    (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

fn transport(host: &str, listener: &TcpListener, tls: Tls) -> WsTransport {
    let endpoint = Endpoint::new(host, listener.local_addr().unwrap().port(), true);
    let builder =
        WsTransport::builder(endpoint, "ftrack.event").secret_header("ftrack-api-key", "marked-4711");
    builder.dialer(transport_ws::TcpDialer::new(tls)).build().unwrap()
}

/// What a client says that connects to a server whose TLS handshake must fail.
async fn refused(transport: &WsTransport, listener: &TcpListener, acceptor: &TlsAcceptor) -> Error {
    let serving = async { acceptor.accept(accept(listener).await).await.map(drop) };
    let (connecting, served) = tokio::join!(transport.connect(Attempt::first()), serving);
    let error = connecting.map(drop).unwrap_err();
    assert!(served.is_err(), "the client broke the handshake off");
    assert!(!format!("{error:?}").contains("4711"));
    error
}

#[cfg(feature = "rustls-no-provider")]
mod by_rustls {
    use event_core::Event;
    use event_core::transport::Link;
    use futures_util::StreamExt;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::server::TlsStream;
    use transport_ws::TlsBackend;

    use super::*;

    fn trusting(issued: &Issued) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(issued.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Tls::default().rustls_config(Arc::new(config))
    }

    async fn head(stream: &mut TlsStream<TcpStream>) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// Handshake, websocket, `1::`, and the first frame's length.
    async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor) -> (String, String, Vec<u8>) {
        let mut stream = acceptor.accept(accept(listener).await).await.unwrap();
        let handshake = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nSID:60:60:websocket").await.unwrap();
        drop(stream);
        let mut stream = acceptor.accept(accept(listener).await).await.unwrap();
        let upgrade = head(&mut stream).await;
        let key = upgrade.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accepted = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accepted}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(b"\x81\x031::").await.unwrap();
        let mut frame = vec![0; 2];
        stream.read_exact(&mut frame).await.unwrap();
        (handshake, upgrade, frame)
    }

    #[tokio::test]
    async fn a_server_whose_certificate_is_trusted_is_spoken_with() {
        let issued = issue("us", &["localhost", "127.0.0.1"], |_| {});
        let (listener, acceptor) = server(&issued).await;
        for host in ["localhost", "127.0.0.1"] {
            let transport = transport(host, &listener, trusting(&issued));
            let speaking = async {
                let Link { info, tx, mut rx, .. } = transport.connect(Attempt::first()).await.unwrap();
                let _confirmation = tx.send(Event::new("t", &1).unwrap()).unwrap();
                let end = rx.next().await.unwrap().unwrap_err();
                (info.peer, end)
            };
            let ((peer, end), (handshake, upgrade, frame)) =
                tokio::join!(speaking, serve(&listener, &acceptor));
            assert!(peer.starts_with(&format!("https://{host}:")), "{peer}");
            assert!(handshake.contains("ftrack-api-key: marked-4711\r\n"));
            assert!(upgrade.starts_with("GET /socket.io/1/websocket/SID HTTP/1.1\r\n"), "{upgrade}");
            // Text, masked, with a 16 bit length.
            assert_eq!(frame, [0x81, 0x80 | 0x7e]);
            // Without a TLS goodbye, too, an end is an end.
            assert_eq!(end.kind(), ErrorKind::Disconnected, "{end}");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_cannot_be_trusted_is_a_tls_error_for_good() {
        let trusted = issue("us", &["localhost"], |_| {});
        let mut past =
            issue("us", &["localhost"], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
        let past_root = trusting(&past);
        let foreign = issue("somebody", &["localhost"], |_| {});
        let named = issue("us", &["studio.example.com"], |_| {});
        past.root = trusted.root.clone();
        for (what, issued, tls) in [
            ("an unknown authority", &foreign, trusting(&trusted)),
            ("another host's name", &named, trusting(&named)),
            ("a certificate of the past", &past, past_root),
            #[cfg(feature = "rustls")]
            ("the platform's authorities", &foreign, Tls::default().backend(TlsBackend::Rustls)),
        ] {
            let (listener, acceptor) = server(issued).await;
            let transport = transport("localhost", &listener, tls);
            let error = refused(&transport, &listener, &acceptor).await;
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Tls, false), "{what}: {error}");
            assert!(error.to_string().contains("https://localhost:"), "{what}: {error}");
            assert!(error.to_string().contains("certificate"), "{what}: {error}");
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[tokio::test]
    async fn without_a_crypto_provider_the_error_says_what_to_do() {
        let issued = issue("us", &["localhost"], |_| {});
        let (listener, acceptor) = server(&issued).await;
        let tls = Tls::default().backend(TlsBackend::Rustls);
        let error = refused(&transport("localhost", &listener, tls), &listener, &acceptor).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Tls, false), "{error}");
        assert!(error.to_string().contains("crypto provider"), "{error}");
    }

    #[tokio::test]
    async fn plain_http_on_the_port_is_a_tls_error() {
        let trusted = issue("us", &["localhost"], |_| {});
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = transport("localhost", &listener, trusting(&trusted));
        let serving = async {
            let mut stream = accept(&listener).await;
            let _hello = stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            // Until the client has gone.
            while stream.read_u8().await.is_ok() {}
        };
        let (connecting, ()) = tokio::join!(transport.connect(Attempt::first()), serving);
        let error = connecting.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Tls, false), "{error}");
        assert!(error.to_string().contains("speaks https on this port"), "{error}");
    }
}

/// The same with every library that is compiled in.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod by_every_library {
    use event_core::network::CertificateFault;
    use event_core::transport::Link;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use transport_ws::TlsBackend;

    use super::*;

    const LIBRARIES: &[TlsBackend] = &[
        #[cfg(feature = "rustls")]
        TlsBackend::Rustls,
        #[cfg(feature = "native-tls")]
        TlsBackend::NativeTls,
    ];

    fn pem(der: &CertificateDer<'_>) -> String {
        let text = data_encoding::BASE64.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// Handshake, websocket, `1::`, and then nothing until the client goes.
    async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor) {
        let mut key = String::new();
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nSID:60:60:websocket", ""] {
            let mut stream = acceptor.accept(accept(listener).await).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let head = String::from_utf8(head).unwrap();
            if let Some(given) = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")) {
                key = tokio_tungstenite::tungstenite::handshake::derive_accept_key(given.as_bytes());
                let upgraded = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {key}\r\n\r\n"
                );
                stream.write_all(upgraded.as_bytes()).await.unwrap();
                stream.write_all(b"\x81\x031::").await.unwrap();
                stream.flush().await.unwrap();
                while stream.read_u8().await.is_ok() {}
            }
        }
        assert!(!key.is_empty());
    }

    #[tokio::test]
    async fn a_root_certificate_that_was_added_is_trusted() {
        let issued = issue("us", &["localhost", "127.0.0.1"], |_| {});
        let other = issue("somebody", &["localhost"], |_| {});
        let bundle = pem(&other.root) + &pem(&issued.root);
        for &library in LIBRARIES {
            for (what, tls) in [
                ("DER", Tls::default().add_root_certificate_der(issued.root.to_vec())),
                ("PEM", Tls::default().add_root_certificate_pem(pem(&issued.root))),
                ("several in PEM", Tls::default().add_root_certificate_pem(bundle.clone())),
            ] {
                for host in ["localhost", "127.0.0.1"] {
                    let (listener, acceptor) = server(&issued).await;
                    let transport = transport(host, &listener, tls.clone().backend(library));
                    let connecting = async {
                        let Link { info, .. } = transport.connect(Attempt::first()).await.unwrap();
                        assert!(info.peer.starts_with("https://"), "{library:?} {what}");
                    };
                    tokio::join!(connecting, serve(&listener, &acceptor));
                }
            }
        }
    }

    #[tokio::test]
    async fn each_fault_of_a_certificate_has_its_name() {
        let ours = issue("us", &["localhost"], |_| {});
        for (expected, issued) in [
            (CertificateFault::Untrusted, issue("somebody", &["localhost"], |_| {})),
            (CertificateFault::WrongHost, issue("us", &["studio.example.com"], |_| {})),
            (
                CertificateFault::Expired,
                issue("us", &["localhost"], |params| {
                    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
                }),
            ),
            (
                CertificateFault::NotYetValid,
                issue("us", &["localhost"], |params| {
                    params.not_before = rcgen::date_time_ymd(4000, 1, 1);
                }),
            ),
        ] {
            for &library in LIBRARIES {
                let root = if expected == CertificateFault::Untrusted { &ours.root } else { &issued.root };
                let tls = Tls::default().backend(library).add_root_certificate_der(root.to_vec());
                let (listener, acceptor) = server(&issued).await;
                let error = refused(&transport("localhost", &listener, tls), &listener, &acceptor).await;
                assert_eq!(
                    (error.kind(), error.is_transient()),
                    (ErrorKind::Tls, false),
                    "{library:?}: {error}"
                );
                for error in [&error, &error.duplicate()] {
                    assert_eq!(CertificateFault::of(error), Some(expected), "{library:?}: {error:?}");
                }
                let text = error.to_string();
                assert!(text.contains(&expected.to_string()) && text.contains(expected.advice()), "{text}");
                assert!(text.contains("https://localhost:"), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn a_root_certificate_that_is_none_is_an_error() {
        let issued = issue("us", &["localhost"], |_| {});
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for &library in LIBRARIES {
            for tls in [
                Tls::default().add_root_certificate_pem("no certificate"),
                Tls::default().add_root_certificate_pem(broken),
                Tls::default().add_root_certificate_der(b"no certificate".to_vec()),
            ] {
                let (listener, acceptor) = server(&issued).await;
                let error =
                    refused(&transport("localhost", &listener, tls.backend(library)), &listener, &acceptor)
                        .await;
                assert_eq!(
                    (error.kind(), error.is_transient()),
                    (ErrorKind::Tls, false),
                    "{library:?}: {error}"
                );
                assert!(error.to_string().contains("root certificate"), "{library:?}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn without_a_root_of_ones_own_the_platforms_decide() {
        let issued = issue("us", &["localhost"], |_| {});
        for &library in LIBRARIES {
            let (listener, acceptor) = server(&issued).await;
            let tls = Tls::default().backend(library);
            let error = refused(&transport("localhost", &listener, tls), &listener, &acceptor).await;
            assert_eq!(
                CertificateFault::of(&error),
                Some(CertificateFault::Untrusted),
                "{library:?}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_leaves_during_the_handshake_may_be_asked_again() {
        for &library in LIBRARIES {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let transport = transport("localhost", &listener, Tls::default().backend(library));
            let serving = async { drop(accept(&listener).await) };
            let (connecting, ()) = tokio::join!(transport.connect(Attempt::first()), serving);
            let error = connecting.map(drop).unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Tls, true), "{library:?}: {error}");
        }
    }
}

#[cfg(not(any(feature = "rustls-no-provider", feature = "native-tls")))]
#[tokio::test]
async fn without_a_tls_library_https_is_unsupported_and_the_message_names_the_features() {
    let issued = issue("us", &["localhost"], |_| {});
    let (listener, acceptor) = server(&issued).await;
    let error = refused(&transport("localhost", &listener, Tls::default()), &listener, &acceptor).await;
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unsupported, false), "{error}");
    assert!(error.to_string().contains("`rustls`") && error.to_string().contains("`native-tls`"), "{error}");
}
