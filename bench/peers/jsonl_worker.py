"""What most people write first: one JSON value per line on the standard streams."""

import json
import sys

out = sys.stdout.buffer
for line in sys.stdin.buffer:
    value = json.loads(line)
    if "n" in value:
        for i in range(value["n"]):
            chunk = {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}
            out.write(json.dumps(chunk).encode() + b"\n")
            out.flush()
    else:
        out.write(json.dumps(value).encode() + b"\n")
        out.flush()
