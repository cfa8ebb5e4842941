//! Tests of functions/senders.

mod email;
mod kinds;
mod slack;
mod webhook;

use contract::{
    Alert, AlertKind, DeliveryOutcome, NotificationDelivered, NotificationRequested, Reader, kind,
};
use runtime::secret::Sealer;
use serde_json::{Value, json};

use crate::{
    notifications::{at, failure},
    world::{Answer, World},
};

/// A request of a delivery that is still wanted.
pub fn request(world: &World, kind: &str, config: Value) -> NotificationRequested {
    world.stand_in("delivery-record", |_| (200, json!({"state": "wanted"})));
    let sealer = world.context.config::<Sealer>().unwrap();
    let (purpose, sealed) = match config["to"].as_array() {
        Some(to) => {
            let recipient = |(number, address)| json!({"address": address, "number": number});
            let to: Vec<_> = to.iter().enumerate().map(recipient).collect();
            ("mail-recipients", json!({"to": to, "left_out": config["left_out"]}))
        }
        None => ("notification-config", config),
    };
    let sealed_config = sealer.seal(world.context.random(), purpose, &sealed.to_string()).unwrap();
    NotificationRequested {
        delivery_id: 12,
        attempt: 1,
        tries: 0,
        notification_id: 3,
        kind: kind.to_owned(),
        sealed_config,
        alert: Alert {
            endpoint_id: 1,
            endpoint_name: "Shop <1>".into(),
            url: "https://shop.test/".into(),
            what: AlertKind::Down,
            changed_at: at(2),
            outage_started_at: Some(at(1)),
            cause: Some(failure()),
            region_outage: None,
            missed: Vec::new(),
            untold: 0,
            link: "https://pongpong.test/endpoints/1".into(),
        },
        reader: Reader::default(),
    }
}

/// Delivers the event to the sender of this kind.
pub async fn send(world: &World, request: &NotificationRequested) -> Answer {
    let kind = channels::Kind::find(&request.kind).unwrap();
    let function = kind.function.unwrap_or("channel-send");
    world.event(function, kind::NOTIFICATION_REQUESTED, "delivery-12-1", request).await
}

/// The reported outcome: the error, if there is one.
#[track_caller]
pub fn reported(answer: &Answer) -> Result<(), String> {
    let told = outcome(answer);
    let expected = if told.error.is_none() { DeliveryOutcome::Delivered } else { DeliveryOutcome::Failed };
    assert_eq!(told.outcome, expected);
    told.error.map_or(Ok(()), Err)
}

/// The recipients that a delivered message did not reach.
#[track_caller]
pub fn missed(answer: &Answer) -> String {
    let told = outcome(answer);
    assert_eq!(told.outcome, DeliveryOutcome::Delivered);
    told.error.expect("somebody was missed")
}

#[track_caller]
fn outcome(answer: &Answer) -> NotificationDelivered {
    let event = answer.reply().unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(event.kind(), kind::NOTIFICATION_DELIVERED);
    assert_eq!(event.headers["ce-id"], "delivery-12-1/delivered");
    let told: NotificationDelivered = event.data();
    assert_eq!((told.delivery_id, told.attempt), (12, 1));
    told
}

/// The reason for which the sender asks to be tried again.
#[track_caller]
pub fn later(answer: &Answer) -> String {
    let told = outcome(answer);
    assert_eq!(told.outcome, DeliveryOutcome::Postponed);
    told.error.expect("a reason")
}
