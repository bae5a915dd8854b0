"""Connections of both clients: those that end, those that are used again, who waits on them, and whom they trust."""

import asyncio
import gc
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

import hatchery
from hatchery.client import Cancelled, DeadlineExceeded, Error, Unavailable, ValidationError
from hatchery.client import connection as connections

from .fake_daemon import PATIENCE, BothClients, FakeDaemon, answer, chunk, error, event, events, silent
from .host import ROOT


class Connections(BothClients, unittest.TestCase):
    def test_nobody_there_is_unavailable_and_says_what_to_do(self, connect):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "http://127.0.0.1:%d" % free.getsockname()[1]
        for there in (address, "unix:/no/socket"):
            with self.assertRaises(Unavailable) as caught:
                connect(there)
            self.assertRegex(caught.exception.message, f"^no daemon is running at {there}: \\w[^:]+; start one with `hatchery serve")
            self.assertTrue(caught.exception.retryable)

    def test_one_that_was_closed_while_idle_is_replaced_unseen(self, connect):
        closed = threading.Event()

        def first(peer):
            peer.serve(1)
            peer.close()
            closed.set()

        with FakeDaemon(first, lambda peer: peer.serve(2)) as daemon, connect(daemon.address) as client:
            self.assertEqual(client.call("t"), 1)
            closed.wait(PATIENCE)
            self.assertEqual(client.call("t"), 2)

    def test_one_that_says_what_nobody_asked_is_replaced(self, connect):
        said = threading.Event()

        def first(peer):
            peer.serve(1)
            peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            said.set()
            silent(peer)

        with FakeDaemon(first, lambda peer: peer.serve(2)) as daemon, connect(daemon.address) as client:
            client.call("t")
            said.wait(PATIENCE)
            self.assertEqual(client.call("t"), 2)

    def test_one_that_breaks_after_a_request_is_sent_again_only_what_may_be(self, connect):
        def breaks(peer):
            peer.serve(1)
            peer.request()  # From here on nobody knows what became of it.
            peer.reset()

        with FakeDaemon(breaks, lambda peer: peer.serve(2)) as daemon, connect(daemon.address) as client:
            client.call("t")
            self.assertEqual(client.call("t", idempotent=True), 2)
        with FakeDaemon(breaks, lambda peer: peer.serve([])) as daemon, connect(daemon.address) as client:
            client.call("t")
            self.assertEqual(client.workers(), [])
        with FakeDaemon(breaks) as daemon, connect(daemon.address) as client:
            client.call("t")
            with self.assertRaisesRegex(Unavailable, "whether it has done what was asked is not known"):
                client.call("t")

    def test_a_new_one_that_breaks_is_not_tried_again(self, connect):
        def breaks(peer):
            peer.request()

        # That of `connect` may have been idle for long; the one in its place is new.
        with FakeDaemon(breaks, breaks) as daemon, connect(daemon.address) as client:
            with self.assertRaisesRegex(Unavailable, f"the daemon at {daemon.address}: it went away before it had answered"):
                client.call("t", idempotent=True)

    def test_half_an_answer_is_none_and_is_not_asked_for_again(self, connect):
        def script(peer):
            peer.serve(1)
            peer.request()
            peer.send(answer({"a": 1})[:-3])

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            client.call("t")
            with self.assertRaisesRegex(Unavailable, "it went away in the middle of its answer"):
                client.call("t", idempotent=True)

    def test_somebody_else_there_is_told_from_a_daemon(self, connect):
        def imposter(peer):
            peer.request()
            peer.send(b"SSH-2.0-OpenSSH\r\n")
            silent(peer)

        with FakeDaemon(imposter) as daemon, connect(daemon.address) as client:
            with self.assertRaisesRegex(Unavailable, "it answers b'SSH-2.0.*', which is not HTTP/1.1$"):
                client.status()

    def test_what_an_early_answer_says_is_heard(self, connect):
        """A daemon that wants none of a large body answers before it has read it, and hangs up."""

        def script(peer):
            while b"\r\n\r\n" not in peer.socket.recv(1 << 16, socket.MSG_PEEK):
                pass
            peer.send(answer(error("limit", "too large"), "413 Payload Too Large", "connection: close\r\n"))
            peer.socket.shutdown(socket.SHUT_WR)
            while peer.socket.recv(1 << 20):
                pass

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            with self.assertRaisesRegex(Error, "too large"):
                client.call("t", text="x" * (8 << 20))

    def test_a_closed_client_asks_nothing(self, connect):
        with FakeDaemon(silent) as daemon, connect(daemon.address) as client:
            stream = client.stream("t")
            client.pool("other").close()
            client.close()
            for ask in (lambda: client.call("t"), client.status, lambda: next(stream), lambda: list(client.map("t", [{}], concurrency=1))):
                with self.assertRaisesRegex(ValueError, "^the client is closed: whoever wants to ask more connects again$"):
                    ask()
            client.close()

    def test_a_daemon_that_says_nothing_is_given_up(self, connect):
        def script(peer):
            peer.request()
            silent(peer)

        grace, hatchery.client.requests.GRACE = hatchery.client.requests.GRACE, 0.01
        try:
            with FakeDaemon(script) as daemon, connect(daemon.address) as client:
                with self.assertRaisesRegex(DeadlineExceeded, f"the daemon at {daemon.address} does not answer within 0.06 s"):
                    client.call("t", timeout=0.05)
        finally:
            hatchery.client.requests.GRACE = grace


def certificate(folder):
    """A certificate of localhost that vouches for itself, with its key, in one file."""
    path = os.path.join(folder, "both.pem")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", path, "-out", os.path.join(folder, "certificate.pem")]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    with open(path, "a") as both, open(os.path.join(folder, "certificate.pem")) as public:
        both.write(public.read())
    return path


@unittest.skipIf(shutil.which("openssl") is None, "there is no openssl to make a certificate with")
class Security(BothClients, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.file = certificate(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def server(self, asks=False):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.file)
        context.load_cert_chain(self.file)
        context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        return context

    def test_tls_is_spoken_and_both_show_who_they_are(self, connect):
        def script(peer):
            self.assertTrue(peer.socket.getpeercert())
            for n in range(3):
                peer.serve(n)
            peer.request()
            peer.send(events(event("chunk", 1), event("end", {})))

        with FakeDaemon(script, security=self.server(asks=True)) as daemon:
            with connect(daemon.address, ca=self.file, cert=self.file, token="secret") as client:
                self.assertEqual([client.call("t") for _ in range(3)], [0, 1, 2])
                self.assertEqual(list(client.stream("t")), [1])

    def test_a_daemon_that_nobody_vouches_for_is_told_nothing(self, connect):
        trusted = []
        # The daemon learns of it, too: leaving raises what its handshake has come to.
        with self.assertRaises(OSError), FakeDaemon(trusted.append, security=self.server()) as daemon:
            with self.assertRaisesRegex(Unavailable, f"^the daemon at {daemon.address} is not trusted: self.signed certificate; ca=") as caught:
                connect(daemon.address)
        self.assertEqual((trusted, caught.exception.retryable), ([], False))

    def test_a_daemon_by_a_name_that_its_certificate_has_not_is_told_nothing(self, connect):
        trusted = []
        with self.assertRaises(OSError), FakeDaemon(trusted.append, security=self.server()) as daemon:
            address = daemon.address.replace("localhost", "127.0.0.1")
            with self.assertRaisesRegex(Unavailable, f"^the daemon at {address} is not trusted: IP address mismatch.*; ca="):
                connect(address, ca=self.file)
        self.assertEqual(trusted, [])

    def test_a_daemon_without_tls_is_told_nothing(self, connect):
        def script(peer):
            self.assertNotIn(b"secret", peer.socket.recv(1 << 16))
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with FakeDaemon(script) as daemon:
            address = daemon.address.replace("http", "https")
            with self.assertRaisesRegex(Unavailable, f"^the daemon at {address} does not speak TLS with us: .*; http:// is for") as caught:
                connect(address, token="secret")
            self.assertFalse(caught.exception.retryable)

    def test_what_was_to_be_tls_is_not_tried_without(self, connect):
        with FakeDaemon() as daemon:
            for files in ({"ca": self.file}, {"cert": self.file}):
                with self.assertRaisesRegex(ValidationError, f"which is not spoken with {daemon.address}: say https://"):
                    connect(daemon.address, token="secret", **files)

    def test_files_that_are_none_are_named(self, connect):
        for name, wrong in (("ca", "/no/such/file"), ("ca", __file__), ("ca", 3), ("cert", "/no/such/file"), ("cert", (self.file, __file__)), ("cert", 3)):
            with self.assertRaises(ValidationError) as caught:
                connect("https://localhost:1", **{name: wrong})
            self.assertRegex(caught.exception.message, "^read the certificates of the client: [^:]+: .")
            self.assertIn(f"{name}={wrong!r}: ", caught.exception.message)
        for token in ("a b", "a\n", "é", b"a", 3):
            with self.assertRaisesRegex(ValidationError, "^token: expected what `hatchery token new` has printed"):
                connect("http://localhost:1", token=token)


class Surface(unittest.TestCase):
    def test_workers_do_not_import_it(self):
        code = "import sys, hatchery, hatchery.worker; print([name for name in sys.modules if name.startswith(('hatchery.client', 'asyncio', 'ssl', 'http'))])"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
        self.assertEqual((out.stdout, out.stderr), ("[]\n", ""))

    def test_the_package_offers_it(self):
        self.assertIs(hatchery.connect, hatchery.client.connect)
        self.assertIs(hatchery.connect_async, hatchery.client.connect_async)
        self.assertEqual([name for name in hatchery.client.__all__ if not hasattr(hatchery.client, name)], [])
        with self.assertRaises(AttributeError):
            hatchery.conect


class Threads(unittest.TestCase):
    def test_they_share_a_client(self):
        def script(peer):
            try:
                while True:
                    peer.answer(peer.request().json["n"])
            except (EOFError, ConnectionError):
                pass

        with FakeDaemon(*[script] * 8) as daemon, hatchery.connect(daemon.address) as client:
            begin, wrong = threading.Barrier(8), []

            def call(number):
                held = client._connections.take(True)[0] if number else None  # One connection each, so that all eight come.
                begin.wait(PATIENCE)
                if held:
                    client._connections.give_back(held)
                wrong.extend(n for n in range(number, 800, 8) if client.call("echo", n=n) != n)

            threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])

    def test_a_stream_can_be_closed_by_another_thread(self):
        waits = threading.Event()

        def script(peer):
            peer.request()
            waits.set()
            silent(peer)

        with FakeDaemon(script) as daemon, hatchery.connect(daemon.address) as client:
            stream = client.stream("t")
            closer = threading.Thread(target=lambda: (waits.wait(PATIENCE), stream.close()))
            closer.start()
            self.assertRaises(Cancelled, next, stream)
            closer.join()

    def test_a_connection_that_was_idle_for_long_is_not_trusted(self):
        idle, connections.IDLE = connections.IDLE, -1
        try:
            with FakeDaemon(silent, lambda peer: peer.serve(1)) as daemon, hatchery.connect(daemon.address) as client:
                self.assertEqual(client.call("t"), 1)
        finally:
            connections.IDLE = idle

    def test_a_child_has_connections_of_its_own(self):
        def parents(peer):
            self.assertEqual([peer.serve(1).json, peer.serve(3).json], [{"of": "parent"}] * 2)
            silent(peer)

        with FakeDaemon(parents, lambda peer: peer.serve(2)) as daemon, hatchery.connect(daemon.address) as client:
            self.assertEqual(client.call("t", of="parent"), 1)
            child = forked()
            if not child:
                os._exit(client.call("t", of="child"))
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 2)
            self.assertEqual(client.call("t", of="parent"), 3)

    def test_a_stream_stays_with_the_parent(self):
        """What the child does with it, and its end, is not heard by the daemon."""
        over = threading.Event()

        def script(peer):
            peer.request()
            whole = events(event("chunk", 1), event("chunk", 2), event("end", {}))
            half = whole.index(b"data: 2")
            peer.send(whole[:half])
            over.wait(PATIENCE)
            peer.send(whole[half:])

        with FakeDaemon(script) as daemon, hatchery.connect(daemon.address) as client:
            stream = client.stream("t")
            self.assertEqual(next(stream), 1)
            refusal = "what this process has inherited in a fork goes on in its parent: ask anew"
            for use in (lambda: stream.close() or 0, lambda: said_by(lambda: next(stream), refusal)):
                child = forked()
                if not child:
                    os._exit(use())
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            over.set()
            self.assertEqual(list(stream), [2])

    def test_an_interrupt_hangs_up_and_the_client_goes_on(self):
        """Control-C while it waits: for an answer, for an item, for one of many."""
        # Python leaves it ignored if whoever began the tests had it so, as a shell does to what it runs in the background.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        main = threading.main_thread().ident

        def hangs(peer):
            seen = peer.request()
            if "/stream/" in seen.target:
                peer.send(events(event("chunk", 1))[:-5])
            signal.pthread_kill(main, signal.SIGINT)
            silent(peer)

        for ask in (lambda it: it.call("t"), lambda it: list(it.stream("t")), lambda it: list(it.map("t", [{}] * 2, concurrency=1))):
            with FakeDaemon(hangs, lambda peer: (peer.serve(2), silent(peer))) as daemon, hatchery.connect(daemon.address) as client:
                self.assertRaises(KeyboardInterrupt, ask, client)
                self.assertEqual(client.call("t"), 2)

    def test_a_dropped_stream_hangs_up(self):
        def script(peer):
            peer.request()
            peer.send(events(event("chunk", 1))[:-5])
            silent(peer)

        with FakeDaemon(script) as daemon, hatchery.connect(daemon.address) as client:
            for item in client.stream("t"):
                break


def forked():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of a fork beside threads: the daemon's.
        return os.fork()


def said_by(ask, text):
    """The status of a process that says so: 1 if asking does not fail with these words."""
    try:
        ask()
    except ValueError as error:
        return int(text not in str(error))
    return 1


class Tasks(unittest.TestCase):
    def run_with(self, work, *scripts):
        async def main(address):
            async with hatchery.connect_async(address) as client:
                await asyncio.wait_for(work(client), PATIENCE)

        with FakeDaemon(*scripts) as daemon:
            asyncio.run(main(daemon.address))

    def test_a_cancelled_one_hangs_up(self):
        begun = threading.Event()

        def script(peer):
            peer.request()
            begun.set()
            silent(peer)

        async def work(client):
            task = asyncio.ensure_future(client.call("t"))
            await asyncio.get_running_loop().run_in_executor(None, begun.wait, PATIENCE)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        self.run_with(work, script)

    def test_many_calls_at_once_have_a_connection_each(self):
        together = threading.Barrier(10)

        def script(peer):
            seen = peer.request()
            together.wait(PATIENCE)
            peer.answer(seen.json["n"])
            silent(peer)

        async def work(client):
            self.assertEqual(await asyncio.gather(*(client.call("t", n=n) for n in range(10))), list(range(10)))

        self.run_with(work, *[script] * 10)

    def test_a_tool_is_awaited_or_iterated_before_anybody_has_asked_which(self):
        def script(peer):
            self.assertEqual(peer.serve(1).target, "/v1/pools/default/call/once")
            self.assertEqual(peer.request().target, "/v1/pools/default/stream/often")
            peer.send(events(event("chunk", 1), event("chunk", 2), event("end", {})))

        async def work(client):
            self.assertEqual(await client.tools.once(n=1), 1)
            self.assertEqual([n async for n in client.tools.often(n=1)], [1, 2])
            with self.assertRaisesRegex(TypeError, "keywords only, until `tool_list`"):
                client.tools.once(1)

        self.run_with(work, script)

    def test_a_child_has_connections_of_its_own(self):
        """It has a loop of its own, too; and what the parent's waits for is not taken from it."""

        def parents(peer):
            self.assertEqual([peer.serve(1).json, peer.serve(3).json], [{"of": "parent"}] * 2)
            silent(peer)

        with FakeDaemon(parents, lambda peer: peer.serve(2)) as daemon:
            loop = asyncio.new_event_loop()
            client = loop.run_until_complete(_await(hatchery.connect_async(daemon.address)))
            self.assertEqual(loop.run_until_complete(client.call("t", of="parent")), 1)
            child = forked()
            if not child:
                os._exit(asyncio.run(client.call("t", of="child")))
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 2)
            self.assertEqual(loop.run_until_complete(asyncio.wait_for(client.call("t", of="parent"), PATIENCE)), 3)
            client.close()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    def test_nobody_asks_before_it_is_connected(self):
        with self.assertRaisesRegex(AttributeError, "^call: there is no client yet: `client = await connect_async"):
            hatchery.connect_async("http://localhost:1").call

    def test_a_client_follows_to_another_loop(self):
        with FakeDaemon(silent, lambda peer: (peer.serve(2), silent(peer))) as daemon:
            client = asyncio.run(_await(hatchery.connect_async(daemon.address)))
            self.assertEqual(asyncio.run(_await(client.call("t"))), 2)
            asyncio.run(_await(client.aclose()))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # Who leaves connections behind in a loop is told so.
                del client
                gc.collect()


async def _await(awaitable):
    return await awaitable


if __name__ == "__main__":
    unittest.main()
