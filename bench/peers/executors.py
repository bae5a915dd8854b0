"""Peers whose client is Python: `executors.py pool|executor|loky|ray w1|w2|w3|w4 COUNT`. Prints one sample as JSON.

COUNT is that of calls (w1, w2), of arrays in each direction (w3) or of streams (w4).
"""

import json
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Manager, get_context

IN_FLIGHT = 64
CHUNKS = 10_000
ITEMS = 16 << 20
WORKERS = {"w1": 1, "w2": 2, "w3": 1, "w4": 1}


def echo(value):
    return value


def payload(i):
    return {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}


def total(array):
    return float(array.sum())


ARRAY = []


def array():
    """The same array every time: to make it is no part of what is measured."""
    if not ARRAY:
        import numpy

        ARRAY.append(numpy.ones(ITEMS, numpy.float32))
    return ARRAY[0]


def ticks(queue, n):
    for i in range(n):
        queue.put(payload(i))


class Pool:
    def __init__(self, workers):
        self.pool = get_context("fork").Pool(workers)

    def call(self, function, *arguments):
        return self.pool.apply(function, arguments)

    def many(self, calls):
        return windowed(lambda i, done: self.pool.apply_async(echo, (payload(i),), callback=done, error_callback=done), calls)

    def close(self):
        self.pool.close()
        self.pool.join()


class Executor:
    def __init__(self, workers):
        self.pool = ProcessPoolExecutor(workers, mp_context=get_context("fork"))

    def call(self, function, *arguments):
        return self.pool.submit(function, *arguments).result()

    def many(self, calls):
        return windowed(lambda i, done: self.pool.submit(echo, payload(i)).add_done_callback(done), calls)

    def close(self):
        self.pool.shutdown()


class Loky(Executor):
    def __init__(self, workers):
        from loky import get_reusable_executor

        self.pool = get_reusable_executor(max_workers=workers, timeout=100)

    def stream(self):
        """Chunks come through a queue of a manager, the one that any of its workers can be given."""
        if not hasattr(self, "queue"):
            self.manager = Manager()
            self.queue = self.manager.Queue()
        task = self.pool.submit(ticks, self.queue, CHUNKS)
        for _ in range(CHUNKS):
            yield self.queue.get()
        task.result()


class Ray:
    def __init__(self, workers):
        import logging
        import os

        os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
        import ray

        self.ray = ray
        ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, object_store_memory=1 << 30)

        class Actor:
            def __init__(self, items):
                if items:
                    import numpy

                    self.data = numpy.ones(items, numpy.float32)

            def array(self):
                return self.data

            def ticks(self, n):
                for i in range(n):
                    yield payload(i)

            def echo(self, value):
                return value

            def total(self, array):
                return float(array.sum())

        actor = ray.remote(num_cpus=0)(Actor)
        self.actors = [actor.remote(ITEMS if sys.argv[2] == "w3" else 0) for _ in range(workers)]
        ray.get([actor.echo.remote(0) for actor in self.actors])

    def call(self, function, *arguments):
        return self.ray.get(getattr(self.actors[0], function.__name__).remote(*arguments))

    def many(self, calls):
        start, waiting = time.perf_counter(), []
        for i in range(calls):
            if len(waiting) == IN_FLIGHT:
                self.ray.get(waiting.pop(0))
            waiting.append(self.actors[i % len(self.actors)].echo.remote(payload(i)))
        self.ray.get(waiting)
        return time.perf_counter() - start

    def stream(self):
        for chunk in self.actors[0].ticks.options(num_returns="streaming").remote(CHUNKS):
            yield self.ray.get(chunk)

    def close(self):
        self.ray.shutdown()


def windowed(submit, calls):
    """Keeps as many in flight as the workload says; the seconds that it took."""
    free = threading.Semaphore(IN_FLIGHT)
    start = time.perf_counter()
    for i in range(calls):
        free.acquire()
        submit(i, lambda _: free.release())
    for _ in range(IN_FLIGHT):
        free.acquire()
    return time.perf_counter() - start


def one_after_another(pool, calls):
    taken = []
    warm = calls // 5
    for i in range(warm + calls):
        start = time.perf_counter_ns()
        if pool.call(echo, payload(i))["id"] != i:
            raise SystemExit("a wrong answer")
        taken.append((time.perf_counter_ns() - start) / 1e3)
    taken = sorted(taken[warm:])
    return {"p50_us": quantile(taken, 0.5), "p99_us": quantile(taken, 0.99), "per_s": 1e6 * calls / sum(taken)}


def quantile(ordered, q):
    return ordered[int((len(ordered) - 1) * q)]


def many_in_flight(pool, calls):
    pool.many(IN_FLIGHT)  # the workers are up before the clock starts
    return {"per_s": calls / pool.many(calls)}


def arrays(pool, count):
    import numpy

    ones = numpy.ones(ITEMS, numpy.float32)
    to = lambda: pool.call(total, ones)  # noqa: E731
    back = lambda: float(pool.call(array).sum())  # noqa: E731
    return {"to_ms": milliseconds(to, count), "from_ms": milliseconds(back, count)}


def milliseconds(call, count):
    taken = []
    for _ in range(2 + count):
        start = time.perf_counter()
        if call() != ITEMS:
            raise SystemExit("a wrong sum")
        taken.append((time.perf_counter() - start) * 1e3)
    return quantile(sorted(taken[2:]), 0.5)


def streams(pool, count):
    firsts, rates = [], []
    for _ in range(1 + count):
        start = time.perf_counter()
        for i, chunk in enumerate(pool.stream()):
            if i == 0:
                first = time.perf_counter() - start
            if chunk["id"] != i:
                raise SystemExit("a wrong chunk")
        rates.append(CHUNKS / (time.perf_counter() - start))
        firsts.append(first * 1e6)
    return {"per_s": quantile(sorted(rates[1:]), 0.5), "first_us": quantile(sorted(firsts[1:]), 0.5)}


def main():
    kind, workload, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run = {"w1": one_after_another, "w2": many_in_flight, "w3": arrays, "w4": streams}[workload]
    pool = {"pool": Pool, "executor": Executor, "loky": Loky, "ray": Ray}[kind](WORKERS[workload])
    try:
        print(json.dumps(run(pool, count)))
    finally:
        pool.close()


if __name__ == "__main__":
    main()
