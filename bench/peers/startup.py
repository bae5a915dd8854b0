"""16 workers of a ProcessPoolExecutor, each with a first call: `startup.py fork|forkserver [MODULE...]`. Prints what it took as JSON."""

import importlib
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

WORKERS = 16


def meet(folder, modules):
    """Imports what is asked for, and waits until all workers are here; see `src/startup/meeting.rs`."""
    for name in modules:
        importlib.import_module(name)
    with open(os.path.join(folder, "arrived"), "w") as arrived:
        arrived.write("%d\n" % os.getpid())
    open(os.path.join(folder, "gate")).close()


def memory(pids):
    found = {"Rss": 0.0, "Pss": 0.0}
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid) as rollup:
            for line in rollup:
                name, _, value = line.partition(":")
                if name in found:
                    found[name] += int(value.split()[0]) / 1024
    return {"rss_mib": found["Rss"], "pss_mib": found["Pss"]}


def started(method, modules, folder):
    context = get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(modules)
    arrivals = os.fdopen(os.open(os.path.join(folder, "arrived"), os.O_RDWR))
    begin = time.perf_counter()
    pool = ProcessPoolExecutor(WORKERS, mp_context=context)
    calls = [pool.submit(meet, folder, modules) for _ in range(WORKERS)]
    pids = set()
    while len(pids) < WORKERS:
        pids.add(int(arrivals.readline()))
    gate = os.open(os.path.join(folder, "gate"), os.O_RDWR)
    for call in calls:
        call.result()
    ready = (time.perf_counter() - begin) * 1e3
    weight = memory(pids)
    os.close(gate)
    pool.shutdown()
    return {"ready_ms": ready, **weight}


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name in ("arrived", "gate"):
            os.mkfifo(os.path.join(folder, name))
        print(json.dumps(started(sys.argv[1], sys.argv[2:], folder)))


if __name__ == "__main__":
    main()
