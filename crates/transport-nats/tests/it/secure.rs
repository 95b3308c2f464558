//! Who connects, and how: tokens, nkeys, credentials files, TLS, several servers.

use std::time::Duration;

use event_core::transport::{Attempt, Transport};
use event_core::{Error, ErrorKind};
use nats_server::{Cluster, NatsServer, ServerConfig};
use nkeys::KeyPair;
use transport_nats::{Credentials, JetStream, NatsTransport, NewStream, Tls};

use crate::support::{Wire, at_least_once, event, needs_server, number, spec};

async fn server(more: &str) -> NatsServer {
    NatsServer::start(ServerConfig::default().without_jetstream().with(more)).await.unwrap()
}

fn with(server: &NatsServer, credentials: Credentials) -> NatsTransport {
    NatsTransport::builder([server.url()]).credentials(credentials).build().unwrap()
}

async fn works(transport: &NatsTransport) {
    let mut wire = Wire::open(transport).await;
    wire.subscribe(&spec("s", "topic=a")).await.unwrap();
    wire.publish(event("a", 1)).await.unwrap();
    assert_eq!(number(&wire.delivery().await.event), 1);
}

async fn refused(transport: &NatsTransport) -> Error {
    transport.connect(Attempt::first()).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn a_token_lets_in_and_a_wrong_one_does_not() {
    needs_server!("a_token_lets_in_and_a_wrong_one_does_not");
    let server = server(r#"authorization { token: "right-4711" }"#).await;
    works(&with(&server, Credentials::Token("right-4711".into()))).await;
    let error = refused(&with(&server, Credentials::Token("wrong-0815".into()))).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(!format!("{error:?}").contains("0815"));
}

#[tokio::test]
async fn an_nkey_lets_in_and_another_does_not() {
    needs_server!("an_nkey_lets_in_and_another_does_not");
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let server = server(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key())).await;
    works(&with(&server, Credentials::NKey(user.seed().unwrap().into()))).await;
    let seed = other.seed().unwrap();
    let error = refused(&with(&server, Credentials::NKey(seed.as_str().into()))).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(!format!("{error:?}").contains(&seed));
    let error = refused(&with(&server, Credentials::NKey("SUNOSEED4711".into()))).await;
    assert_eq!(error.kind(), ErrorKind::InvalidCredentials, "{error}");
    assert!(!format!("{error:?}").contains("4711"));
}

/// A JWT as `nsc` makes it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: &serde_json::Value) -> String {
    let part = |json: String| data_encoding::BASE64URL_NOPAD.encode(json.as_bytes());
    let head = part(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#.to_owned());
    let body = serde_json::json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": name, "nats": claims,
    });
    let signed = format!("{head}.{}", part(body.to_string()));
    let signature = data_encoding::BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_credentials_file_lets_in_and_is_read_at_every_attempt() {
    needs_server!("a_credentials_file_lets_in_and_is_read_at_every_attempt");
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let limits = serde_json::json!({"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1,
        "payload": -1, "wildcards": true});
    let operator_jwt = jwt(&operator, &operator, "O", &serde_json::json!({"type": "operator", "version": 2}));
    let account_claims = serde_json::json!({"type": "account", "version": 2, "limits": limits});
    let account_jwt = jwt(&operator, &account, "A", &account_claims);
    let user_claims =
        serde_json::json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let user_jwt = jwt(&account, &user, "U", &user_claims);
    let account_key = account.public_key();
    let config = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {account_key}: {account_jwt} }}"
    );
    let server = server(&config).await;

    let seed = user.seed().unwrap();
    let file = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    works(&with(&server, Credentials::Text(file.as_str().into()))).await;
    let path = server.folder().join("user.creds");
    let transport = with(&server, Credentials::File(path.clone()));
    let error = refused(&transport).await;
    assert!(error.message().contains("user.creds"), "{error}");
    std::fs::write(&path, &file).unwrap();
    works(&transport).await;
    std::fs::write(&path, file.split_once("\n\n").unwrap().0).unwrap();
    let error = refused(&transport).await;
    assert_eq!(error.kind(), ErrorKind::InvalidCredentials, "{error}");
    assert!(!format!("{error:?}").contains(&seed));
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A server that speaks TLS, and the certificate of who signed its own.
async fn secure_server() -> (NatsServer, String) {
    let signer_key = rcgen::KeyPair::generate().unwrap();
    let mut signer = rcgen::CertificateParams::new(Vec::new()).unwrap();
    signer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let signer = rcgen::CertifiedIssuer::self_signed(signer, signer_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &signer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cert.pem"), pem("CERTIFICATE", certificate.der())).unwrap();
    std::fs::write(folder.path().join("key.pem"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    let at = folder.path().display();
    let more = format!("tls {{ cert_file: \"{at}/cert.pem\", key_file: \"{at}/key.pem\", timeout: 5 }}");
    (server(&more).await, pem("CERTIFICATE", signer.der()))
}

#[tokio::test]
async fn tls_is_spoken_with_servers_that_are_trusted_and_with_no_others() {
    needs_server!("tls_is_spoken_with_servers_that_are_trusted_and_with_no_others");
    let (server, root) = secure_server().await;
    let at = |scheme: &str| NatsTransport::builder([format!("{scheme}{}", server.address())]);
    let trusting = Tls::default().add_root_certificate_pem(root);
    works(&at("tls://").tls(trusting.clone()).build().unwrap()).await;
    works(&at("").tls(trusting).build().unwrap()).await;

    let error = refused(&at("tls://").build().unwrap()).await;
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Tls, false), "{error}");
    let error = refused(&at("nats://").build().unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.message().contains("write tls://"), "{error}");
    let unreadable = Tls::default().add_root_certificate_pem("no certificate");
    assert_eq!(refused(&at("tls://").tls(unreadable).build().unwrap()).await.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn a_server_without_tls_does_not_pass_for_one_with_it() {
    needs_server!("a_server_without_tls_does_not_pass_for_one_with_it");
    let server = server("").await;
    let transport = NatsTransport::builder([format!("tls://{}", server.address())]).build().unwrap();
    let error = refused(&transport).await;
    assert!([ErrorKind::Tls, ErrorKind::Unreachable].contains(&error.kind()), "{error}");
}

#[tokio::test]
async fn of_several_servers_one_that_lives_is_found_and_the_stream_outlives_one() {
    needs_server!("of_several_servers_one_that_lives_is_found_and_the_stream_outlives_one");
    let cluster = Cluster::start().await.unwrap();
    let jetstream = || {
        let new = NewStream::default().replicas(3);
        JetStream::new("EVENTS").create(new).ack_wait(Duration::from_secs(2))
    };
    let transport = || {
        NatsTransport::builder(cluster.urls())
            .answer_timeout(Duration::from_secs(2))
            .jetstream(jetstream())
            .build()
            .unwrap()
    };
    let (subscriber, publisher) = (transport(), transport());
    let mut wire = Wire::open(&subscriber).await;
    wire.subscribe(&at_least_once("s", "topic=job")).await.unwrap();
    let mut out = Wire::open(&publisher).await;
    out.publish(event("job", 1)).await.unwrap();
    drop((wire, out));
    cluster.servers()[0].kill();
    cluster.ready().await.unwrap();
    let mut out = Wire::open_when_it_can(&publisher).await;
    out.publish_until_confirmed(event("job", 2)).await;
    let mut wire = Wire::open_when_it_can(&subscriber).await;
    wire.subscribe(&at_least_once("s", "topic=job")).await.unwrap();
    let mut came = Vec::new();
    while came.len() < 2 {
        let mut delivery = wire.delivery().await;
        let tx = std::sync::Arc::clone(&wire.tx);
        let token = delivery.token.take().unwrap();
        wire.during(tx.settle(token, event_core::transport::Settlement::Complete)).await.unwrap();
        came.push(number(&delivery.event));
    }
    came.sort_unstable();
    came.dedup();
    assert_eq!(came, [1, 2]);
}
