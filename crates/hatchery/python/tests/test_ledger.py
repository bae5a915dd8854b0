"""Calls that lie in a worker behind others: what it notes before it begins one, and what it gives back."""

import os
import tempfile
import threading
import time
import unittest

from hatchery import wire
from hatchery.ledger import Ledger

from .host import Worker

APP = """
    import os, time
    from hatchery import tool

    @tool
    def wait_for(path: str):
        open(path + ".begun", "w").close()
        while not os.path.exists(path):
            time.sleep(0.001)
        return path

    @tool
    def echo(value: int):
        return value

    @tool
    def ledger():
        return os.environ.get("HATCHERY_LEDGER")
"""


def page():
    fd = os.memfd_create("ledger")
    os.truncate(fd, 4096)
    return fd


class OfAWorker(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.gate = os.path.join(folder.name, "gate")

    def begun(self, worker):
        """A call that runs until the gate is opened."""
        id = worker.start("wait_for", path=self.gate)
        while not os.path.exists(self.gate + ".begun"):
            time.sleep(0.001)
        return id

    def open_gate(self):
        open(self.gate, "w").close()

    def recalled(self, worker, first, count):
        worker.send_control(wire.RECALL, first, extra=count)
        frame = worker.read_control()
        self.assertEqual(frame.name, "RECALLED")
        return frame.id, frame.extra

    def test_one_without_a_ledger_does_not_name_the_capability(self):
        with Worker(APP) as worker:
            self.assertNotIn("ahead", worker.ready()["capabilities"])
        with Worker(APP, ledger=True) as worker:
            self.assertIn("ahead", worker.ready()["capabilities"])
            self.assertIsNone(worker.call("ledger"), "nobody else is to hear of it")

    def test_a_call_is_noted_before_it_begins(self):
        with Worker(APP, ledger=True) as worker:
            worker.ready()
            self.assertEqual(worker.last_begun(), 0)
            first = self.begun(worker)
            second = worker.start("echo", value=2)
            self.assertEqual(worker.last_begun(), first)
            self.open_gate()
            self.assertEqual([worker.read().id, worker.read().id], [first, second])
            self.assertEqual(worker.last_begun(), second)

    def test_one_that_cannot_be_read_has_been_begun_too(self):
        with Worker(APP, ledger=True) as worker:
            worker.ready()
            worker.send(wire.CALL, 5, {"tool": 1, "args": {}})
            self.assertEqual(worker.exit_status(), 70)
            self.assertEqual(worker.last_begun(), 5)

    def test_what_is_behind_a_call_that_runs_is_given_back_and_never_run(self):
        with Worker(APP, ledger=True) as worker:
            worker.ready()
            first = self.begun(worker)
            second, third = worker.start("echo", value=2), worker.start("echo", value=3)
            self.assertEqual(self.recalled(worker, second, 2), (second, 2))
            fourth = worker.start("echo", value=4)
            self.open_gate()
            self.assertEqual([worker.read().id, worker.read().id], [first, fourth])
            self.assertEqual(third, fourth - 1)

    def test_one_that_runs_or_has_run_is_not_given_back(self):
        with Worker(APP, ledger=True) as worker:
            worker.ready()
            answered = worker.start("echo", value=0)
            self.assertEqual(worker.read().id, answered)
            first = self.begun(worker)
            second = worker.start("echo", value=2)
            self.assertEqual(self.recalled(worker, answered, 3), (second, 1))
            self.assertEqual(self.recalled(worker, answered, 2), (second, 0))
            self.open_gate()
            self.assertEqual(worker.read().id, first)
            self.assertEqual(worker.call("echo", value=4), 4)

    def test_what_was_given_back_and_cancelled_is_passed_over_too(self):
        with Worker(APP, ledger=True) as worker:
            worker.ready()
            first = self.begun(worker)
            second = worker.start("echo", value=2)
            worker.send_control(wire.CANCEL, second)
            self.assertEqual(self.recalled(worker, second, 1), (second, 1))
            self.open_gate()
            self.assertEqual(worker.read().id, first)
            self.assertEqual(worker.call("echo", value=4), 4)

    def test_a_recall_without_the_capability_is_a_breach(self):
        with Worker(APP) as worker:
            worker.ready()
            worker.send_control(wire.RECALL, 1, extra=1)
            self.assertEqual(worker.exit_status(), 70)

    def test_a_ledger_that_is_none_is_refused(self):
        with Worker(APP, hello=False, environment={"HATCHERY_LEDGER": "77"}) as worker:
            self.assertEqual(worker.exit_status(), 64)
            self.assertIn("HATCHERY_LEDGER='77'", worker.err())


class OfItself(unittest.TestCase):
    def test_each_call_is_either_begun_or_given_back(self):
        """Two threads that meet all the time."""
        most = 20_000
        ledger = Ledger(page())
        begun, given = [], []

        def give_back():
            id = 1
            while id < most:
                first, count = ledger.give_back(id, 7)
                given.extend(range(first, first + count))
                id = max(first + count, id + 1)

        other = threading.Thread(target=give_back)
        other.start()
        for id in range(1, most + 8):
            if ledger.begins(id):
                begun.append(id)
        other.join()
        self.assertEqual(sorted(begun + [id for id in given if id < most + 8]), list(range(1, most + 8)))
        self.assertTrue(begun and given)

    def test_spans_that_were_passed_are_forgotten(self):
        ledger = Ledger(page())
        ledger.give_back(1, 3)
        self.assertEqual([id for id in range(1, 6) if ledger.begins(id)], [4, 5])
        self.assertEqual(ledger._given, [])
