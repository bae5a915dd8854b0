"""HTTP/1.1 without any input or output: requests to bytes, and bytes, in pieces of any size, to answers.

`http.client` reads from a socket by itself, which leaves asyncio without it; so there is one reader of our own, and both clients have
it.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

# What a daemon sends is far below; what is above is no daemon.
_LONGEST_HEAD = 64 << 10
_LONGEST_CHUNK_LINE = 4 << 10
_BODILESS = (204, 304)


class Malformed(Exception):
    """What came is no answer of HTTP/1.1; says what it is."""


class CutOff(Malformed):
    """The connection ended before the answer did."""


class Request(NamedTuple):
    """One request. `idempotent` says that it may be sent again when nobody knows what became of it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    idempotent: bool = False

    def encode(self, host: str, credentials: tuple[tuple[str, str], ...] = ()) -> bytes:
        """The head and the body, as they go to this host."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}", "User-Agent: hatchery-python"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *credentials)]
        if self.body or self.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + self.body


class Reader:
    """Reads one answer. `status` and `headers` (names in lower case) are there once its head is; `take` gives what of the body has come
    since. Once it `is_complete`, `is_reusable` says whether the connection may have another request."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self.is_reusable = False
        self._buffer = bytearray()
        self._body: list[bytes] = []
        self._step = self._head
        self._missing = 0  # Of the body, or of the chunk that is being read.
        self._keeps = False

    @property
    def has_head(self) -> bool:
        return self.status != 0

    def feed(self, data: bytes) -> None:
        """Takes what came; nothing means that nothing will come any more. Raises `Malformed`."""
        if not data:
            return self._end_of_input()
        if self._step == self._counted and not self._buffer and len(data) <= self._missing:
            return self._take_counted(data)  # Large bodies go past the buffer.
        self._buffer += data
        while self._step():
            pass

    def take(self) -> bytes:
        """What of the body has come since the last time."""
        body, self._body = b"".join(self._body), []
        return body

    def _end_of_input(self) -> None:
        if self._step == self._until_end:
            self.is_complete = True
        elif not self.is_complete:
            raise CutOff("it went away before it had answered" if not self.has_head else "it went away in the middle of its answer")

    # Steps: each takes what it can from the buffer, and says whether another may go on.

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD or not b"HTTP/1.".startswith(bytes(self._buffer[:7])):
                raise Malformed(_strange(bytes(self._buffer[:40])))
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, status = _status_line(lines[0])
        headers = _fields(lines[1:])
        if 100 <= status < 200:
            return True  # Only told that it goes on.
        self.status, self.headers = status, headers
        words = headers.get("connection", "").lower()
        self._keeps = "close" not in words if version == "HTTP/1.1" else "keep-alive" in words
        return self._frame_body()

    def _frame_body(self) -> bool:
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if self.status in _BODILESS:
            return self._finish()
        if coding is not None:
            if coding.lower() != "chunked":
                raise Malformed(f"its answer has a transfer coding {coding!r}, which was not asked for")
            self._step = self._chunk_line
        elif length is not None:
            self._missing = _number(length, 10, "content length")
            self._step = self._counted
        else:
            self._keeps = False
            self._step = self._until_end
        return True

    def _counted(self) -> bool:
        data = bytes(self._buffer[: self._missing])
        del self._buffer[: self._missing]
        self._take_counted(data)
        return False

    def _take_counted(self, data: bytes) -> None:
        self._body.append(data)
        self._missing -= len(data)
        if not self._missing:
            self._finish()

    def _until_end(self) -> bool:
        self._body.append(bytes(self._buffer))
        self._buffer.clear()
        return False

    def _chunk_line(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._missing = _number(line.partition(";")[0].strip(), 16, "chunk size")
        self._step = self._chunk if self._missing else self._trailer
        return True

    def _chunk(self) -> bool:
        data = bytes(self._buffer[: self._missing])
        del self._buffer[: self._missing]
        self._body.append(data)
        self._missing -= len(data)
        self._step = self._chunk if self._missing else self._chunk_end
        return not self._missing

    def _chunk_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if not self._buffer.startswith(b"\r\n"):
            raise Malformed("a chunk of its answer is longer than was said")
        del self._buffer[:2]
        self._step = self._chunk_line
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line == "":
            return self._finish()
        return line is not None

    def _line(self) -> Optional[str]:
        end = self._buffer.find(b"\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > _LONGEST_CHUNK_LINE:
            raise Malformed("a line between the chunks of its answer does not end")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + 2]
        return line

    def _finish(self) -> bool:
        self.is_complete = True
        # What came behind the answer was not asked for: whoever sends that will not be asked again.
        self.is_reusable = self._keeps and not self._buffer
        self._step = self._nothing_more
        return False

    def _nothing_more(self) -> bool:
        self.is_reusable = False
        return False


def _strange(beginning: bytes) -> str:
    if beginning.startswith((b"\x15\x03", b"\x16\x03")):
        return "it answers with TLS: say https://"
    return f"it answers {beginning!r}, which is not HTTP/1.1"


def _status_line(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    digits = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (len(digits) == 3 and digits.isdecimal() and digits.isascii()):
        raise Malformed(f"it answers {line[:40]!r}, which is not HTTP/1.1")
    return version, int(digits)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"its answer has a header {line[:40]!r}")
        name, value = name.lower(), value.strip()
        if name in ("content-length", "transfer-encoding") and fields.get(name, value) != value:
            raise Malformed(f"its answer has two different headers {name}")
        fields[name] = value if name not in fields or fields[name] == value else f"{fields[name]}, {value}"
    return fields


def _number(text: str, base: int, what: str) -> int:
    digits = "0123456789abcdefABCDEF" if base == 16 else "0123456789"
    if not 0 < len(text) <= 16 or any(digit not in digits for digit in text):
        raise Malformed(f"its answer has a {what} {text[:40]!r}")
    return int(text, base)
