//! https end to end, by every library that is compiled in.

use hub_emulator::{Emulator, TlsCertificate};
use imodelhub_events::network::CertificateFault;
use imodelhub_events::{
    AccessToken, Environment, ErrorKind, EventType, IModelHubClient, Retry, Tls, TlsBackend,
};

use crate::support::{IMODEL, imodel};

const LIBRARIES: &[TlsBackend] = &[
    #[cfg(feature = "rustls")]
    TlsBackend::Rustls,
    #[cfg(feature = "native-tls")]
    TlsBackend::NativeTls,
];

async fn emulator(certificate: TlsCertificate) -> Emulator {
    Emulator::builder().tls(certificate).start().await.unwrap()
}

fn client(emulator: &Emulator, tls: Tls) -> IModelHubClient {
    let environment = Environment::Url(emulator.imodelhub_url());
    IModelHubClient::builder(environment, AccessToken::bearer("jwt")).tls(tls).build().unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_root_subscribes_and_reads() {
    let emulator = emulator(TlsCertificate::valid()).await;
    assert!(emulator.imodelhub_url().starts_with("https://127.0.0.1:"));
    let (pem, der) = (emulator.root_certificate_pem().unwrap(), emulator.root_certificate_der().unwrap());
    for &library in LIBRARIES {
        for tls in [
            Tls::default().add_root_certificate_pem(pem.clone()),
            Tls::default().add_root_certificate_der(der.clone()),
        ] {
            let client = client(&emulator, tls.backend(library));
            let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
            emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
            // The address of the queue, which the service tells, is one with TLS too.
            let event = client.get_event(&subscription, None).await.unwrap().expect("an event");
            assert_eq!(event.event_type(), "VersionEvent", "{library:?}");
            client.delete_subscription(&subscription).await.unwrap();
        }
    }
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_name() {
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
                tls = tls.add_root_certificate_pem(emulator.root_certificate_pem().unwrap());
            }
            let error = client(&emulator, tls).get_sas_token(&imodel()).await.unwrap_err();
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Tls, Retry::Never), "{library:?}: {error}");
            assert_eq!(CertificateFault::of(&error), Some(expected), "{library:?}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(&expected.to_string()) && text.contains(expected.advice()), "{text}");
        }
    }
}

#[tokio::test]
async fn a_root_certificate_that_is_none_is_an_error_when_the_client_is_built() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for &library in LIBRARIES {
        for tls in [
            Tls::default().add_root_certificate_pem("no certificate"),
            Tls::default().add_root_certificate_pem(broken),
            Tls::default().add_root_certificate_der(b"no certificate".to_vec()),
        ] {
            let builder = IModelHubClient::builder(Environment::Production, AccessToken::bearer("jwt"));
            let error = builder.tls(tls.backend(library)).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{library:?}: {error}");
            assert!(error.to_string().contains("root certificate"), "{library:?}: {error}");
        }
    }
}
