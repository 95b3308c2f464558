//! What stands in the documents of the protocols as an example is what the code reads.

use std::path::Path;

use event_core::{Event, Expression};
use serde_json::Value;
use transport_ws::packet::Packet;

/// The lines of the fenced blocks with this word, each line an example; and how many blocks there were.
fn examples(document: &str, word: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols").join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let mut examples = Vec::new();
    let mut fence: Option<String> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(opened), None) => fence = Some(opened.trim().to_owned()),
            (None, Some(opened)) if opened == word => examples.push(line.to_owned()),
            _ => {}
        }
    }
    examples
}

#[test]
fn every_packet_of_the_document_decodes_and_its_events_are_events() {
    let packets = examples("ftrack.md", "packet");
    assert!(packets.len() >= 12, "only {} examples", packets.len());
    for text in &packets {
        let packet = Packet::decode(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        if let Packet::Event { name, args, .. } = packet {
            assert_eq!(name, "ftrack.event", "{text}");
            for arg in args {
                Event::from_json(arg.to_owned()).unwrap_or_else(|error| panic!("{text}: {error}"));
            }
        }
    }
}

#[test]
fn every_json_of_the_documents_is_json() {
    for document in ["ftrack.md", "imodelhub.md"] {
        let examples = examples(document, "json");
        assert!(!examples.is_empty(), "{document}");
        for text in &examples {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{document}: {text}: {error}"));
        }
    }
}

#[test]
fn every_expression_of_the_document_parses() {
    let expressions = examples("expressions.md", "expression");
    assert!(expressions.len() >= 8, "only {} examples", expressions.len());
    for text in &expressions {
        Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
