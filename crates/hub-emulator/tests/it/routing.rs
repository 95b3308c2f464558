use event_core::Event;
use hub_emulator::Emulator;
use serde_json::{Value, json};

use crate::support::{Client, event, targeted};

#[tokio::test]
async fn an_event_reaches_every_connection_that_subscribed_once_and_no_other() {
    let emulator = Emulator::start().await.unwrap();
    let mut publisher = Client::connect(&emulator).await;
    let mut wanting = Client::connect(&emulator).await;
    let mut other = Client::connect(&emulator).await;
    publisher.subscribe(&json!({"id": "p"}), "topic=a and data.n>0").await;
    wanting.subscribe(&json!({"id": "w1"}), "topic=a").await;
    wanting.subscribe(&json!({"id": "w2"}), "topic=*").await;
    other.subscribe(&json!({"id": "o"}), "topic=b").await;
    publisher.publish_acked(&event("a")).await;
    assert_eq!(publisher.next_event().await["topic"], "a");
    publisher.publish_acked(&event("end")).await;
    publisher.publish_acked(&event("b")).await;
    assert_eq!(other.next_event().await["topic"], "b");
    for topic in ["a", "end", "b"] {
        assert_eq!(wanting.next_event().await["topic"], topic);
    }
    let stats = emulator.stats();
    assert_eq!((stats.events_routed, stats.deliveries), (3, 5));
}

#[tokio::test]
async fn a_target_chooses_among_subscribers_by_their_metadata() {
    let emulator = Emulator::start().await.unwrap();
    let mut maya = Client::connect(&emulator).await;
    let mut nuke = Client::connect(&emulator).await;
    maya.subscribe(&json!({"id": "m", "applicationId": "maya"}), "topic=a").await;
    nuke.subscribe(&json!({"id": "n", "applicationId": "nuke"}), "topic=a").await;
    for target in ["applicationId=maya", "id=n", "id=(", "applicationId=houdini", "", "id=m or id=n"] {
        emulator.publish(parse(&targeted("a", target))).unwrap();
    }
    for target in ["applicationId=maya", "", "id=m or id=n"] {
        assert_eq!(maya.next_event().await["target"], target);
    }
    for target in ["id=n", "", "id=m or id=n"] {
        assert_eq!(nuke.next_event().await["target"], target);
    }
    assert_eq!(emulator.stats().targets_unreadable, 1);
}

#[tokio::test]
async fn a_reply_reaches_the_asker_alone() {
    let emulator = Emulator::start().await.unwrap();
    let mut asker = Client::connect(&emulator).await;
    let mut answerer = Client::connect(&emulator).await;
    for (client, hub) in [(&mut asker, "hub-a"), (&mut answerer, "hub-b")] {
        // The JavaScript client subscribes twice.
        client.subscribe(&json!({"id": hub}), "topic=ftrack.meta.reply").await;
        client.subscribe(&json!({"id": hub}), "topic=ftrack.meta.reply").await;
    }
    answerer.subscribe(&json!({"id": "s"}), "topic=ask").await;
    asker.publish_acked(&json!({"id": "q", "topic": "ask", "source": {"id": "hub-a"}})).await;
    assert_eq!(answerer.next_event().await["id"], "q");
    let reply = json!({"topic": "ftrack.meta.reply", "target": "id=hub-a", "inReplyToEvent": "q"});
    answerer.publish_acked(&reply).await;
    assert_eq!(asker.next_event().await["inReplyToEvent"], "q");
    answerer.publish_acked(&event("nobody")).await;
    assert_eq!(emulator.stats().deliveries, 2);
}

#[tokio::test]
async fn subscribing_again_replaces_and_unsubscribing_ends() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=old").await;
    client.subscribe(&json!({"id": "s", "user": {"x": 1}, "host": "h"}), "topic=new").await;
    let shown = &emulator.connections()[0].subscriptions;
    assert_eq!((shown.len(), shown[0].id.as_str(), shown[0].expression.as_str()), (1, "s", "topic=new"));
    client.publish_acked(&event("old")).await;
    client.publish_acked(&event("new")).await;
    assert_eq!(client.next_event().await["topic"], "new");
    client.unsubscribe("s").await;
    client.unsubscribe("s").await;
    client.publish_acked(&event("new")).await;
    assert_eq!(emulator.state().subscriptions, 0);
}

#[tokio::test]
async fn one_subscriber_id_on_two_connections_gets_the_event_on_both() {
    let emulator = Emulator::start().await.unwrap();
    let mut first = Client::connect(&emulator).await;
    let mut second = Client::connect(&emulator).await;
    for client in [&mut first, &mut second] {
        client.subscribe(&json!({"id": "same"}), "topic=a").await;
    }
    let published = emulator.publish(parse(&targeted("a", "id=same"))).unwrap();
    assert_eq!(published.recipients, 2);
    first.next_event().await;
    second.next_event().await;
    first.unsubscribe("same").await;
    assert_eq!(emulator.publish(parse(&targeted("a", "id=same"))).unwrap().recipients, 1);
}

#[tokio::test]
async fn a_repeat_is_acknowledged_and_dropped() {
    let emulator = Emulator::start().await.unwrap();
    let mut first = Client::connect(&emulator).await;
    let mut second = Client::connect(&emulator).await;
    first.subscribe(&json!({"id": "s"}), "topic=*").await;
    let once = json!({"id": "e1", "topic": "a"});
    second.publish_acked(&once).await;
    second.publish_acked(&once).await;
    assert_eq!(first.next_event().await["id"], "e1");
    first.publish_acked(&once).await;
    second.publish_acked(&json!({"id": "e2", "topic": "end"})).await;
    assert_eq!(first.next_event().await["topic"], "end");
    assert!(emulator.publish(parse(&once)).unwrap().repeated);
    assert_eq!(emulator.stats().events_repeated, 3);
}

#[tokio::test]
async fn a_busy_publisher_reaches_a_reading_subscriber_in_order() {
    let emulator = Emulator::start().await.unwrap();
    let mut publisher = Client::connect(&emulator).await;
    let mut reader = Client::connect(&emulator).await;
    reader.subscribe(&json!({"id": "s"}), "topic=a").await;
    for n in 0..5_000 {
        publisher
            .send(&format!(r#"5:::{{"name":"ftrack.event","args":[{{"topic":"a","data":{n}}}]}}"#))
            .await;
    }
    for n in 0..5_000 {
        assert_eq!(reader.next_event().await["data"], n);
    }
}

/// Few are written to by the publisher's reader, many by the task that makes rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_the_events_of_two_publishers_in_order_whoever_writes_them() {
    const EACH: i64 = 400;
    for audience in [2, 40] {
        let emulator = Emulator::start().await.unwrap();
        let mut readers = Vec::new();
        for n in 0..audience {
            let mut reader = Client::connect(&emulator).await;
            reader.subscribe(&json!({"id": format!("s{n}")}), "topic=a").await;
            readers.push(reader);
        }
        let publish = async |from: i64| {
            let mut publisher = Client::connect(&emulator).await;
            // 1.6 MB for each reader, who does not read before all is said.
            let filler = "x".repeat(2_000);
            for n in 0..EACH {
                let data = json!({"from": from, "n": n, "filler": filler});
                publisher.publish_acked(&json!({"topic": "a", "data": data})).await;
            }
        };
        tokio::join!(publish(0), publish(1));
        for reader in &mut readers {
            let mut next = [0, 0];
            while next != [EACH, EACH] {
                let event = reader.next_event().await;
                let from = usize::try_from(event["data"]["from"].as_i64().unwrap()).unwrap();
                assert_eq!(event["data"]["n"], next[from]);
                next[from] += 1;
            }
        }
        let stats = emulator.stats();
        assert_eq!((stats.deliveries, stats.cut_slow), (2 * EACH.unsigned_abs() * audience, 0));
    }
}

fn parse(event: &Value) -> Event {
    Event::from_json(event.to_string()).unwrap()
}
