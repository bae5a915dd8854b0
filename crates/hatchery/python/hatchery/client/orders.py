"""Orders to a daemon. Each answers with what it did, leaves a line in the audit log, and needs the scope `operate` where callers have scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from . import requests
from .requests import Timeout, ask

if TYPE_CHECKING:
    from .operations import Operations


class Orders:
    """`client.orders`: what changes pools, workers and the daemon. Orders about a pool are about the client's."""

    def __init__(self, client: Operations):
        self._client = client

    def scale(self, workers: int) -> Any:
        """So many workers, from now on."""
        return self._of_pool("scale", {"workers": workers})

    def drain(self, wait: Timeout = None) -> Any:
        """No more calls for the pool; those that run may finish. `wait` is how long the answer waits for that."""
        said = requests.duration(wait)
        return self._of_pool("drain", {} if said is None else {"wait": said})

    def resume(self) -> Any:
        """Calls again, after a drain."""
        return self._of_pool("resume", {})

    def reload_pool(self) -> Any:
        """New workers in the place of all, with the app as it is now, and none goes before the next one is ready."""
        return self._of_pool("reload", {})

    def reset_breakers(self, tool: Optional[str] = None) -> Any:
        """Closes the pool's circuit breakers, or that of one tool."""
        return self._client._ask(
            ask("POST", "pools", self._pool, "breakers", "reset", body={} if tool is None else {"tool": tool}), None
        )

    def recycle(self, worker: str) -> Any:
        """Another worker in its place, which is ready before it goes."""
        return self._of_worker(worker, "recycle")

    def restart(self, worker: str) -> Any:
        """Ends the worker, and starts another in its place."""
        return self._of_worker(worker, "restart")

    def stop_worker(self, worker: str) -> Any:
        """Ends the worker; its pool has one fewer then."""
        return self._of_worker(worker, "stop")

    def reload(self) -> Any:
        """Reads the configuration again, and applies what can be applied while it runs."""
        return self._client._ask(ask("POST", "reload", body={}), None)

    def stop(self) -> Any:
        """Ends the daemon, as SIGTERM does: calls that run may finish."""
        return self._client._ask(ask("POST", "stop", body={}), None)

    def prune_sessions(self) -> Any:
        """Forgets the sessions whose time is over."""
        return self._client._ask(ask("POST", "sessions", "prune", body={}), None)

    def clear_taints(self, id: Optional[str] = None) -> Any:
        """Lets a worker or a pool work again, or all that are kept from it."""
        return self._client._ask(ask("DELETE", "taints", *([] if id is None else [id])), None)

    def kill_orphans(self, run: Optional[str] = None) -> Any:
        """Ends the processes that dead runs have left, or those of one run."""
        return self._client._ask(ask("POST", "orphans", "kill", body={} if run is None else {"run": run}), None)

    @property
    def _pool(self) -> str:
        return self._client._scope.pool

    def _of_pool(self, order: str, body: dict[str, Any]) -> Any:
        return self._client._ask(ask("POST", "pools", self._pool, order, body=body), None)

    def _of_worker(self, worker: str, order: str) -> Any:
        return self._client._ask(ask("POST", "workers", worker, order, body={}), None)
