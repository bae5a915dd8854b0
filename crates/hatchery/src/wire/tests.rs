use std::sync::Arc;

use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::value::{Attachment, Attachments, DeviceArray, ON_DEVICE, Payload, Place, Places};

/// The frames that every implementation is held to.
fn golden(list: &str) -> Vec<Value> {
    let text = include_str!("../../tests/golden/frames.json");
    let mut golden: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(golden[list].take()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn everything() -> Terms {
    Terms { limits: Limits::default(), capabilities: Capabilities::all() }
}

/// The end that frames of this kind come to, on a channel that they come on.
fn receiver(kind: Kind, id: u64) -> Decoder {
    let rules = kind.rules();
    let own = kind == Kind::Error && id == 0;
    let channel = if rules.on_data && !own { Channel::Data } else { Channel::Control };
    match rules.sender {
        Some(Side::Worker) | None => Decoder::new(channel, everything()),
        Some(Side::Host) => Decoder::at_worker(channel, everything()),
    }
}

/// One that knows of a segment, and that segment.
fn sharing(mut decoder: Decoder) -> (Decoder, Arc<Scratch>) {
    let scratch = Arc::new(Scratch::default());
    decoder.look_up_in(Arc::clone(&scratch) as Arc<dyn crate::value::Shelf>);
    (decoder, scratch)
}

/// As a read does: as much as fits into the spare room, no more. Returns what did not fit.
fn feed<'b>(decoder: &mut Decoder, bytes: &'b [u8]) -> &'b [u8] {
    let mut spare = decoder.spare();
    let room = spare.chunk_mut().len();
    assert!(room > 0, "a read into an empty buffer looks like the end of file");
    let (now, later) = bytes.split_at(bytes.len().min(room));
    spare.put_slice(now);
    later
}

/// Feeds all bytes, and returns the frames in them.
fn frames(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        bytes = feed(decoder, bytes);
        while let Some(frame) = decoder.next()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn only(decoder: &mut Decoder, bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut frames = frames(decoder, bytes)?;
    assert_eq!(frames.len(), 1);
    Ok(frames.remove(0))
}

fn joined(encoded: &Encoded) -> Vec<u8> {
    [&encoded.head[..], &encoded.data.concat()].concat()
}

fn again(frame: &Frame) -> Vec<u8> {
    placed_again(frame, &[])
}

fn placed_again(frame: &Frame, places: &crate::value::Places) -> Vec<u8> {
    let head = Head { kind: frame.kind, stream: frame.stream, id: frame.id, extra: frame.extra };
    let encoded = encode(head, &frame.attachments.laid(places), &everything(), |out| {
        out.extend_from_slice(&frame.body);
        Ok(())
    });
    joined(&encoded.unwrap())
}

fn kind_named(name: &str) -> Kind {
    *Kind::ALL.iter().find(|kind| kind.name() == name).unwrap()
}

#[test]
fn golden_frames_are_read_field_by_field_and_written_byte_for_byte() {
    for case in golden("valid") {
        let bytes = unhex(&case["frame_hex"]);
        let (kind, id) = (kind_named(case["kind"].as_str().unwrap()), case["id"].as_u64().unwrap());
        let (mut decoder, scratch) = sharing(receiver(kind, id));
        let frame = only(&mut decoder, &bytes).unwrap();
        let places = scratch.places(&frame.attachments);
        let laid = frame.attachments.laid(&places);
        assert_eq!((frame.kind, frame.id, u64::from(frame.extra)), (kind, id, case["extra"].as_u64().unwrap()));
        assert_eq!(u64::from(frame.stream), case["flags"].as_u64().unwrap());
        assert_eq!(frame.body, case["body"].as_str().unwrap());
        assert_eq!(frame.cost, bytes.len() as u64 + frame.attachments.shared_bytes());
        assert_eq!(laid.data().concat(), unhex(&case["data_hex"]));
        let mut table = Vec::new();
        laid.write_table(&mut table).unwrap();
        assert_eq!(String::from_utf8(table).unwrap(), case["table"].as_str().unwrap());
        assert_eq!(placed_again(&frame, &places), bytes, "{}", case["name"]);
    }
}

#[test]
fn golden_frames_cover_every_kind() {
    let names: Vec<Value> = golden("valid").iter().map(|case| case["kind"].clone()).collect();
    for kind in Kind::ALL {
        assert!(names.iter().any(|name| name == kind.name()), "{kind}");
    }
}

#[test]
fn golden_bodies_are_read_as_messages_and_written_the_same() {
    for case in golden("valid") {
        let (kind, id) = (kind_named(case["kind"].as_str().unwrap()), case["id"].as_u64().unwrap());
        let frame = only(&mut sharing(receiver(kind, id)).0, &unhex(&case["frame_hex"])).unwrap();
        let written = match kind {
            Kind::Hello => serde_json::to_string(&frame.parse::<Hello>().unwrap()),
            Kind::Ready => serde_json::to_string(&Ready::read(&frame).unwrap()),
            Kind::Shutdown => serde_json::to_string(&frame.parse::<Shutdown>().unwrap()),
            Kind::Progress => serde_json::to_string(&frame.parse::<ProgressBody>().unwrap()),
            Kind::Log => serde_json::to_string(&frame.parse::<LogBody>().unwrap()),
            Kind::Event => serde_json::to_string(&EventBody::read(&frame).unwrap()),
            Kind::Telemetry => serde_json::to_string(&frame.parse::<Telemetry>().unwrap()),
            Kind::Segment => serde_json::to_string(&frame.parse::<SegmentBody>().unwrap()),
            _ => continue,
        };
        assert_eq!(written.unwrap(), frame.body, "{}", case["name"]);
    }
}

#[test]
fn the_answer_of_a_health_check_is_read() {
    let cases = golden("valid");
    let answer = |name: &str| {
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        let frame = only(&mut receiver(Kind::Result, 7), &unhex(&case["frame_hex"])).unwrap();
        frame.parse::<HealthBody>().unwrap()
    };
    let well = answer("result of a worker that is well");
    assert!(well.healthy && well.details.unwrap()["gpu"] == "cuda:0");
    assert_eq!(answer("result of a worker that is not"), HealthBody { healthy: false, details: None });
    let asked = cases.iter().find(|case| case["name"] == "call that asks for the health").unwrap();
    assert!(asked["body"].as_str().unwrap().contains(HEALTH_TOOL));
}

#[test]
fn a_tool_whose_name_is_the_wires_own_is_a_breach() {
    let body = r#"{"version":1,"capabilities":["health"],"tools":[{"name":"hatchery.health"}]}"#;
    let frame = only(&mut receiver(Kind::Ready, 0), &with_body(Kind::Ready, body)).unwrap();
    let error = Ready::read(&frame).unwrap_err().to_string();
    assert!(error.contains("lists the tool \"hatchery.health\", and names that begin with"), "{error}");
}

#[test]
fn golden_breaches_are_refused_with_the_field_at_fault() {
    for case in golden("invalid") {
        let channel = if case["channel"] == "data" { Channel::Data } else { Channel::Control };
        let (mut decoder, _) = sharing(Decoder::new(channel, everything()));
        let error = frames(&mut decoder, &unhex(&case["frame_hex"])).unwrap_err();
        let found = match error {
            FrameError::Magic { .. } => "magic",
            FrameError::Kind { .. } => "kind",
            FrameError::Direction { .. } => "direction",
            FrameError::Channel { .. } => "channel",
            FrameError::Reserved { .. } => "reserved",
            FrameError::Limit { .. } => "limit",
            FrameError::Table { .. } => "table",
            FrameError::Attachments { .. } => "attachments",
            FrameError::Body { .. } => "body",
            FrameError::Capability { .. } => "capability",
        };
        assert_eq!(found, case["why"], "{}: {error}", case["name"]);
    }
}

#[test]
fn a_stray_print_is_noticed_at_its_first_byte_and_quoted() {
    let mut decoder = Decoder::new(Channel::Data, everything());
    let error = frames(&mut decoder, b"hello, this is a print\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker wrote \"hello, this is a pri\" on its data channel, where a frame was expected, which begins with \"hy\""
    );
    assert!(frames(&mut Decoder::new(Channel::Data, everything()), b"1").is_err());
}

fn header(kind: Kind, body: usize, table: u32, data: u64) -> [u8; header::HEADER_LENGTH] {
    let id = if kind.rules().id == IdRule::Zero { 0 } else { 1 };
    header::Header { kind, flags: 0, id, extra: 0, body: body as u32, table, data }.write()
}

fn with_body(kind: Kind, body: &str) -> Vec<u8> {
    [&header(kind, body.len(), 0, 0)[..], body.as_bytes()].concat()
}

#[test]
fn a_frame_whose_capability_was_not_agreed_is_refused_by_reader_and_writer() {
    let terms = Terms { limits: Limits::default(), capabilities: Capabilities::default() };
    for kind in Kind::ALL {
        let Some(needed) = kind.rules().needs else { continue };
        let body = if kind.rules().body == BodyRule::None { "" } else { "{}" };
        let mut decoder = receiver(*kind, 1);
        decoder.agree(terms);
        let read = frames(&mut decoder, &with_body(*kind, body)).unwrap_err();
        let written = encode(Head::new(*kind, 0), &crate::value::Attachments::default().laid(&[]), &terms, |out| {
            out.extend_from_slice(body.as_bytes());
            Ok(())
        });
        for error in [read, written.unwrap_err()] {
            assert!(matches!(error, FrameError::Capability { capability, .. } if capability == needed), "{error}");
            assert_eq!(error.unsent().kind(), crate::ErrorKind::Unavailable);
        }
    }
}

#[test]
fn an_array_on_a_device_is_for_those_who_can_give_it_back() {
    let text = r#"{"$bytes":0}"#;
    let (dtype, device, ipc) = ("<f4".into(), "cuda:0".into(), String::new());
    let array = DeviceArray { dtype, shape: vec![2], device, ipc, held: bytes::Bytes::new() };
    let values = Attachments::ours(vec![Attachment::Device(array)]);
    let encoded = |places: &Places| {
        encode(Head::new(Kind::Result, 1), &values.laid(places), &everything(), |out| {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        })
    };
    assert!(encoded(&[Some(Place { segment: ON_DEVICE, offset: 1 })]).is_ok());
    let error = encoded(&[]).unwrap_err();
    assert!(matches!(error, FrameError::Capability { capability: Capability::Segments, .. }), "{error}");
    assert_eq!(error.unsent().kind(), crate::ErrorKind::Unavailable);
}

#[test]
fn an_array_is_not_an_object_even_where_serde_would_take_one() {
    let bytes = with_body(Kind::Log, r#"["info","m","stdout"]"#);
    let error = frames(&mut Decoder::new(Channel::Data, everything()), &bytes).unwrap_err();
    assert_eq!(error.to_string(), "the body of a LOG frame is not a JSON object");
}

#[test]
fn a_header_that_lies_costs_no_memory() {
    let terms = Terms { limits: Limits { max_data: u64::MAX, ..Limits::default() }, ..everything() };
    let mut decoder = Decoder::new(Channel::Data, terms);
    assert!(frames(&mut decoder, &header(Kind::Result, 4, 2, u64::MAX)).unwrap().is_empty());
    feed(&mut decoder, b"null");
    assert!(decoder.capacity() <= 8 << 20, "{}", decoder.capacity());
}

#[test]
fn a_large_frame_is_one_buffer_that_no_other_frame_shares() {
    let large = large_result(5 << 20);
    let small = Encoded::value(Kind::Result, 2, &Payload::encode("x").unwrap(), &[], &everything()).unwrap();
    let mut decoder = Decoder::new(Channel::Data, everything());
    let found = frames(&mut decoder, &[joined(&large), joined(&small)].concat()).unwrap();
    assert_eq!(found[0].attachments.laid(&[]).data_length(), 5 << 20);
    assert_eq!(found[1].body, "\"x\"");
    assert!(decoder.capacity() <= 256 << 10, "the buffer went with the large frame: {}", decoder.capacity());
}

fn large_result(length: usize) -> Encoded {
    let payload = Payload::encode(&crate::Binary(vec![7; length].into())).unwrap();
    Encoded::value(Kind::Result, 1, &payload, &[], &everything()).unwrap()
}

#[test]
fn a_small_frame_is_one_write_and_large_data_are_not_copied() {
    let data = Bytes::from(vec![1; 1 << 20]);
    let payload = Payload::encode(&crate::Binary(data.clone())).unwrap();
    let encoded = Encoded::value(Kind::HostResult, 1, &payload, &[], &everything()).unwrap();
    assert_eq!(encoded.data.len(), 1);
    assert_eq!(encoded.data[0].as_ptr(), data.as_ptr());
    assert!(large_result(1000).data.is_empty());
}

#[test]
fn a_call_is_written_around_arguments_that_are_json_already() {
    for case in golden("valid").iter().filter(|case| case["kind"] == "CALL" && case["table"] == "") {
        let body: Value = serde_json::from_str(case["body"].as_str().unwrap()).unwrap();
        let args = Payload::encode(&body["args"]).unwrap();
        let call = CallBody {
            tool: body["tool"].as_str().unwrap(),
            args: &args,
            correlation_id: body["correlation_id"].as_str().unwrap(),
            timeout_us: body["timeout_us"].as_u64(),
            session: body["session"].as_str(),
            handles: false,
            trace_parent: body["traceparent"].as_str(),
        };
        let credit = (case["flags"] == 1).then(|| case["extra"].as_u64().unwrap() as u32);
        let encoded = Encoded::call(case["id"].as_u64().unwrap(), credit, &call, &[], &everything()).unwrap();
        assert_eq!(joined(&encoded), unhex(&case["frame_hex"]), "{}", case["name"]);
    }
}

#[test]
fn names_in_a_call_are_escaped() {
    let args = Payload::encode(&serde_json::json!({})).unwrap();
    let call = CallBody {
        tool: "a\"b",
        args: &args,
        correlation_id: "\n",
        timeout_us: None,
        session: Some("é\\"),
        handles: true,
        trace_parent: Some("00"),
    };
    let frame = Encoded::call(1, None, &call, &[], &everything()).unwrap();
    let body: Value = serde_json::from_slice(&frame.head[header::HEADER_LENGTH..]).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"tool": "a\"b", "args": {}, "correlation_id": "\n", "session": "é\\", "handles": true, "traceparent": "00"})
    );
}

#[test]
fn what_is_over_the_receivers_limit_is_not_sent() {
    let terms = Terms { limits: Limits { max_body: 8, ..Limits::default() }, ..everything() };
    let payload = Payload::encode("123456789").unwrap();
    let error = Encoded::value(Kind::Result, 1, &payload, &[], &terms).unwrap_err();
    assert_eq!(error.to_string(), "the body of a RESULT frame is 11 bytes, and the receiver accepts 8");
    assert_eq!(error.unsent().kind(), crate::ErrorKind::Limit);
}

fn ready(body: &str) -> Result<Ready, FrameError> {
    Ready::read(&only(&mut Decoder::new(Channel::Control, everything()), &with_body(Kind::Ready, body))?)
}

#[test]
fn ready_is_held_to_the_page() {
    let problem = |tools: &str| {
        ready(&format!(r#"{{"version":1,"capabilities":[],"tools":[{tools}]}}"#)).unwrap_err().to_string()
    };
    assert!(problem(r#"{"name":""}"#).ends_with("lists a tool whose name is empty"));
    assert!(problem(r#"{"name":"a"},{"name":"b"},{"name":"a"}"#).ends_with("lists the tool \"a\" twice"));
    assert!(problem(&format!(r#"{{"name":"{}"}}"#, "é".repeat(129))).contains("258 bytes long"));
    let many: Vec<String> = (0..10_001).map(|n| format!(r#"{{"name":"t{n}"}}"#)).collect();
    assert!(problem(&many.join(",")).contains("10001 tools"));
    let version = ready(r#"{"version":2,"capabilities":[],"tools":[]}"#).unwrap_err().to_string();
    assert!(version.ends_with("chooses version 2, and only 1 was offered"));
}

#[test]
fn what_is_agreed_is_what_both_named_and_the_lower_limits() {
    let text = r#"{"version":1,"capabilities":["log","from_the_future"],"limits":{"max_body":10},"tools":[]}"#;
    let terms = ready(text).unwrap().terms(&everything());
    assert_eq!(terms.capabilities, [Capability::Log].into_iter().collect());
    assert_eq!(terms.limits, Limits { max_body: 10, ..Limits::default() });
}

#[test]
fn the_arguments_of_a_host_call_stay_in_the_frame() {
    let case = golden("valid").into_iter().find(|case| case["kind"] == "HOST_CALL").unwrap();
    let frame = only(&mut receiver(Kind::HostCall, 1), &unhex(&case["frame_hex"])).unwrap();
    let call = HostCall::read(&frame).unwrap();
    assert_eq!((call.call, call.tool.as_str()), (17, "lookup"));
    assert_eq!(call.args.json(), r#"{"key":"k"}"#);
    assert!(frame.body.as_ptr_range().contains(&call.args.json().as_ptr()));
}

#[test]
fn measurements_are_numbers_and_nan_is_none() {
    let event = |measurements: &str| {
        let body = format!(r#"{{"name":"a","measurements":{measurements}}}"#);
        EventBody::read(&only(&mut receiver(Kind::Event, 1), &with_body(Kind::Event, &body)).unwrap())
    };
    assert!(event(r#"{"ms":"fast"}"#).unwrap_err().to_string().contains("measurement ms that is no number"));
    assert_eq!(event(r#"{"ms":null,"n":1}"#).unwrap().measurements.len(), 1);
}

fn a_result() -> impl Strategy<Value = Vec<u8>> {
    let data = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4);
    (any::<u64>(), ".{0,200}", data).prop_map(|(id, text, data)| {
        let binaries: Vec<crate::Binary> = data.into_iter().map(crate::Binary::from).collect();
        let payload = Payload::encode(&(text, binaries)).unwrap();
        joined(&Encoded::value(Kind::Result, id, &payload, &[], &everything()).unwrap())
    })
}

proptest! {
    #[test]
    fn frames_are_the_same_however_they_are_cut(
        sent in proptest::collection::vec(a_result(), 1..6),
        cuts in proptest::collection::vec(1usize..200, 1..20),
    ) {
        let stream = sent.concat();
        let mut decoder = Decoder::new(Channel::Data, everything());
        let (mut rest, mut found) = (&stream[..], Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            found.extend(frames(&mut decoder, now).unwrap());
            rest = later;
        }
        prop_assert_eq!(found.iter().map(again).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn a_frame_that_is_not_all_there_is_waited_for(bytes in a_result(), at in any::<prop::sample::Index>()) {
        let mut decoder = Decoder::new(Channel::Data, everything());
        let cut = at.index(bytes.len());
        prop_assert!(frames(&mut decoder, &bytes[..cut]).unwrap().is_empty());
        prop_assert_eq!(frames(&mut decoder, &bytes[cut..]).unwrap().len(), 1);
    }

    #[test]
    fn garbage_is_refused_or_waited_for_and_costs_little(
        garbage in proptest::collection::vec(any::<u8>(), 0..2000),
        kind in any::<prop::sample::Index>(),
    ) {
        let kind = Kind::ALL[kind.index(Kind::ALL.len())];
        // Random bytes alone would hardly ever get past the magic.
        let bytes = [&b"hy"[..], &[kind as u8, 0], &garbage].concat();
        for mut decoder in [Decoder::new(Channel::Data, everything()), Decoder::new(Channel::Control, everything())] {
            let _frames_or_refusal = frames(&mut decoder, &bytes);
            prop_assert!(decoder.capacity() <= 8 << 20);
        }
    }

    #[test]
    fn a_frame_with_one_byte_changed_never_panics(mut bytes in a_result(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _frames_or_refusal = frames(&mut Decoder::new(Channel::Data, everything()), &bytes);
    }
}

#[test]
fn a_chunk_in_shared_memory_costs_what_it_would_have_cost_in_the_frame() {
    let case = golden("valid").into_iter().find(|case| case["name"] == "items in the frame and in segments").unwrap();
    let bytes = unhex(&case["frame_hex"]);
    let frame = only(&mut sharing(receiver(Kind::Chunk, 1)).0, &bytes).unwrap();
    assert_eq!(frame.cost, bytes.len() as u64 + 5);
    assert_eq!(frame.attachments.origin().unwrap().shared, [false, true, false]);
}

#[test]
fn a_frame_that_speaks_of_shared_memory_where_there_is_none_is_refused() {
    let case = golden("valid").into_iter().find(|case| case["name"] == "array in a segment").unwrap();
    let error = only(&mut receiver(Kind::Result, 1), &unhex(&case["frame_hex"])).unwrap_err().to_string();
    assert_eq!(error, "the attachments of a RESULT frame: item 0: no memory is shared on this channel");
}

#[test]
fn the_placed_item_of_a_call_has_no_part_in_the_frame() {
    let image = crate::Array::from_slice(&[4], &[1u8, 2, 3, 4]).unwrap();
    let args = Payload::encode(&(image, crate::Binary("xy".into()))).unwrap();
    let places = [Some(crate::value::Place { segment: 3, offset: 128 })];
    let bytes = joined(&Encoded::value(Kind::Result, 1, &args, &places, &everything()).unwrap());
    let (mut decoder, scratch) = sharing(Decoder::new(Channel::Data, everything()));
    let frame = only(&mut decoder, &bytes).unwrap();
    assert_eq!(scratch.places(&frame.attachments), [places[0], None]);
    assert_eq!(frame.attachments.items()[1].data(), "xy");
    assert!(bytes.ends_with(b"xy") && !bytes.windows(4).any(|four| four == [1, 2, 3, 4]));
}
