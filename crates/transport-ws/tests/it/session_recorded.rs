//! The session in the place of a recorded Python client.

use std::collections::BTreeMap;

use transport_ws::packet::Packet;
use transport_ws::session::{Output, Session, SessionConfig};

use crate::support::{outputs, records, start};

/// Publishes what the client published and hears what it heard, record by record. The frames sent must mean the
/// same as the recorded ones; and every publish that was acknowledged in the recording is here.
#[test]
fn the_recorded_python_sessions_can_be_lived_again() {
    let mut rows = Vec::new();
    for file in ["ftrack-python-3.1.0-functional", "ftrack-python-3.1.0-story"] {
        let now = start();
        let mut sessions: BTreeMap<u64, (Session, Vec<String>)> = BTreeMap::new();
        let texts = records(file);
        for record in texts.iter().filter(|record| record.kind() == "ws-text") {
            let (session, sent) = sessions
                .entry(record.connection())
                .or_insert_with(|| (Session::new(SessionConfig::default().window(1000), now), Vec::new()));
            let packet = Packet::decode(record.text()).unwrap();
            if record.is_from_server() {
                session.handle_text(now, record.text().to_owned());
            } else if let Packet::Event { id, name, args, .. } = &packet {
                let emitted = session.emit(now, name, &args.join(",")).ok();
                assert_eq!(emitted, id.map(|id| id.number));
            }
            for output in outputs(session) {
                match output {
                    Output::Send(text) => sent.push(String::from_utf8(text.into()).unwrap()),
                    Output::Problem(problem) => panic!("{file}: {problem:?}"),
                    _ => {}
                }
            }
            if !record.is_from_server() {
                let answer = sent.remove(0);
                assert_eq!(Packet::decode(&answer).unwrap(), packet);
            }
        }
        for (connection, (session, sent)) in sessions {
            assert!(sent.is_empty());
            let stats = session.stats();
            rows.push(format!(
                "{file} {connection}: in {} out {} events {} published {} acknowledged {} heartbeats {} open {}",
                stats.frames_in,
                stats.frames_out,
                stats.events,
                stats.published,
                stats.acknowledged,
                stats.heartbeats,
                session.in_flight(),
            ));
        }
    }
    println!("{rows:#?}");
    assert_eq!(
        rows,
        [
            "ftrack-python-3.1.0-functional 2: in 259 out 45 events 213 published 41 acknowledged 41 heartbeats 4 open 0",
            "ftrack-python-3.1.0-functional 4: in 235 out 229 events 5 published 225 acknowledged 225 heartbeats 4 open 0",
            "ftrack-python-3.1.0-story 2: in 9 out 7 events 1 published 5 acknowledged 5 heartbeats 2 open 0",
            "ftrack-python-3.1.0-story 4: in 8 out 6 events 1 published 4 acknowledged 4 heartbeats 2 open 0",
        ]
    );
}
