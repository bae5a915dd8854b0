"""A server of mosec. PEER_WORKERS and PEER_WORKLOAD say what it serves; mosec reads its own variables for the rest."""

import json
import os

from mosec import Runtime, Server, SSEWorker, Worker

ITEMS = 16 << 20


class Echo(Worker):
    def forward(self, data):
        return data


class Total(Worker):
    def deserialize(self, data):
        return data

    def forward(self, data):
        import numpy

        return float(numpy.frombuffer(data, numpy.float32).sum())


class Array(Worker):
    def __init__(self):
        import numpy

        self.array = numpy.ones(ITEMS, numpy.float32)

    def deserialize(self, data):
        return data

    def forward(self, data):
        return self.array

    def serialize(self, data):
        return data.tobytes()


class Ticks(SSEWorker):
    def forward(self, data):
        for i in range(10_000):
            chunk = {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}
            self.send_stream_event(json.dumps(chunk), index=0)
        return data


def main():
    routes = {"/echo": [Runtime(Echo, num=int(os.environ["PEER_WORKERS"]), timeout=60)]}
    workload = os.environ["PEER_WORKLOAD"]
    if workload == "w3":
        routes["/total"] = [Runtime(Total, num=1, timeout=60)]
        routes["/array"] = [Runtime(Array, num=1, timeout=60)]
    if workload == "w4":
        routes["/ticks"] = [Runtime(Ticks, num=1, timeout=60)]
    server = Server()
    server.register_runtime(routes)
    server.run()


if __name__ == "__main__":
    main()
