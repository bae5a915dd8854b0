//! Every decoder of the bridge, on the same bytes. The target in `fuzz/` includes this file.

use bytes::Bytes;
use hatchery::Payload;
use hatchery_grpc::bridge::{Peer, arguments, chunks, errors, proto, results, tools};
use prost::Message;

/// Reads them as each message, and writes again what could be read.
pub(crate) fn read(bytes: &Bytes) {
    let said = |payload: &Payload| {
        let _read = (payload.to_json(), payload.to_json_text());
    };
    if let Ok(request) = proto::ExecuteToolRequest::decode(bytes.clone())
        && let Ok(received) = arguments::read(request.into())
    {
        said(&received.payload);
        let _written = arguments::write(&received.payload, &received.pickled);
    }
    if let Ok(request) = proto::ExecuteElixirToolRequest::decode(bytes.clone())
        && let Ok(received) = arguments::read(request.into())
    {
        said(&received.payload);
    }
    if let Ok(response) = proto::ExecuteToolResponse::decode(bytes.clone()) {
        for peer in [Peer::Worker, Peer::Host] {
            let error = errors::of_message(&response.error_message, peer);
            let _told = (errors::to_message(&error), errors::to_status(&error), errors::to_text(&error));
        }
        if let Ok(received) = results::read(response.into()) {
            said(&received.payload);
            let _written = results::write(&received.payload);
        }
    }
    if let Ok(chunk) = proto::ToolChunk::decode(bytes.clone()) {
        let _snakepit = chunks::snakepit_item(&chunk);
        if let Ok(Some(item)) = chunks::item(&chunk) {
            said(&item);
            let _written = chunks::Writer::new("t").chunk(&item);
        }
    }
    if let Ok(tool) = proto::ToolRegistration::decode(bytes.clone()) {
        let _tool = tools::write(&tools::read(tool));
    }
}
