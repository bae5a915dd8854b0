"""Host tools: what workers may call back with `ctx.call`, as a client sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from . import requests
from .requests import Options, Timeout, ask, merged

if TYPE_CHECKING:
    from .operations import Operations


class HostTools:
    """`client.host_tools`: those that the client's session sees, its own before the global ones; without a session, all that there are."""

    def __init__(self, client: Operations):
        self._client = client

    def list(self) -> Any:
        """Each `{name, description, parameters, session, source, exposed, supports_streaming, metadata}`."""
        return self._client._ask(ask("GET", "host-tools", query=self._of))

    def get(self, name: str) -> Any:
        """One of them. Raises `NotFound`."""
        return self._client._ask(ask("GET", "host-tools", name, query=self._of))

    def call(
        self, name: str, arguments: Optional[dict[str, Any]] = None, /, *, timeout: Timeout = None, correlation_id: Optional[str] = None,
        **named: Any,
    ) -> Any:  # fmt: skip
        """Runs one, and gives its result. Arguments are those of `Client.call`."""
        whole = Options(timeout=timeout, correlation_id=correlation_id).over(self._client._scope.options)
        return self._client._ask(requests.call_host(name, merged(arguments, named), whole), whole.limit())

    def unregister(self, name: str) -> Any:
        """Takes one away; calls of it that run go on. Needs the scope `operate`, where callers have scopes. Raises `NotFound`."""
        return self._client._ask(ask("DELETE", "host-tools", name, query=self._of), None)

    @property
    def _of(self) -> dict[str, Any]:
        return {"session": self._client._scope.options.session}
