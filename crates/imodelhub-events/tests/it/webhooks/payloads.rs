//! What the platform documents, read and written again.

use std::error::Error;
use std::time::{Duration, SystemTime};

use event_core::Event;
use imodelhub_events::webhooks::{SIGNATURE, SignatureError, SigningKeys, WebhookContent, WebhookEvent};
use imodelhub_events::{DecodeError, ErrorKind, GlobalChange, HubEvent, IModelEvent};
use serde_json::{Value, json};

/// The examples on the platform's pages, as they are there.
pub(super) const DOCUMENTED: &str = include_str!("../../data/webhooks/documented.jsonl");
/// Made of what the pages say about the members of the others.
pub(super) const DESCRIBED: &str = include_str!("../../data/webhooks/described.jsonl");

fn of_type(name: &str) -> HubEvent {
    let line = DOCUMENTED.lines().chain(DESCRIBED.lines()).find(|line| line.contains(name)).unwrap();
    WebhookEvent::received(line).unwrap()
}

#[test]
fn every_documented_payload_is_read_and_written_again_without_loss() {
    let (mut count, mut unknown) = (0, 0);
    for line in DOCUMENTED.lines().chain(DESCRIBED.lines()) {
        let value: Value = serde_json::from_str(line).unwrap();
        let event = WebhookEvent::received(line).unwrap();
        let webhook = event.webhook().unwrap();
        assert_eq!(Some(webhook.members()), value.as_object());
        assert_eq!(event.body(), &value["content"]);
        assert_eq!(webhook.message_id(), Some("32369e4b-c9ff-47e4-b422-83b97247ce5b"));
        assert_eq!(event.message_id(), webhook.message_id());
        assert_eq!(webhook.webhook_id(), Some("7da4ba7e-3a35-4d97-a1b0-6d453aa97493"));
        let at = if line.contains("11/3/2023") { 1_699_042_021 } else { 1_665_739_800 };
        assert_eq!(webhook.enqueued(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(at)));
        // As a journal keeps it: the body is there byte for byte.
        let again = Event::from_json(event.raw().to_json()).unwrap();
        assert_eq!(again.raw_data().value().unwrap().as_bytes(), line.as_bytes());
        assert_eq!(HubEvent::new(again).webhook().unwrap(), webhook);
        unknown += usize::from(matches!(webhook.content().unwrap(), WebhookContent::Unknown(_)));
        count += 1;
    }
    assert_eq!((count, unknown), (14, 1), "the invitation alone has no type here");
}

#[test]
fn contents_have_their_members_as_types() {
    let content = |name: &str| of_type(name).webhook().unwrap().content().unwrap();
    let WebhookContent::NamedVersionCreated(version) = content("namedVersionCreated.v1") else { panic!() };
    assert_eq!((version.changeset_index, version.version_name.as_deref()), (Some(12), None));
    assert_eq!(version.version_id, "3f0a4c1e-7e0f-4b8a-9a3e-0d4f5b6c7d8e");
    let WebhookContent::NamedVersionCreated(version) = content("NamedVersionCreatedEvent") else { panic!() };
    assert_eq!(version.version_name.as_deref(), Some("As built"));
    let WebhookContent::MemberAdded(member) = content("memberAdded.v1") else { panic!() };
    assert_eq!((member.member_type.as_deref(), member.role_name.as_deref()), (Some("User"), Some("Viewer")));
    let WebhookContent::ChangesetPushed(pushed) = content("ChangesetPushedEvent") else { panic!() };
    assert_eq!((pushed.briefcase_id, pushed.changeset_index), (Some(2), Some(12)));
    let WebhookContent::ChangesReady(members) = content("changesReady.v1") else { panic!() };
    assert_eq!(members["whatever"], json!({"the": ["platform", 1]}));
    let WebhookContent::ChangesetGroupCompleted(group) = content("ChangesetGroupCompletedEvent") else {
        panic!()
    };
    assert_eq!(group.rest["changesetGroupId"], "8d2c1b0a-1111-4222-8333-444455556666");
}

#[test]
fn handlers_of_imodelhub_events_can_read_what_succeeds_them() {
    assert_eq!(of_type("iModelDeleted.v1").imodel().unwrap(), IModelEvent::IModelDeleted);
    let IModelEvent::Version(version) = of_type("namedVersionCreated.v1").imodel().unwrap() else { panic!() };
    assert_eq!(version.version_name, "");
    let IModelEvent::ChangeSetPostPush(pushed) = of_type("ChangesetPushedEvent").imodel().unwrap() else {
        panic!()
    };
    assert_eq!(pushed.change_set_index, Some(12));
    assert_eq!(
        of_type("memberAdded.v1").imodel().unwrap(),
        IModelEvent::Unknown("accessControl.memberAdded.v1".to_owned())
    );
    let created = of_type("iModelCreated.v1");
    assert_eq!(created.global().unwrap().change, GlobalChange::IModelCreated);
    assert_eq!(created.event_topic(), Some("72640bf2-2173-4276-b896-c157bee0df76"));
    let deleted = of_type("iModelDeletedEvent").global().unwrap();
    assert_eq!(deleted.change, GlobalChange::Unknown("iModelDeletedEvent".to_owned()));
    assert_eq!(deleted.project_id.as_deref(), Some("ce40a55a-6954-4de3-85c7-f796c3e423d9"));
}

#[test]
fn a_member_of_another_form_is_an_error_with_its_place_and_the_raw_event_stays() {
    for (content, path, found, message) in [
        (
            json!({"changesetIndex": "marked"}),
            "content.changesetIndex",
            "a text",
            "in a iModels.namedVersionCreated.v1, `content.changesetIndex` is a text, expected a whole number",
        ),
        (
            json!({"imodelId": ["marked"]}),
            "content.imodelId",
            "a list",
            "in a iModels.namedVersionCreated.v1, `content.imodelId` is a list, expected a text",
        ),
        (
            json!("marked"),
            "content",
            "a text",
            "in a iModels.namedVersionCreated.v1, `content` is a text, expected an object",
        ),
    ] {
        let body =
            json!({"content": content, "eventType": "iModels.namedVersionCreated.v1", "messageId": "m"});
        let event = WebhookEvent::received(body.to_string()).unwrap();
        let error = event.webhook().unwrap().content().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        let cause = error.source().unwrap().downcast_ref::<DecodeError>().unwrap();
        assert_eq!((cause.path(), cause.found()), (path, found));
        assert!(error.to_string().contains(message), "{error}");
        assert!(!format!("{error} {error:?}").contains("marked"));
        assert_eq!(event.body(), &body["content"]);
        assert_eq!(event.imodel().unwrap_err().kind(), ErrorKind::Decode);
    }
}

#[test]
fn an_envelope_without_a_type_or_an_id_is_kept_and_repeats_of_it_have_one_id() {
    let body = r#"{"content":{"a":1e999},"enqueuedDateTime":"soon"}"#;
    let event = WebhookEvent::received(body).unwrap();
    assert_eq!(event.event_type(), "untyped");
    assert_eq!(event.message_id(), WebhookEvent::received(body).unwrap().message_id());
    assert!(event.message_id().unwrap().starts_with("sha256-"));
    // A number that no tree can hold: only the text is there.
    assert_eq!(event.webhook().unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(event.raw().raw_data().value().unwrap().as_str(), body);
    for bad in ["", "[]", "null", "{", "{} {}", "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
        assert_eq!(WebhookEvent::received(bad).unwrap_err().kind(), ErrorKind::Decode, "{bad:?}");
        assert_eq!(WebhookEvent::parse(bad.as_bytes()).unwrap_err().kind(), ErrorKind::Decode, "{bad:?}");
    }
}

#[test]
fn a_signature_is_that_of_every_byte_with_one_of_the_secrets() {
    let keys = SigningKeys::new(["the first secret, of 32 characters", "the second one, while it changes.."])
        .unwrap();
    let other = SigningKeys::new(["the second one, while it changes.."]).unwrap();
    let verify = |signature: &str, body: &[u8]| {
        let mut headers = http::HeaderMap::new();
        headers.insert(SIGNATURE, signature.parse().unwrap());
        keys.verify(&headers, body)
    };
    let good = keys.sign(b"body");
    assert_eq!(good.len(), 71);
    assert_eq!(verify(&good, b"body"), Ok(()));
    assert_eq!(verify(&good.to_uppercase(), b"body"), Ok(()));
    assert_eq!(verify(&other.sign(b"body"), b"body"), Ok(()));
    assert_eq!(verify(&good, b"body "), Err(SignatureError::Wrong));
    for at in 7..good.len() {
        let mut flipped = good.clone().into_bytes();
        flipped[at] = if flipped[at] == b'0' { b'1' } else { b'0' };
        assert_eq!(verify(std::str::from_utf8(&flipped).unwrap(), b"body"), Err(SignatureError::Wrong));
    }
    for malformed in
        ["", "sha256", "sha256=", "sha1=00", &good[..70], &format!("{good}0"), &good[7..], "sha256=xyz"]
    {
        assert_eq!(verify(malformed, b"body"), Err(SignatureError::Malformed), "{malformed}");
    }
    let mut headers = http::HeaderMap::new();
    assert_eq!(keys.verify(&headers, b"body"), Err(SignatureError::Missing));
    headers.append(SIGNATURE, good.parse().unwrap());
    headers.append(SIGNATURE, good.parse().unwrap());
    assert_eq!(keys.verify(&headers, b"body"), Err(SignatureError::Malformed));
    assert_eq!(format!("{keys:?}"), "SigningKeys(2 secret(s))");
    // The example of RFC 4231, section 4.3.
    let jefe = SigningKeys::new(["Jefe"]).unwrap().sign(b"what do ya want for nothing?");
    assert_eq!(jefe, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_eq!(SigningKeys::new([""]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(SigningKeys::new(Vec::<String>::new()).unwrap_err().kind(), ErrorKind::InvalidInput);
}
