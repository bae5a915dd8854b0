"""The control channel where frames may bring descriptors."""

from __future__ import annotations

import os
from collections import deque
from typing import Any, Optional

from .channel import Frame, Reader
from .wire import Breach, Limits

_READ = 4096
_MOST_AT_ONCE = 64


class DescriptorReader(Reader):
    """Reads frames, and keeps the descriptors that came with them until they are asked for.

    A descriptor comes with the first byte of its frame. The first bytes of a frame are only read here; the rest of a long
    frame is read by the `Reader`, which never reads beyond its end.
    """

    def __init__(self, fd: int, channel: str):
        super().__init__(fd, channel)
        self._socket: Any = None
        self._descriptors: deque[int] = deque()

    def agree(self, limits: Limits, agreed: Any, opener: Any = None) -> None:
        super().agree(limits, agreed, opener)
        if "segments" in agreed:
            import _socket  # `socket` imports much more, and a start is short.

            self._sockets = _socket
            self._socket = _socket.socket(fileno=self.fd)

    def next(self) -> Optional[Frame]:
        if self._socket is not None and not self.has_more:
            self._buffer, self._position = self._receive(), 0
            if not self._buffer:
                return None
        return super().next()

    def descriptor(self) -> int:
        """The descriptor of the frame that has just been read."""
        if not self._descriptors:
            raise Breach("segment: SEGMENT came without a descriptor, or there was no number free for it")
        return self._descriptors.popleft()

    def abandon(self) -> None:
        if self._socket is not None:
            self._socket.detach()
            self._socket = None
        while self._descriptors:
            os.close(self._descriptors.popleft())
        super().abandon()

    def _receive(self) -> bytes:
        sockets = self._sockets
        space = sockets.CMSG_SPACE(4 * _MOST_AT_ONCE)
        data, ancillary, _, _ = self._socket.recvmsg(_READ, space, sockets.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == sockets.SOL_SOCKET and kind == sockets.SCM_RIGHTS:
                self._descriptors.extend(memoryview(content)[: len(content) // 4 * 4].cast("i"))
        return data
