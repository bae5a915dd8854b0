"""`daemon.json` in the data directory of an instance: where its daemon is reached.

That it lives is asked of the kernel: the daemon holds a lock on the file as long as it lives. The configuration is read as far as it
says where the data directory is, by the same rules as the command `hatchery`.
"""

from __future__ import annotations

import json
import os
import re
import struct
from typing import Any, NamedTuple, Optional

from .errors import Unavailable, ValidationError

FILE = "daemon.json"
CONFIGURATION = "hatchery.toml"
_KEYS = ("name", "token", "data_dir")
# struct flock: type, whence, start, length, pid.
_FLOCK = "hhqqi"


class Record(NamedTuple):
    """How a daemon is reached: `HOST:PORT`, whether that speaks TLS, and the path of its Unix socket where it has one."""

    address: str
    socket: str = ""
    is_secure: bool = False


def find(data_dir: str) -> Optional[Record]:
    """The daemon of this data directory, if one lives."""
    path = os.path.join(data_dir, FILE)
    try:
        with open(path, "rb") as file:
            return _read(file.read()) if _is_held(file) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(f"read {path}: {error.strerror}") from None


def usual_data_dir() -> str:
    """Where the instance that the variables and the file `hatchery.toml` in the current folder name keeps its data."""
    named = os.environ.get("HATCHERY_DATA_DIR")
    if named:
        return os.path.abspath(named)
    instance = {**_of_file(), **_of_variables()}
    if instance.get("data_dir"):
        return os.path.abspath(instance["data_dir"])
    return os.path.join(_state(), _folder(instance))


def _read(text: bytes) -> Optional[Record]:
    """None of what its daemon has not written whole yet."""
    try:
        record = json.loads(text)
        address, socket = record["address"], record.get("socket")
        if not isinstance(address, str):
            return None
        return Record(address, socket if isinstance(socket, str) else "", record.get("tls") is True)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_held(file: Any) -> bool:
    """Whether another process has the lock; asked without taking it."""
    import fcntl

    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    room = asked + bytes(-len(asked) % 8)
    answer = fcntl.fcntl(file, fcntl.F_GETLK, room)
    return struct.unpack_from("h", answer)[0] != fcntl.F_UNLCK


def _of_variables() -> dict[str, str]:
    said = {key: os.environ.get(f"HATCHERY__INSTANCE__{key.upper()}") for key in _KEYS}
    return {key: value for key, value in said.items() if value}


def _of_file() -> dict[str, str]:
    try:
        with open(CONFIGURATION, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return {}
    except UnicodeDecodeError:
        raise ValidationError(f"read {CONFIGURATION}: it is not UTF-8") from None
    instance = _instance_table(text)
    return {key: instance[key] for key in _KEYS if isinstance(instance.get(key), str)}


def _instance_table(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Before Python 3.11.
        return _plain_table(text)
    try:
        instance = tomllib.loads(text).get("instance", {})
    except ValueError as error:
        raise ValidationError(f"read {CONFIGURATION}: {error}") from None
    return instance if isinstance(instance, dict) else {}


def _plain_table(text: str) -> dict[str, str]:
    """The strings of the table `[instance]`, where each stands on a line of its own, as `hatchery new` and people write it."""
    table = re.search(r"^[ \t]*\[[ \t]*instance[ \t]*\][^\n]*\n(.*?)(?=^[ \t]*\[|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"""^[ \t]*(\w+)[ \t]*=[ \t]*(?:"([^"\\\n]*)"|'([^'\n]*)')""", table[1] if table else "", re.MULTILINE)
    return {key: basic or literal for key, basic, literal in lines}


def _state() -> str:
    state, home = os.environ.get("XDG_STATE_HOME", ""), os.environ.get("HOME", "")
    if os.path.isabs(state):
        return os.path.join(state, "hatchery")
    if os.path.isabs(home):
        return os.path.join(home, ".local/state/hatchery")
    return f"/tmp/hatchery-{os.getuid()}"


def _folder(instance: dict[str, str]) -> str:
    """Of the instance: its name and its token, as far as they can stand in the name of a folder."""
    parts = [instance.get("name") or "default"] + ([instance["token"]] if "token" in instance else [])
    return "__".join(re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in parts)
