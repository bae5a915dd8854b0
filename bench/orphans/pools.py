"""Supervisors of Python: `pools.py KIND idle|busy|loop|child`, KIND being `pool-fork`, `executor-spawn`, `loky`, `joblib` or their like."""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from settle import WORKERS, tell, work


# A pool that nobody holds ends its workers by itself.
held = []


def tasks(kind, posture):
    """Gives every worker its task; those of idle workers end."""
    family, _, method = kind.partition("-")
    if family == "pool":
        pool = multiprocessing.get_context(method).Pool(WORKERS)
        held.append(pool)
        return [pool.map_async(work, [posture] * WORKERS, chunksize=1).get]
    if family == "joblib":
        return [lambda: joblib(posture)]
    executor = loky() if family == "loky" else processes(method)
    held.append(executor)
    return [future.result for future in [executor.submit(work, posture) for _ in range(WORKERS)]]


def joblib(posture):
    from joblib import Parallel, delayed

    Parallel(n_jobs=WORKERS, backend="loky")(delayed(work)(posture) for _ in range(WORKERS))


def loky():
    from loky import get_reusable_executor

    return get_reusable_executor(max_workers=WORKERS, timeout=600)


def processes(method):
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context(method))


if __name__ == "__main__":
    for end in tasks(sys.argv[1], sys.argv[2]):
        end()
    tell("ready")
    time.sleep(1000)
