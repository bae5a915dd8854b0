"""What can be asked of a daemon, said once for both clients.

`_ask` is how they differ: the one that waits gives what the daemon answers, the other an awaitable of it. The same holds for every method here that
asks something.
"""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Optional, TypeVar, Union

from . import requests
from .answers import Feed, chunk_of
from .events import event_of
from .host_tools import HostTools
from .http1 import Request
from .orders import Orders
from .requests import PATIENCE, Options, Timeout, ask, merged

Self = TypeVar("Self", bound="Operations")


class Scope(NamedTuple):
    """What all calls of a client have in common."""

    pool: str = "default"
    options: Options = Options()

    def checked(self) -> Scope:
        """What is wrong with it is told by this, and not by the first call. Raises `ValidationError`."""
        requests.path(self.pool)
        self.options.headers()
        return self


class Operations:
    """Calls, questions and sessions. Its subclasses say how a request gets to the daemon: `connections` are theirs."""

    def __init__(self, connections: Any, scope: Scope):
        self._scope = scope.checked()
        self._connections = connections
        self._known: dict[str, Any] = {}  # The tools of each pool, once somebody asked.

    def _ask(self, request: Request, limit: Optional[float] = PATIENCE) -> Any:
        raise NotImplementedError

    def _open(self, request: Request, feed: Feed, limit: Optional[float]) -> Any:
        """The stream of an answer's events."""
        raise NotImplementedError

    def _within(self: Self, scope: Scope) -> Self:
        """The same client, with the same connections, in another scope."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _scope=scope.checked())
        return other

    # Calls

    def call(
        self, tool: str, arguments: Optional[dict[str, Any]] = None, /, *, timeout: Timeout = None, session: Optional[str] = None,
        affinity: Optional[str] = None, priority: Optional[str] = None, tenant: Optional[str] = None, idempotent: Optional[bool] = None,
        correlation_id: Optional[str] = None, worker: Optional[str] = None, **named: Any,
    ) -> Any:  # fmt: skip
        """Calls a tool, and gives its result.

        Arguments are keywords, or one dict where their names would be those of options. `timeout` is in seconds or a text like "5m";
        `session` names a conversation that stays with its worker, `affinity` ("hint", "strict-queue", "strict-fail-fast") how strictly;
        `priority` is "high", "normal" or "low", `tenant` who takes turns with other tenants, `worker` the one worker that is to take the
        call. With `idempotent` the call may be made again where nobody knows whether it ran.
        """
        options = Options(timeout, session, affinity, priority, tenant, idempotent, correlation_id, worker)
        return self._call(tool, merged(arguments, named), options)

    def stream(
        self, tool: str, arguments: Optional[dict[str, Any]] = None, /, *, timeout: Timeout = None, session: Optional[str] = None,
        affinity: Optional[str] = None, priority: Optional[str] = None, tenant: Optional[str] = None, idempotent: Optional[bool] = None,
        correlation_id: Optional[str] = None, worker: Optional[str] = None, **named: Any,
    ) -> Any:  # fmt: skip
        """The chunks of a streaming tool, as they come. Nothing is asked before the first is wanted; to close the stream, or to drop it,
        cancels the call. Options are those of `call`."""
        options = Options(timeout, session, affinity, priority, tenant, idempotent, correlation_id, worker)
        return self._stream(tool, merged(arguments, named), options)

    def _call(self, tool: str, arguments: dict[str, Any], options: Options = Options()) -> Any:
        return self._ask(*self._request_of(tool, arguments, options))

    def _request_of(self, tool: str, arguments: dict[str, Any], options: Options = Options()) -> tuple[Request, Optional[float]]:
        """The request of a call, and how long its answer is waited for."""
        whole = options.over(self._scope.options)
        return requests.call(self._scope.pool, tool, arguments, whole), whole.limit()

    def _stream(self, tool: str, arguments: dict[str, Any], options: Options = Options()) -> Any:
        whole = options.over(self._scope.options)
        return self._open(requests.stream(self._scope.pool, tool, arguments, whole), Feed(chunk_of), whole.limit())

    # The same in another scope

    def pool(self: Self, name: str) -> Self:
        """This client, for the tools of another pool."""
        return self._within(self._scope._replace(pool=name))

    def with_options(
        self: Self, *, timeout: Timeout = None, session: Optional[str] = None, affinity: Optional[str] = None, priority: Optional[str] = None,
        tenant: Optional[str] = None, idempotent: Optional[bool] = None, correlation_id: Optional[str] = None, worker: Optional[str] = None,
    ) -> Self:  # fmt: skip
        """This client, with these options for each call that does not say otherwise."""
        options = Options(timeout, session, affinity, priority, tenant, idempotent, correlation_id, worker)
        return self._within(self._scope._replace(options=options.over(self._scope.options)))

    def session(self, id: str, *, affinity: Optional[str] = None) -> Session:
        """The session of this name: its calls, and what is stored in it."""
        return Session(self.with_options(session=id, affinity=affinity), id)

    # Orders and questions

    @property
    def orders(self) -> Orders:
        """What changes pools, workers and the daemon."""
        return Orders(self)

    @property
    def host_tools(self) -> HostTools:
        """What workers may call back, to be seen and called from here."""
        return HostTools(self)

    def status(self) -> Any:
        """How the daemon is: its phase, its pools, what it promises."""
        return self._ask(ask("GET", "status"))

    def pools(self) -> Any:
        """Status and statistics of each pool."""
        return self._ask(ask("GET", "pools"))

    def workers(self) -> Any:
        """One line for each worker."""
        return self._ask(ask("GET", "workers"))

    def worker(self, id: str) -> Any:
        """One worker in detail."""
        return self._ask(ask("GET", "workers", id))

    def stats(self) -> Any:
        """Figures of the whole daemon."""
        return self._ask(ask("GET", "stats"))

    def tool_list(self) -> Any:
        """The tools of the pool, each `{name, doc, streaming, parameters}`."""
        return self._ask(ask("GET", "pools", self._scope.pool, "tools"))

    def events(
        self, kind: Union[str, Iterable[str], None] = None, *, pool: Optional[str] = None, worker: Optional[str] = None,
        correlation_id: Optional[str] = None,
    ) -> Any:  # fmt: skip
        """What happens, as it happens: a stream of dicts. `kind` is a pattern of names like "worker.*", or several. In a `with` it is listened to from
        its beginning, else from the first event that is asked for. A reader that is too slow gets `{"name": "lagged", ...}` with how many it
        has missed."""
        kinds = kind if kind is None or isinstance(kind, str) else ",".join(kind)
        query = {"kind": kinds, "pool": pool, "worker": worker, "correlation_id": correlation_id}
        return self._open(ask("GET", "events", query=query), Feed(event_of, is_live=True), None)

    def event_catalogue(self) -> Any:
        """Every event that there is, with its fields."""
        return self._ask(ask("GET", "events", "catalogue"))

    def taints(self) -> Any:
        """Workers and pools that are kept from work for a while, because of crashes."""
        return self._ask(ask("GET", "taints"))

    def breakers(self) -> Any:
        """The circuit breakers of each pool."""
        return self._ask(ask("GET", "breakers"))

    def orphans(self) -> Any:
        """Live processes that dead runs have left."""
        return self._ask(ask("GET", "orphans"), None)

    def _most_of(self, status: dict[str, Any]) -> int:
        """How many calls of the pool run at once, by the status of its daemon."""
        return max(1, next((pool["workers"] for pool in status["pools"] if pool["pool"] == self._scope.pool), 1))

    # Sessions

    def sessions(self, limit: Optional[int] = None, after: Optional[str] = None) -> Any:
        """A page of the sessions that there are: `{sessions, next}`, `next` being the `after` of the page that follows."""
        return self._ask(ask("GET", "sessions", query={"limit": limit, "after": after}))

    def create_session(self, id: Optional[str] = None, *, ttl: Timeout = None, metadata: Optional[dict[str, Any]] = None) -> Any:
        """Makes a session, or finds the one of this id. `ttl` is how long after its last use it is gone."""
        wish = {"id": id, "ttl": requests.duration(ttl), "metadata": metadata}
        return self._ask(ask("POST", "sessions", body={key: value for key, value in wish.items() if value is not None}))


class Session:
    """One conversation. Calls through it go to the worker that it is bound to; what is stored in it is durable."""

    def __init__(self, client: Operations, id: str):
        self.id = id
        self._client = client
        self.metadata = Shelf(client, ("sessions", id, "metadata"))
        self.programs = Shelf(client, ("sessions", id, "programs"))

    def call(self, tool: str, arguments: Optional[dict[str, Any]] = None, /, **more: Any) -> Any:
        """As `Client.call`."""
        return self._client.call(tool, arguments, **more)

    def stream(self, tool: str, arguments: Optional[dict[str, Any]] = None, /, **more: Any) -> Any:
        """As `Client.stream`."""
        return self._client.stream(tool, arguments, **more)

    @property
    def host_tools(self) -> HostTools:
        """As `Client.host_tools`, with those of the session."""
        return self._client.host_tools

    @property
    def tools(self) -> Any:
        """As `Client.tools`."""
        return self._client.tools  # type: ignore[attr-defined]

    def describe(self) -> Any:
        """When it was made and used, what is in it, which worker it is bound to."""
        return self._client._ask(ask("GET", "sessions", self.id))

    def delete(self) -> Any:
        """Deletes it, with all that is stored in it."""
        return self._client._ask(ask("DELETE", "sessions", self.id))

    def __repr__(self) -> str:
        return f"<session {self.id!r}>"


class Shelf:
    """Values by name, that a session keeps: any JSON. Which there are, `Session.describe` says."""

    def __init__(self, client: Operations, place: tuple[str, ...]):
        self._client = client
        self._place = place

    def get(self, name: str) -> Any:
        """Raises `NotFound` where there is none."""
        return self._client._ask(ask("GET", *self._place, name))

    def put(self, name: str, value: Any) -> Any:
        """In the place of one that is there."""
        return self._client._ask(requests.store((*self._place, name), value))

    def delete(self, name: str) -> Any:
        """Raises `NotFound` where there is none."""
        return self._client._ask(ask("DELETE", *self._place, name))
