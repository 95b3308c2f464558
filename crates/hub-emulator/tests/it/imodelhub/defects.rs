//! The flaws of the iModelHub side: on the wire when they are on, and not when they are off.

use std::time::Duration;

use hub_emulator::{Defect, Emulator};
use serde_json::json;

use super::{IMODEL, Lab, header, unwrapped};

const LOCK: Duration = Duration::from_secs(60);

async fn with(defect: Defect) -> Lab {
    Lab::with(Emulator::builder().defect(defect)).await
}

#[tokio::test(start_paused = true)]
async fn the_oldest_message_comes_first_unless_the_newest_does() {
    let lab = with(Defect::LifoQueue).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    for (defective, first) in [(true, "3"), (false, "1")] {
        lab.emulator.set_defect(Defect::LifoQueue, defective);
        lab.publish(1..4);
        assert_eq!(unwrapped(&lab.head("DELETE", &queue, "").await), first);
        while lab.head("DELETE", &queue, "").await.status() == 200 {}
    }
}

#[tokio::test(start_paused = true)]
async fn only_wanted_types_are_queued_unless_the_filter_is_ignored() {
    let lab = with(Defect::TypeFilterIgnored).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    for (defective, status) in [(true, 200), (false, 204)] {
        lab.emulator.set_defect(Defect::TypeFilterIgnored, defective);
        lab.emulator.publish_imodel_event(IMODEL, "LockEvent", Some(json!(1)));
        assert_eq!(lab.head("DELETE", &queue, "").await.status(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn the_type_stands_alone_unless_it_has_a_charset() {
    let lab = with(Defect::CharsetOnType).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    for (defective, content_type) in [(true, "VersionEvent; charset=utf-8"), (false, "VersionEvent")] {
        lab.emulator.set_defect(Defect::CharsetOnType, defective);
        lab.publish(1..2);
        let answer = lab.head("DELETE", &queue, "").await;
        assert_eq!(header(&answer, "content-type"), content_type);
    }
}

#[tokio::test(start_paused = true)]
async fn a_location_leads_to_its_message_unless_its_case_is_lost() {
    let lab = with(Defect::LowerCaseLocation).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..3);
    for (defective, status) in [(true, 404), (false, 200)] {
        lab.emulator.set_defect(Defect::LowerCaseLocation, defective);
        let answer = lab.head("POST", &queue, "").await;
        assert_eq!(answer.status(), 201);
        let location = header(&answer, "location");
        assert_eq!(lab.settle("DELETE", &queue, &location).await, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_lapses_unless_it_never_does() {
    let lab = with(Defect::LocksNeverLapse).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..2);
    assert_eq!(lab.head("POST", &queue, "").await.status(), 201);
    lab.emulator.advance(LOCK * 10);
    assert_eq!(lab.head("POST", &queue, "").await.status(), 204);
    assert_eq!(
        lab.head("POST", &queue, "?timeout=100").await.status(),
        204,
        "a poll does not see it end either"
    );
    lab.emulator.set_defect(Defect::LocksNeverLapse, false);
    assert_eq!(lab.head("POST", &queue, "").await.status(), 201);
}

#[tokio::test(start_paused = true)]
async fn a_sas_token_expires_unless_it_never_does() {
    let lab = with(Defect::SasNeverExpires).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.emulator.advance(Duration::from_secs(3_000));
    lab.head("DELETE", &queue, "").await;
    lab.emulator.advance(Duration::from_secs(3_000));
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 204);
    lab.emulator.set_defect(Defect::SasNeverExpires, false);
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 401);
}
