"""Which telemetry events are sent, as the host ordered."""

from __future__ import annotations

from typing import Any, NamedTuple


class Filter(NamedTuple):
    enabled: bool = True
    sampling: float = 1.0
    allow: tuple = ()
    deny: tuple = ()

    def changed(self, order: dict[str, Any]) -> "Filter":
        """The filter after an order; what it does not name stays."""
        known = {name: order[name] for name in self._fields if order.get(name) is not None}
        for name, value in known.items():
            if type(value) not in _KINDS[name]:
                raise TypeError(f"{name} cannot be {value!r}")
        for name in {"allow", "deny"} & known.keys():
            known[name] = tuple(map(str, known[name]))
        return self._replace(**known)

    def passes(self, name: str) -> bool:
        if not self.enabled or any(_matches(name, pattern) for pattern in self.deny):
            return False
        if self.allow and not any(_matches(name, pattern) for pattern in self.allow):
            return False
        return self.sampling >= 1.0 or _chance() < self.sampling


# What each may be in an order.
_KINDS = {"enabled": (bool,), "sampling": (int, float), "allow": (list,), "deny": (list,)}


def _chance() -> float:
    import random  # Not before the first order: it would slow the start of each worker.

    return random.random()


def _matches(name: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    # The wire knows `*` and `?` only; fnmatch has sets in brackets besides.
    return fnmatchcase(name, pattern.replace("[", "[[]"))
