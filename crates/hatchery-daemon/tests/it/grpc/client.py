"""Generates a client from the proto file, and does with it what a client does. Arguments: where the proto file is, an empty
place for what is generated, and the address."""

import json
import os
import sys

import grpc
from grpc_tools import protoc

proto, generated, address = sys.argv[1:]
os.mkdir(generated)
file = os.path.join(proto, "hatchery/v1/hatchery.proto")
if protoc.main(["protoc", f"-I{proto}", f"--python_out={generated}", f"--grpc_python_out={generated}", file]) != 0:
    sys.exit("protoc refuses our proto file")
sys.path.insert(0, generated)
from hatchery.v1 import hatchery_pb2 as pb  # noqa: E402
from hatchery.v1 import hatchery_pb2_grpc as rpc  # noqa: E402

SPAN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def arguments(**values):
    return pb.Payload(json=json.dumps(values).encode())


def error_of(failure):
    """The structured error in the details of a status."""
    details = dict(failure.trailing_metadata())["grpc-status-details-bin"]
    begin = details.index(b"type.googleapis.com/hatchery.v1.Error")
    # An Any: the address, a tag, a length of one or two bytes, the message.
    rest = details[begin + len(b"type.googleapis.com/hatchery.v1.Error") + 1 :]
    return pb.Error.FromString(rest[2:] if rest[0] & 0x80 else rest[1:])


def failing(attempt):
    try:
        attempt()
    except grpc.RpcError as failure:
        return failure
    raise AssertionError("it did not fail")


with grpc.insecure_channel(address) as channel:
    stub = rpc.HatcheryStub(channel)

    sent = pb.Payload(json=b'{"data": {"$a": 0}}', mark="$a", attachments=[pb.Attachment(bytes=b"\x00\xff")])
    result = stub.Call(pb.CallRequest(pool="default", tool="reverse", arguments=sent)).result
    assert json.loads(result.json) == {result.mark: 0}, result
    assert result.attachments[0].bytes == b"\xff\x00", result

    seen = stub.Call(pb.CallRequest(pool="default", tool="span"), metadata=[("traceparent", SPAN)]).result
    assert json.loads(seen.json) == SPAN, seen
    left = stub.Call(pb.CallRequest(pool="default", tool="time_left"), timeout=30).result
    # grpcio rounds up.
    assert 0 < json.loads(left.json) < 32, left

    chunks = stub.StreamCall(pb.StreamCallRequest(pool="default", tool="numbers", arguments=arguments(n=3)))
    assert [json.loads(chunk.chunk.json) for chunk in chunks] == [0, 1, 2]

    failure = failing(lambda: stub.Call(pb.CallRequest(pool="default", tool="raises", arguments=arguments(depth=200))))
    assert failure.code() == grpc.StatusCode.ABORTED, failure
    error = error_of(failure)
    assert (error.kind, error.python_type, error.message) == ("remote", "ValueError", "no"), error
    assert error.traceback.rstrip().endswith("ValueError: no"), error

    failure = failing(lambda: stub.Call(pb.CallRequest(pool="default", tool="wait_for_ever"), timeout=0.3))
    assert failure.code() == grpc.StatusCode.DEADLINE_EXCEEDED, failure
    failure = failing(lambda: stub.Call(pb.CallRequest(pool="nowhere", tool="reverse")))
    assert failure.code() == grpc.StatusCode.NOT_FOUND and error_of(failure).kind == "not_found", failure

    events = stub.Events(pb.EventsRequest(kinds=["session.*", "pool.*"]))
    events.initial_metadata()
    stub.Scale(pb.ScaleRequest(pool="default", workers=2))
    told = next(events).event
    assert (told.name, json.loads(told.json)["to"]) == ("pool.scaled", 2), told
    events.cancel()

    stub.CreateSession(pb.CreateSessionRequest(id="s"))
    stub.PutProgram(pb.PutProgramRequest(session="s", name="p", json=b"[1]"))
    assert stub.GetProgram(pb.GetProgramRequest(session="s", name="p")).json == b"[1]"
    assert {tool.name for tool in stub.Tools(pb.ToolsRequest(pool="default")).tools} >= {"reverse", "numbers"}
    assert stub.Status(pb.StatusRequest()).phase == "serving"
print("all is well")
