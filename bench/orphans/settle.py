"""What each Python worker does: it leaves a daemon and reports itself in the folder of the run."""

import collections
import itertools
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPORT = os.environ["ORPHANS_REPORT"]
WORKERS = int(os.environ["ORPHANS_WORKERS"])


def settle():
    subprocess.run(["sh", os.path.join(HERE, "daemon.sh")], check=True)
    tell("worker.%d" % os.getpid())


def tell(name):
    open(os.path.join(REPORT, name), "w").close()


def work(posture):
    """A task that no worker gets twice: it ends when all have one, or never."""
    settle()
    if posture == "child":
        beget()
    if posture == "loop":
        spin()
    while posture == "busy" or len([name for name in os.listdir(REPORT) if name.startswith("worker.")]) < WORKERS:
        time.sleep(1000 if posture == "busy" else 0.01)


def spin():
    """A loop of the interpreter's own, which looks at no signal."""
    collections.deque(itertools.repeat(None), maxlen=0)


def beget():
    """A child that nobody told of the supervisor."""
    return subprocess.Popen(["sleep", "1000"])
