"""The shim's `loopback`."""

import os
import sys
import unittest

from . import SHIM
from .running import BridgeTest, execute, shimmed
from .sockets import listening
from .test_shim import python

SERVER = """
import grpc, sys
from concurrent import futures
sys.path.insert(0, {tests!r})
from sockets import listening
server = grpc.server(futures.ThreadPoolExecutor(1))
port = server.add_insecure_port({address!r})
server.start()
print(sorted(listening(port)))
server.stop(None)
"""


class Loopback(BridgeTest):
    def test_workers_listen_to_this_machine_only(self):
        host = self.host()
        for start in (self.worker, self.threaded):
            with self.subTest(start.__name__):
                worker = start(host, **shimmed("loopback"))
                self.assertEqual(listening(worker.port), {"127.0.0.1"})
                self.assertTrue(execute(worker.stub(), "ping").success)

    def test_other_modes_do_not_touch_it(self):
        self.assertEqual(listening(self.worker(self.host(), **shimmed("parallel", "lossless")).port), {"::"})

    def test_a_server_that_blocks(self):
        code = SERVER.format(tests=os.path.dirname(__file__), address="[::]:0")
        self.assertEqual(python(code, HATCHERY_SHIM="loopback"), ("['127.0.0.1']", ""))
        self.assertEqual(python(code, HATCHERY_SHIM=""), ("['::']", ""))


class Addresses(unittest.TestCase):
    def test_which_are_all(self):
        sys.path.insert(0, SHIM)
        self.addCleanup(sys.path.remove, SHIM)
        from hatchery_shim.loopback import on_loopback

        for address in ("[::]:7", "0.0.0.0:7", "[::0]:7", "[0:0:0:0:0:0:0:0]:7", ":7", "*:7", "ipv6:[::]:7", "dns:///0.0.0.0:7"):
            with self.subTest(address):
                self.assertEqual(on_loopback(address), "127.0.0.1:7")
        for address in ("127.0.0.1:7", "[::1]:7", "10.0.0.1:7", "name:7", "unix:/a", "unix-abstract:a", "[::]", b"[::]:7"):
            with self.subTest(address):
                self.assertEqual(on_loopback(address), address)
