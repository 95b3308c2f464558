//! The flaws of the ftrack side: on the wire when they are on, and not when they are off.

use hub_emulator::{Defect, Emulator};
use serde_json::{Value, json};

use crate::support::{Client, event};

async fn with(defect: Defect) -> Emulator {
    Emulator::builder().in_memory().defect(defect).start().await.unwrap()
}

fn is_ack(packet: &str) -> bool {
    packet.starts_with("6:::")
}

#[tokio::test(start_paused = true)]
async fn a_reply_goes_to_whom_it_is_for_unless_its_target_is_wrong() {
    let emulator = with(Defect::WrongReplyTarget).await;
    for defective in [true, false] {
        emulator.set_defect(Defect::WrongReplyTarget, defective);
        let mut asker = Client::in_memory(&emulator).await;
        let mut answerer = Client::in_memory(&emulator).await;
        asker.subscribe(&json!({"id": "asker"}), "topic=ftrack.meta.reply").await;
        let reply: Value =
            json!({"topic": "ftrack.meta.reply", "target": "id=asker", "inReplyToEvent": "x", "data": {}});
        answerer.publish_acked(&reply).await;
        let (gets, other) = if defective { (&mut answerer, &mut asker) } else { (&mut asker, &mut answerer) };
        assert_eq!(gets.next_event().await["inReplyToEvent"], "x");
        assert_eq!(other.next().await, "2::", "nothing but the next heartbeat");
        emulator.cut_all();
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_comes_before_what_follows_unless_it_comes_after() {
    let emulator = with(Defect::AckAfterConsequence).await;
    let mut client = Client::in_memory(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    for defective in [true, false] {
        emulator.set_defect(Defect::AckAfterConsequence, defective);
        client.publish(&event("a")).await;
        let order = [client.next().await, client.next().await].map(|packet| is_ack(&packet));
        assert_eq!(order, [!defective, defective]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_packet_is_acknowledged_unless_acknowledgements_are_dropped() {
    let emulator = with(Defect::AckDropped).await;
    for (defective, acknowledged) in [(true, 4), (false, 6)] {
        emulator.set_defect(Defect::AckDropped, defective);
        let mut client = Client::in_memory(&emulator).await;
        for _ in 0..6 {
            client.publish(&event("a")).await;
        }
        let mut acks = 0;
        while is_ack(&client.next().await) {
            acks += 1;
        }
        assert_eq!(acks, acknowledged);
    }
}

#[tokio::test(start_paused = true)]
async fn events_have_no_packet_id_unless_that_is_the_flaw() {
    let emulator = with(Defect::IdOnEvents).await;
    let mut client = Client::in_memory(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    for (defective, start) in [(true, r#"5:1+::{"name""#), (false, r#"5:::{"name""#)] {
        emulator.set_defect(Defect::IdOnEvents, defective);
        assert_eq!(emulator.defects().len(), usize::from(defective));
        client.publish_acked(&event("a")).await;
        let packet = client.next().await;
        assert!(packet.starts_with(start), "{packet}");
    }
}
