"""The least that a Python worker can be: frames in, the same value out. No framework, no threads, no checks.

A frame is 16 bytes (length of the body, tag, id; little-endian) and a JSON body. Descriptor 0 is data in, 1 data out.
The JSON library is the fastest that is installed, as in a worker of hatchery; `floor_worker.py --json` names it.

`floor_worker.py MODULE...` imports modules first. `floor_worker.py template MODULE...` becomes such a worker only in its children:
descriptor 0 is a socket, which it tells when it has imported them, and which brings a descriptor for each child.
"""

import importlib
import os
import struct
import sys

CALL, STREAM, END = 0, 1, 2
HEADER = struct.Struct("<IIQ")


def codec():
    try:
        import msgspec

        return "msgspec", msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    except ImportError:
        pass
    try:
        import orjson

        return "orjson", orjson.loads, orjson.dumps
    except ImportError:
        import json

        return "json", json.loads, lambda value: json.dumps(value).encode()


NAME, loads, dumps = codec()


def echo(value):
    return value


def ticks(n):
    for i in range(n):
        yield {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}


def main():
    rest = b""
    while True:
        data = os.read(0, 65536)
        if not data:
            return
        rest = serve(rest + data if rest else data)


def serve(data):
    """Answers every whole frame, replies joined in one write; returns the bytes of a frame that is not whole yet."""
    at, end, replies = 0, len(data), []
    while end - at >= 16:
        length, tag, call = HEADER.unpack_from(data, at)
        if end - at < 16 + length:
            break
        value = loads(data[at + 16 : at + 16 + length])
        at += 16 + length
        if tag == STREAM:
            stream(call, value["n"])
        else:
            body = dumps(echo(value))
            replies.append(HEADER.pack(len(body), CALL, call))
            replies.append(body)
    if replies:
        write(b"".join(replies))
    return data[at:]


def stream(call, n):
    """One write per chunk, so that each leaves when it is made."""
    for value in ticks(n):
        body = dumps(value)
        write(HEADER.pack(len(body), STREAM, call) + body)
    write(HEADER.pack(0, END, call))


def write(data):
    while data:
        data = data[os.write(1, data) :]


def template(modules):
    import signal
    import socket

    load(modules)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=0)
    control.sendall(b"R")
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not order:
            return
        if os.fork() == 0:
            os.dup2(descriptors[0], 0)
            os.dup2(descriptors[0], 1)
            os.close(descriptors[0])
            main()
            os._exit(0)
        os.close(descriptors[0])


def load(modules):
    for name in modules:
        importlib.import_module(name)


if sys.argv[1:] == ["--json"]:
    print(NAME)
elif sys.argv[1:2] == ["template"]:
    template(sys.argv[2:])
else:
    load(sys.argv[1:])
    main()
