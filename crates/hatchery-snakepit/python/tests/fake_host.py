"""The host's side of the bridge, as far as a worker sees it. It notes what it is asked, and fails or waits where a test says so."""

from __future__ import annotations

import json
import threading
import time
from concurrent import futures
from typing import Any, Callable

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from snakepit import bridge_pb2 as pb
from snakepit import bridge_pb2_grpc as rpc

TEXT = "type.googleapis.com/google.protobuf.StringValue"


class FakeHost(rpc.BridgeServiceServicer):
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.calls: list = []
        # What to answer instead, by method: a status, or an event to wait for.
        self.failing: dict = {}
        self.held: dict = {}
        # The host's tools: a function of the parameters as they came, as (address, bytes).
        self.tools: dict = {}
        self.registered: set = set()
        self.session_valid = True
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"
        rpc.add_BridgeServiceServicer_to_server(self, self.server)

    def start(self) -> FakeHost:
        self.server.start()
        return self

    def stop(self) -> None:
        self.server.stop(None).wait()

    def asked(self, method: str) -> list:
        with self._changed:
            return [(request, metadata) for name, request, metadata in self.calls if name == method]

    def wait_asked(self, method: str, times: int = 1, within: float = 20) -> list:
        def count() -> int:
            return sum(name == method for name, _request, _metadata in self.calls)

        with self._changed:
            if not self._changed.wait_for(lambda: count() >= times, within):
                raise AssertionError(f"{method} was asked {count()} times, not {times}: {[call[0] for call in self.calls]}")
        return self.asked(method)

    def _note(self, method: str, request: Any, context: Any) -> None:
        with self._changed:
            self.calls.append((method, request, dict(context.invocation_metadata())))
            self._changed.notify_all()
        if method in self.held:
            self.held[method].wait(30)
        if method in self.failing:
            context.abort(self.failing[method], "as the test wants it")

    def Ping(self, request: Any, context: Any) -> Any:
        self._note("Ping", request, context)
        return pb.PingResponse(message=f"pong: {request.message}")

    def InitializeSession(self, request: Any, context: Any) -> Any:
        self._note("InitializeSession", request, context)
        return pb.InitializeSessionResponse(success=True)

    def CleanupSession(self, request: Any, context: Any) -> Any:
        self._note("CleanupSession", request, context)
        return pb.CleanupSessionResponse(success=True, resources_cleaned=1)

    def GetSession(self, request: Any, context: Any) -> Any:
        self._note("GetSession", request, context)
        return pb.GetSessionResponse(session_id=request.session_id)

    def Heartbeat(self, request: Any, context: Any) -> Any:
        self._note("Heartbeat", request, context)
        return pb.HeartbeatResponse(session_valid=self.session_valid)

    def RegisterTools(self, request: Any, context: Any) -> Any:
        self._note("RegisterTools", request, context)
        names = {(request.session_id, each.name) for each in request.tools}
        if names & self.registered:
            return pb.RegisterToolsResponse(success=False, error_message="duplicate_tool: the first one stays")
        self.registered |= names
        return pb.RegisterToolsResponse(success=True, tool_ids={name: f"{session}:{name}" for session, name in names})

    def GetExposedElixirTools(self, request: Any, context: Any) -> Any:
        self._note("GetExposedElixirTools", request, context)
        return pb.GetExposedElixirToolsResponse(tools=[pb.ToolSpec(name=name, description=f"{name}!") for name in self.tools])

    def ExecuteElixirTool(self, request: Any, context: Any) -> Any:
        self._note("ExecuteElixirTool", request, context)
        parameters = {name: (value.type_url, value.value) for name, value in request.parameters.items()}
        try:
            result = self.tools[request.tool_name](parameters)
        except Exception as failure:  # noqa: BLE001
            return pb.ExecuteElixirToolResponse(success=False, error_message=f"Tool execution failed: {failure}")
        return pb.ExecuteElixirToolResponse(success=True, result=encoded(result))

    def ExecuteTool(self, request: Any, context: Any) -> Any:
        self._note("ExecuteTool", request, context)
        given = {name: json.loads(value.value) for name, value in request.parameters.items()}
        return pb.ExecuteToolResponse(success=True, result=encoded({"tool": request.tool_name, "given": given}))


def encoded(value: Any) -> Any:
    """As the host sends values: JSON under the address of a text, and messages as what they are."""
    if isinstance(value, Message):
        packed = any_pb2.Any()
        packed.Pack(value)
        return packed
    return any_pb2.Any(type_url=TEXT, value=json.dumps(value).encode())


def eventually(what: str, condition: Callable[[], Any], within: float = 20) -> Any:
    """What the condition gives when it holds."""
    end = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.01)
