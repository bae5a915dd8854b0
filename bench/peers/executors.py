"""The standard library's pools, forked: `executors.py pool|executor w1|w2 CALLS`. Prints one sample as JSON."""

import json
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

IN_FLIGHT = 64


def echo(value):
    return value


def payload(i):
    return {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}


class Pool:
    def __init__(self, workers):
        self.pool = get_context("fork").Pool(workers)

    def call(self, value):
        return self.pool.apply(echo, (value,))

    def submit(self, value, done):
        self.pool.apply_async(echo, (value,), callback=done, error_callback=done)

    def close(self):
        self.pool.close()
        self.pool.join()


class Executor:
    def __init__(self, workers):
        self.pool = ProcessPoolExecutor(workers, mp_context=get_context("fork"))

    def call(self, value):
        return self.pool.submit(echo, value).result()

    def submit(self, value, done):
        self.pool.submit(echo, value).add_done_callback(done)

    def close(self):
        self.pool.shutdown()


def one_after_another(pool, calls):
    taken = []
    warm = calls // 5
    for i in range(warm + calls):
        start = time.perf_counter_ns()
        if pool.call(payload(i))["id"] != i:
            raise SystemExit("a wrong answer")
        taken.append((time.perf_counter_ns() - start) / 1e3)
    taken = sorted(taken[warm:])
    return {"p50_us": quantile(taken, 0.5), "p99_us": quantile(taken, 0.99), "per_s": 1e6 * calls / sum(taken)}


def quantile(ordered, q):
    return ordered[int((len(ordered) - 1) * q)]


def many_in_flight(pool, calls):
    free = threading.Semaphore(IN_FLIGHT)
    for _ in range(IN_FLIGHT):  # the workers are up before the clock starts
        pool.call(payload(0))
    start = time.perf_counter()
    for i in range(calls):
        free.acquire()
        pool.submit(payload(i), lambda _: free.release())
    for _ in range(IN_FLIGHT):
        free.acquire()
    return {"per_s": calls / (time.perf_counter() - start)}


def main():
    kind, workload, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run, workers = {"w1": (one_after_another, 1), "w2": (many_in_flight, 2)}[workload]
    pool = {"pool": Pool, "executor": Executor}[kind](workers)
    try:
        print(json.dumps(run(pool, calls)))
    finally:
        pool.close()


if __name__ == "__main__":
    main()
