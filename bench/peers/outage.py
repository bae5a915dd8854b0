"""Pools of processes when one of two workers is killed: `outage.py pool|executor|loky CALLERS NAP BEFORE AFTER BOUND`, in seconds.

Prints the record of all calls as JSON; what it comes to is worked out by the reader.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time


def nap(seconds):
    time.sleep(seconds)
    return os.getpid()


class Pool:
    def __init__(self):
        self.pool = multiprocessing.get_context("fork").Pool(2)

    def call(self, seconds, bound):
        return self.pool.apply_async(nap, (seconds,)).get(bound)

    def workers(self):
        return [worker.pid for worker in self.pool._pool]


class Executor:
    def __init__(self):
        from concurrent.futures import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
        self.warm()

    def warm(self):
        for future in [self.pool.submit(nap, 0.01) for _ in range(8)]:
            future.result()

    def call(self, seconds, bound):
        return self.pool.submit(nap, seconds).result(bound)

    def workers(self):
        return list(self.pool._processes)


class Loky(Executor):
    def __init__(self):
        try:
            from loky import get_reusable_executor
        except ImportError:
            from joblib.externals.loky import get_reusable_executor

        self.pool = get_reusable_executor(max_workers=2, timeout=100)
        self.warm()


def caller(pool, nap_s, bound, until, calls):
    while time.perf_counter() < until:
        start = time.perf_counter()
        try:
            outcome = pool.call(nap_s, bound)
        except Exception as error:
            outcome = type(error).__name__
        calls.append({"start": start, "end": time.perf_counter(), "outcome": outcome})
        if isinstance(outcome, str):
            time.sleep(0.005)


def main():
    kind, callers = sys.argv[1], int(sys.argv[2])
    nap_s, before, after, bound = map(float, sys.argv[3:])
    pool = {"pool": Pool, "executor": Executor, "loky": Loky}[kind]()
    workers = pool.workers()
    until = time.perf_counter() + before + after
    records = [[] for _ in range(callers)]
    threads = [threading.Thread(target=caller, args=(pool, nap_s, bound, until, calls)) for calls in records]
    for thread in threads:
        thread.start()
    time.sleep(before)
    killed_at = time.perf_counter()
    os.kill(workers[0], signal.SIGKILL)
    for thread in threads:
        thread.join()
    print(json.dumps({"killed_at": killed_at, "workers": workers, "calls": sum(records, [])}), flush=True)
    end(pool.workers() if kind == "pool" else workers[1:])


def end(workers):
    """A pool that has lost a call does not end by itself, and its workers outlive it."""
    for pid in workers:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os._exit(0)


if __name__ == "__main__":
    main()
