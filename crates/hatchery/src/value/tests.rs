use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::attachment::{Attachment, own_mark};
use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    pixels: Array,
    file: Option<Binary>,
    tags: Vec<Binary>,
    more: HashMap<u64, Binary>,
}

fn picture() -> Picture {
    Picture {
        name: "a".into(),
        pixels: Array::from_slice(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap(),
        file: Some(Binary("file".into())),
        tags: vec![Binary(Bytes::new()), Binary("t".into())],
        more: [(7, Binary("seven".into()))].into(),
    }
}

fn mark(index: usize) -> Value {
    json!({ own_mark(): index })
}

fn parsed(payload: &Payload) -> Value {
    serde_json::from_slice(payload.json()).unwrap()
}

#[test]
fn binary_values_travel_beside_the_json_without_being_copied() {
    let data = Bytes::from(vec![5; 100]);
    let payload = Payload::encode(&json_free(&data)).unwrap();
    assert_eq!(parsed(&payload), json!({ "b": mark(0) }));
    assert_eq!(payload.attachments().items()[0].data().as_ptr(), data.as_ptr());
    let back: BTreeMap<String, Binary> = payload.decode().unwrap();
    assert_eq!(back["b"].0.as_ptr(), data.as_ptr());
}

fn json_free(data: &Bytes) -> BTreeMap<&'static str, Binary> {
    [("b", Binary(data.clone()))].into()
}

#[test]
fn a_struct_comes_back_as_it_went() {
    let payload = Payload::encode(&picture()).unwrap();
    assert_eq!(payload.attachments().items().len(), 5);
    assert_eq!(payload.decode::<Picture>().unwrap(), picture());
}

#[test]
fn outside_of_a_payload_binary_values_have_a_form_in_json() {
    let value = serde_json::to_value(picture()).unwrap();
    assert_eq!(value["file"], json!({"$bytes": "ZmlsZQ=="}));
    let array = json!({"$array": {"dtype": "<f4", "shape": [2, 2], "base64": "AACAPwAAAEAAAEBAAACAQA=="}});
    assert_eq!(value["pixels"], array);
    assert_eq!(serde_json::from_value::<Picture>(value).unwrap(), picture());
}

#[test]
fn the_json_forms_become_attachments_wherever_they_stand() {
    let payload = Payload::from_json(serde_json::to_value(picture()).unwrap()).unwrap();
    assert_eq!(payload.attachments().items().len(), 5);
    assert!(!String::from_utf8_lossy(payload.json()).contains("base64"));
    assert_eq!(payload.decode::<Picture>().unwrap(), picture());
    assert_eq!(payload.to_json().unwrap(), serde_json::to_value(picture()).unwrap());
}

#[test]
fn an_array_inside_the_json_macro_is_an_attachment_too() {
    let array = Array::from_slice(&[1], &[1u8]).unwrap();
    let payload = Payload::encode(&json!({ "image": array })).unwrap();
    assert_eq!(payload.attachments().items(), [Attachment::Array(array)]);
}

#[test]
fn a_json_value_never_shows_a_mark() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Half {
        pixels: Array,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Picture(Picture),
        Other(Value),
    }
    let payload = Payload::encode(&picture()).unwrap();
    let half: Half = payload.decode().unwrap();
    assert_eq!((half.pixels, &half.rest["file"]), (picture().pixels, &json!({"$bytes": "ZmlsZQ=="})));
    assert_eq!(payload.decode::<Value>().unwrap(), serde_json::to_value(picture()).unwrap());
    assert_eq!(payload.decode::<Box<[(String, Value)]>>().unwrap_err().kind(), ErrorKind::Validation);

    let pair = Payload::encode(&(Binary("x".into()), 1)).unwrap();
    assert_eq!(pair.decode::<Either>().unwrap(), Either::Other(json!([{"$bytes": "eA=="}, 1])));
    assert_eq!(pair.decode::<(Value, u8)>().unwrap(), (json!({"$bytes": "eA=="}), 1));
}

#[test]
fn enums_and_newtypes_carry_binary_values() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        New(Binary),
        Pair(Binary, u8),
        Named { data: Binary },
    }
    let data = || Binary("d".into());
    let shapes = vec![Shape::Unit, Shape::New(data()), Shape::Pair(data(), 1), Shape::Named { data: data() }];
    assert_eq!(Payload::encode(&shapes).unwrap().decode::<Vec<Shape>>().unwrap(), shapes);
}

#[test]
fn text_without_attachments_passes_through_letter_for_letter() {
    let text = "{ \"n\":123456789012345678901234567890, \"z\":1,\"a\" :[1.0] }";
    let payload = Payload::received(text.into(), Attachments::default());
    assert_eq!(payload.to_json_text().unwrap(), text);
    assert_eq!(Payload::from_json_text(text).unwrap().json(), text);
}

#[test]
fn text_with_attachments_changes_only_where_they_are() {
    let text = r#"{"n":123456789012345678901234567890,"s":"{\"$bytes\":\"eA==\"}","b": { "$bytes" : "eA==" } ,"two":{"$bytes":"","x":1}}"#;
    let payload = Payload::from_json_text(text).unwrap();
    assert_eq!(payload.attachments().items(), [Attachment::Bytes("x".into())]);
    assert_eq!(payload.to_json_text().unwrap(), text.replace(r#"{ "$bytes" : "eA==" }"#, r#"{"$bytes":"eA=="}"#));
}

/// Were what is below looked at once for each object around it, this would take minutes.
#[test]
fn what_only_looks_like_a_form_costs_no_more_than_its_length() {
    for (open, close) in [(r#"{"$bytes":"#, r#","x":0}"#), (r#"{"$array":["#, "]}"), (r#"{"$bytes":[[[{"a":"#, "}]]]}")]
    {
        let text = format!("{}{{\"a\":0}}{}", open.repeat(200_000), close.repeat(200_000));
        assert_eq!(Payload::from_json_text(&text).unwrap().to_json_text().unwrap(), text);
    }
}

#[test]
fn a_form_that_is_not_well_made_is_refused_with_the_reason() {
    let refused = |value: Value| Payload::from_json(value).unwrap_err().to_string();
    assert!(refused(json!([{"$bytes": "?"}])).starts_with("read {\"$bytes\": …}: expected base64"));
    assert!(refused(json!({"$bytes": 3})).contains("invalid type: integer"));
    assert!(refused(json!({"$array": {"dtype": "<f4", "shape": [2], "base64": "AAAA"}})).contains("takes 8 bytes"));
    assert!(refused(json!({"$array": {"dtype": "<f4", "shape": [2]}})).contains("missing field"));
}

fn from_worker(json: &str) -> Payload {
    let items = vec![Attachment::Bytes("x".into())];
    Payload::received(json.replace("MARK", own_mark()).into(), Attachments::ours(items))
}

#[test]
fn a_reference_to_nothing_is_an_error_for_every_reader() {
    let payload = from_worker(r#"{"MARK":1}"#);
    assert!(payload.decode::<Binary>().unwrap_err().to_string().contains("refers to attachment 1, and there are 1"));
    assert!(payload.to_json().unwrap_err().to_string().contains("refers to attachment 1"));
    assert!(payload.to_json_text().unwrap_err().to_string().contains("refers to attachment 1"));
}

#[test]
fn a_mark_may_be_spelled_with_escapes_and_spaces() {
    let payload = from_worker(&r#"[ { "MARK" : 0 } ]"#.replace("MARK", &own_mark().replace('$', "\\u0024")));
    assert_eq!(payload.to_json().unwrap(), json!([{"$bytes": "eA=="}]));
    assert_eq!(payload.to_json_text().unwrap(), r#"[ {"$bytes":"eA=="} ]"#);
    assert_eq!(payload.decode::<Vec<Binary>>().unwrap(), [Binary("x".into())]);
}

#[test]
fn bytes_are_no_array_and_an_array_is_no_bytes() {
    let error = from_worker(r#"{"MARK":0}"#).decode::<Array>().unwrap_err();
    assert!(error.to_string().contains("expected an array, found bytes"));
    let error = serde_json::from_str::<Binary>(r#"{"other":0}"#).unwrap_err();
    assert!(error.to_string().contains("expected bytes, found an object with the key \"other\""));
}

#[test]
fn what_is_not_json_is_the_workers_fault_and_a_wrong_type_the_askers() {
    let kind = |json: &str| from_worker(json).decode::<u8>().unwrap_err().kind();
    assert_eq!(
        (kind(""), kind("1 2"), kind("nul"), kind("\"a\"")),
        (ErrorKind::Protocol, ErrorKind::Protocol, ErrorKind::Protocol, ErrorKind::Validation)
    );
    let plain = Payload::received("NaN".into(), Attachments::default());
    assert_eq!(plain.to_json_text().unwrap_err().kind(), ErrorKind::Protocol);
}

/// Runs user code in the middle of a payload.
struct Inside<F>(F);

impl<F: Fn() -> R, R: Serialize> Serialize for Inside<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        (self.0)().serialize(serializer)
    }
}

#[test]
fn a_payload_made_inside_another_keeps_its_attachments_to_itself() {
    let inner = Inside(|| {
        let inner = Payload::encode(&Binary("inner".into())).unwrap();
        assert_eq!(inner.attachments().items(), [Attachment::Bytes("inner".into())]);
        inner.decode::<Value>().unwrap()["$bytes"].clone()
    });
    let outer = Payload::encode(&(Binary("a".into()), inner, Binary("b".into()))).unwrap();
    assert_eq!(parsed(&outer), json!([mark(0), "aW5uZXI=", mark(1)]));
}

#[test]
fn after_a_panic_in_a_users_code_binary_values_have_their_json_form_again() {
    let panicking = Inside(|| -> u8 { panic!("on purpose") });
    let value = (Binary("a".into()), panicking);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Payload::encode(&value))).is_err());
    assert_eq!(serde_json::to_value(Binary("a".into())).unwrap(), json!({"$bytes": "YQ=="}));
}

#[test]
fn only_an_object_can_be_arguments() {
    assert!(Payload::received(" {}".into(), Attachments::default()).is_object());
    assert!(!Payload::encode(&[1]).unwrap().is_object());
}

/// JSON with binary values anywhere in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Tree {
    Null,
    Number(i64),
    Text(String),
    Bytes(Binary),
    Array(Array),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let numbers = proptest::collection::vec(any::<i16>(), 0..9);
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<i64>().prop_map(Tree::Number),
        ".{0,9}".prop_map(Tree::Text),
        proptest::collection::vec(any::<u8>(), 0..99).prop_map(|data| Tree::Bytes(data.into())),
        numbers.prop_map(|items| Tree::Array(Array::from_slice(&[items.len()], &items).unwrap())),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
            proptest::collection::btree_map("[a-z\"\\\\{]{0,4}", inner, 0..5).prop_map(Tree::Object),
        ]
    })
}

proptest! {
    #[test]
    fn every_way_through_a_payload_tells_the_same(tree in tree()) {
        let json = serde_json::to_value(&tree).unwrap();
        let encoded = Payload::encode(&tree).unwrap();
        let lifted = Payload::from_json(json.clone()).unwrap();
        prop_assert_eq!(encoded.attachments().items().len(), lifted.attachments().items().len());
        for payload in [encoded, lifted] {
            prop_assert_eq!(&payload.to_json().unwrap(), &json);
            let text = payload.to_json_text().unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &json);
            prop_assert_eq!(&Payload::from_json_text(&text).unwrap().to_json().unwrap(), &json);
        }
    }

    #[test]
    fn numbers_come_back_from_an_array(items in proptest::collection::vec(any::<f64>(), 0..50)) {
        let array = Array::from_slice(&[items.len()], &items).unwrap();
        let back: Array = Payload::encode(&array).unwrap().decode().unwrap();
        let bits = |items: &[f64]| items.iter().map(|item| item.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back.to_vec::<f64>().unwrap()), bits(&items));
    }

    #[test]
    fn text_that_is_no_json_is_refused_by_every_reader(text in "[\\[{\"$,:}\\] a\\\\]{0,30}") {
        let payload = from_worker(&text.replace("$", &format!("{{\"{}\":0}}", own_mark())));
        let valid = serde_json::from_slice::<serde::de::IgnoredAny>(payload.json()).is_ok();
        prop_assert_eq!(payload.to_json_text().is_ok(), valid);
        prop_assert_eq!(payload.to_json().is_ok(), valid);
    }
}
