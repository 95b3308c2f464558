//! Web pages: those of this machine may, others may not.

use hub_emulator::Emulator;

use crate::support::{http, http_full, session};

const ROUTES: [&str; 6] = [
    "GET /socket.io/1/?api_user=a&api_key=b HTTP/1.1",
    "GET /socket.io/1/websocket/SESSION HTTP/1.1",
    "GET /admin/state HTTP/1.1",
    "POST /admin/ftrack/publish HTTP/1.1",
    "POST /admin/ftrack/disconnect HTTP/1.1",
    "GET / HTTP/1.1",
];

#[tokio::test]
async fn foreign_pages_and_rebound_names_get_nowhere() {
    let emulator = Emulator::start().await.unwrap();
    let session = session(&emulator).await;
    let mut refused = 0;
    for route in ROUTES {
        let route = route.replace("SESSION", &session);
        for headers in [
            "Origin: https://evil.example",
            "Origin: null",
            "Origin: http://localhost.evil.example",
            "Host: evil.example",
            "Host: evil.example:80\nOrigin: http://evil.example:80",
            "Sec-Fetch-Site: cross-site",
        ] {
            let head = format!("{route}\n{headers}");
            let (status, answer, _) = http_full(emulator.ftrack_addr(), &head, "").await;
            assert_eq!(status, 403, "{head}");
            assert!(!answer.contains("access-control"), "{answer}");
            refused += 1;
        }
    }
    let state = emulator.state();
    assert_eq!(state.stats.foreign_requests, refused);
    assert_eq!((state.pending_handshakes, state.connections), (1, 0));
}

#[tokio::test]
async fn pages_of_this_machine_and_allowed_ones_are_answered_by_name() {
    let emulator = Emulator::builder()
        .allow_origin("https://tool.example.com")
        .allow_host("emulator")
        .start()
        .await
        .unwrap();
    let address = emulator.ftrack_addr();
    for (headers, origin) in [
        ("Origin: http://localhost:3000", Some("http://localhost:3000")),
        ("Origin: https://tool.example.com", Some("https://tool.example.com")),
        ("Origin: http://127.0.0.1:9\nSec-Fetch-Site: cross-site", Some("http://127.0.0.1:9")),
        ("Host: emulator:7000\nOrigin: http://emulator:7000", Some("http://emulator:7000")),
        ("Host: localhost", None),
        ("Sec-Fetch-Mode: cors", None),
    ] {
        for route in ["GET /socket.io/1/?api_user=a&api_key=b HTTP/1.1", "GET /admin/state HTTP/1.1"] {
            let (status, answer, body) = http_full(address, &format!("{route}\n{headers}"), "").await;
            assert_eq!(status, 200, "{headers}: {body}");
            match origin {
                Some(origin) => {
                    assert!(
                        answer.contains(&format!("access-control-allow-origin: {origin}\r\n")),
                        "{answer}"
                    );
                    assert!(answer.contains("access-control-allow-credentials: true"), "{answer}");
                }
                None => assert!(!answer.contains("access-control"), "{answer}"),
            }
        }
    }
    let preflight = "OPTIONS /admin/ftrack/publish HTTP/1.1\nOrigin: https://tool.example.com\n\
                     Access-Control-Request-Method: POST";
    assert_eq!(http(address, preflight, "").await.0, 204);
    let other = "GET /admin/state HTTP/1.1\nOrigin: http://tool.example.com";
    assert_eq!(http(address, other, "").await.0, 403);
}
