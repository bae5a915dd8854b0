//! Values that JSON cannot say, and values that Python cannot.

use hatchery::{Binary, Payload, is_unserializable, unserializable_info};
use serde_json::{Value, json};

use crate::Rig;

#[tokio::test]
async fn bytes_travel_beside_the_json_in_both_directions() {
    let rig = Rig::basics(1).await;
    let data: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let args = std::collections::BTreeMap::from([("data", Binary::from(data.clone()))]);
    let reversed: Binary = rig.pool.call("reverse", args).await.unwrap();
    assert!(reversed.0.iter().rev().eq(data.iter()));
    rig.end().await;
}

#[tokio::test]
async fn the_json_surfaces_carry_bytes_as_base64() {
    let rig = Rig::basics(1).await;
    let args = Payload::from_json(json!({"data": {"$bytes": "YWJj"}})).unwrap();
    let result = rig.pool.call_payload("reverse", args, &hatchery::CallOptions::default()).await.unwrap();
    assert_eq!(result.to_json().unwrap(), json!({"$bytes": "Y2Jh"}));
    rig.end().await;
}

#[tokio::test]
async fn big_integers_and_unicode_pass_unharmed() {
    let rig = Rig::basics(1).await;
    let text = r#"{"value":[123456789012345678901234567890,"déjà 🐣 \u0000",1e300,-0.5,true,null]}"#;
    let args = Payload::from_json_text(text).unwrap();
    let result = rig.pool.call_payload("echo", args, &hatchery::CallOptions::default()).await.unwrap();
    let echoed = result.to_json_text().unwrap();
    assert!(echoed.starts_with("[123456789012345678901234567890,"), "{echoed}");
    let value: Value = serde_json::from_str(&echoed).unwrap();
    assert_eq!(value[1], "déjà 🐣 \u{0}");
    rig.end().await;
}

#[tokio::test]
async fn an_object_without_a_json_form_becomes_a_marker() {
    let rig = Rig::basics(1).await;
    let result: Value = rig.pool.call("opaque", json!({})).await.unwrap();
    assert!(is_unserializable(&result["it"]));
    let info = unserializable_info(&result["it"]).unwrap();
    assert_eq!((info.type_name.as_str(), info.repr), ("builtins.object", None));
    rig.end().await;
}
