use std::time::Duration;

use hub_emulator::Emulator;

use super::{IMODEL, Lab, header, properties, unwrapped};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_destructive_read_takes_the_message_in_front() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..3);
    for number in ["1", "2"] {
        let answer = lab.head("DELETE", &queue, "?timeout=5&api-version=2016-07").await;
        assert_eq!((answer.status().as_u16(), unwrapped(&answer).as_str()), (200, number));
        assert_eq!(header(&answer, "content-type"), "VersionEvent");
        assert_eq!(
            (header(&answer, "location").as_str(), &properties(&answer)["DeliveryCount"]),
            ("", &1.into())
        );
        assert!(properties(&answer).get("LockToken").is_none());
    }
    let nothing = lab.head("DELETE", &queue, "").await;
    assert_eq!((nothing.status().as_u16(), nothing.body().len(), nothing.headers().len()), (204, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_locked_message_is_renewed_unlocked_and_completed() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..3);
    let first = lab.head("POST", &queue, "").await;
    let location = header(&first, "location");
    let token = properties(&first)["LockToken"].as_str().unwrap().to_owned();
    assert_eq!(first.status(), 201);
    assert_eq!(
        location,
        format!("http://127.0.0.1:7001/bus/{IMODEL}/subscriptions/{}/messages/1/{token}", queue.id)
    );
    let state = lab.emulator.imodelhub_state();
    assert_eq!((state.queued(), state.locked()), (1, 1));
    lab.emulator.advance(Duration::from_secs(50));
    assert_eq!(lab.settle("POST", &queue, &location).await, 200);
    lab.emulator.advance(Duration::from_secs(50));
    assert_eq!(lab.settle("PUT", &queue, &location).await, 200);
    assert_eq!(lab.settle("PUT", &queue, &location).await, 404);
    let again = lab.head("POST", &queue, "").await;
    assert_eq!((unwrapped(&again).as_str(), &properties(&again)["DeliveryCount"]), ("1", &2.into()));
    assert_eq!(properties(&again)["MessageId"], properties(&first)["MessageId"]);
    let by_id = format!(
        "{}/{}/{}",
        queue.path.to_ascii_uppercase(),
        properties(&again)["MessageId"].as_str().unwrap(),
        properties(&again)["LockToken"].as_str().unwrap()
    );
    assert_eq!(lab.settle("GET", &queue, &by_id).await, 405);
    assert_eq!(lab.settle("DELETE", &queue, &by_id).await, 200);
    let answer = lab.send("DELETE", &by_id, &queue.sas, "").await;
    let error = String::from_utf8_lossy(answer.body());
    assert!(answer.status() == 404 && error.starts_with("<Error><Code>404</Code><Detail>"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_lapses_and_a_message_dies_of_too_many() {
    let lab = Lab::with(Emulator::builder().lock_duration(MINUTE / 2).max_delivery_count(2)).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..3);
    let first = lab.head("POST", &queue, "").await;
    assert_eq!(unwrapped(&lab.head("POST", &queue, "").await), "2");
    lab.emulator.advance(MINUTE / 2);
    assert_eq!(lab.settle("DELETE", &queue, &header(&first, "location")).await, 404);
    let again = lab.head("POST", &queue, "").await;
    assert_eq!((unwrapped(&again).as_str(), &properties(&again)["DeliveryCount"]), ("1", &2.into()));
    lab.emulator.advance(MINUTE / 2);
    assert_eq!(unwrapped(&lab.head("DELETE", &queue, "").await), "2");
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 204);
    assert_eq!(lab.emulator.imodelhub_stats().dead_lettered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_sas_ends_by_time_uses_and_decree_and_opens_one_topic() {
    let lab = Lab::with(Emulator::builder().sas_lifetime(MINUTE).sas_max_uses(2)).await;
    let mut queue = lab.subscribe(&["VersionEvent"]).await;
    let status = async |queue: &super::Queue| lab.head("DELETE", queue, "").await.status().as_u16();
    let uses = [status(&queue).await, status(&queue).await, status(&queue).await];
    assert_eq!(uses, [204, 204, 401]);
    queue.sas = lab.sas().await.1;
    lab.emulator.advance(MINUTE);
    assert_eq!(status(&queue).await, 401);
    queue.sas = lab.sas().await.1;
    assert_eq!(lab.emulator.expire_sas(), 1);
    let refused = lab.head("DELETE", &queue, "").await;
    let error =
        "<Error><Code>401</Code><Detail>ExpiredToken: The token is expired or invalid</Detail></Error>";
    assert_eq!((refused.status().as_u16(), &refused.body()[..]), (401, error.as_bytes()));
    queue.sas = lab.sas().await.1;
    let elsewhere =
        super::Queue { path: queue.path.replace(IMODEL, "imodelhubglobalevents"), ..queue.clone() };
    assert_eq!((status(&elsewhere).await, status(&queue).await), (401, 204));
    queue.sas = "InvalidSASToken".to_owned();
    assert_eq!(status(&queue).await, 401);
    assert_eq!(lab.emulator.imodelhub_stats().sas_refused, 5);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_there_is_gone() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    let unknown = super::Queue { path: queue.path.replace(&queue.id, "nobody"), ..queue.clone() };
    let answer = lab.head("POST", &unknown, "?timeout=60").await;
    let error = "<Error><Code>410</Code><Detail>No such subscription nobody</Detail></Error>";
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (410, error.as_bytes()));
    assert_eq!(lab.settle("DELETE", &unknown, &format!("{}/1/x", unknown.path)).await, 410);
    for (path, status) in [("/bus/x", 404), ("/", 404), (&format!("{}/tail", queue.path), 404)] {
        assert_eq!(lab.send("DELETE", path, &queue.sas, "").await.status().as_u16(), status, "{path}");
    }
    for (query, status) in
        [("?timeout=x", 400), ("?timeout=-1", 400), ("?timeout=", 204), ("?timeout=0", 204)]
    {
        assert_eq!(lab.head("DELETE", &queue, query).await.status().as_u16(), status, "{query}");
    }
    assert_eq!(lab.head("GET", &queue, "").await.status(), 405);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_end_of_idleness_and_with_their_imodel() {
    let lab = Lab::new().await;
    let idle = lab.subscribe(&["VersionEvent"]).await;
    lab.emulator.advance(59 * MINUTE);
    let used = lab.subscribe(&["VersionEvent", "iModelDeletedEvent"]).await;
    lab.emulator.advance(MINUTE);
    assert!(lab.emulator.imodelhub_state().subscription(&idle.id).is_none());
    let idle = super::Queue { sas: used.sas.clone(), ..idle };
    assert_eq!(lab.head("DELETE", &idle, "").await.status(), 410);
    assert_eq!(lab.emulator.publish_imodel_event(IMODEL, "iModelDeletedEvent", None), 1);
    lab.emulator.advance(4 * MINUTE);
    assert_eq!(lab.head("POST", &used, "").await.status(), 201);
    lab.emulator.advance(MINUTE);
    assert_eq!(lab.head("DELETE", &used, "").await.status(), 410);
    assert_eq!(lab.emulator.imodelhub_stats().subscriptions_expired, 2);
}

#[tokio::test(start_paused = true)]
async fn bodies_can_be_plain() {
    let lab = Lab::with(Emulator::builder().plain_bodies(true)).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(7..8);
    assert_eq!(&lab.head("DELETE", &queue, "").await.body()[..], b"7");
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_the_same_ids_every_time() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let lab = Lab::with(Emulator::builder().seed(7)).await;
        let queue = lab.subscribe(&["VersionEvent"]).await;
        lab.publish(1..2);
        ids.push((queue.id.clone(), header(&lab.head("POST", &queue, "").await, "location")));
    }
    assert_eq!(ids[0], ids[1]);
}
