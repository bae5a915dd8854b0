"""Both clients against a daemon that does exactly what a test has it do: what they ask, and what they make of the answer."""

import os
import random
import threading
import unittest
from unittest import mock

from hatchery.client import NotFound, RemoteError, Saturated, Unavailable, ValidationError

from .fake_daemon import PATIENCE, BothClients, FakeDaemon, answer, chunk, error, event, events, silent

TOOLS = [
    {"name": "word_count", "doc": "Count words.", "streaming": False,
     "parameters": [{"name": "text", "type": "str", "required": True, "default": None}]},
    {"name": "countdown", "doc": "", "streaming": True, "parameters": [{"name": "n", "type": "int", "required": False, "default": 3}]},
]  # fmt: skip


class Calls(BothClients, unittest.TestCase):
    def test_a_call_is_a_request_with_its_options(self, connect):
        seen = []
        with FakeDaemon(lambda peer: seen.append(peer.serve({"a": 2}))) as daemon:
            with connect(daemon.address, pool="a pool", timeout="5m", token="secret") as client:
                result = client.call("word_count", {"text": "a a"}, session="user-7", idempotent=True)
        request = seen[0]
        self.assertEqual(result, {"a": 2})
        self.assertEqual((request.method, request.target), ("POST", "/v1/pools/a%20pool/call/word_count"))
        self.assertEqual(request.json, {"text": "a a"})
        expected = {"x-hatchery-timeout": "5m", "x-hatchery-session": "user-7", "x-hatchery-idempotent": "true", "authorization": "Bearer secret",
                    "content-type": "application/json", "host": daemon.address[7:]}  # fmt: skip
        self.assertEqual({name: request.headers.get(name) for name in expected}, expected)

    def test_arguments_are_keywords_or_a_dict_or_both(self, connect):
        seen = []

        def script(peer):
            seen.extend(peer.serve(None).json for _ in range(4))

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            client.call("tool", a=1, tool="x", arguments=2)
            client.call("tool", {"timeout": 1, "session": 2})
            client.call("tool", {"timeout": 1}, a=1)
            client.call("tool")
            with self.assertRaisesRegex(TypeError, "'a' is given twice"):
                client.call("tool", {"a": 1}, a=2)
        self.assertEqual(seen, [{"a": 1, "tool": "x", "arguments": 2}, {"timeout": 1, "session": 2}, {"timeout": 1, "a": 1}, {}])

    def test_one_connection_is_used_again_and_again(self, connect):
        def script(peer):
            for n in range(20):
                peer.serve(n)
            silent(peer)

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            self.assertEqual([client.call("count") for _ in range(20)], list(range(20)))

    def test_an_answer_may_be_cut_anywhere(self, connect):
        chance = random.Random(5)

        def script(peer):
            for _ in range(30):
                peer.request()
                whole = chance.choice((answer({"é": [1, 2]}), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk('{"é":'.encode())
                                       + chunk(b" [1,2]}") + b"0\r\n\r\n"))  # fmt: skip
                while whole:
                    length = chance.randint(1, 20)
                    peer.send(whole[:length])
                    whole = whole[length:]

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            for _ in range(30):
                self.assertEqual(client.call("echo"), {"é": [1, 2]})

    def test_other_answers_than_json(self, connect):
        def script(peer):
            peer.request()
            peer.send(answer(b"\x00\xff").replace(b"application/json", b"Application/Octet-Stream; x=y"))
            peer.request()
            peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            peer.serve({"$bytes": "eA=="})

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            self.assertEqual([client.call("t") for _ in range(3)], [b"\x00\xff", None, b"x"])

    def test_a_failure_is_an_exception_of_its_kind(self, connect):
        def script(peer):
            peer.serve(error("not_found", "no such tool"), "404 Not Found")
            peer.serve(error("remote", "no", python_type="ValueError", traceback="T"), "422 Unprocessable Entity")
            peer.serve(error("saturated", "full"), "429 Too Many Requests")
            peer.serve(b"<html>", "502 Bad Gateway")
            peer.serve(1)

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            for kind in (NotFound, RemoteError, Saturated):
                with self.assertRaises(kind):
                    client.call("t")
            with self.assertRaisesRegex(Unavailable, f"the daemon at {daemon.address}: it answers 502 Bad Gateway, not as a daemon does"):
                client.call("t")
            self.assertEqual(client.call("t"), 1)

    def test_what_is_wrong_with_a_call_is_told_before_it_is_sent(self, connect):
        with FakeDaemon(silent) as daemon, connect(daemon.address) as client:
            for call in (lambda: client.call("t", timeout=-1), lambda: client.call("t", x=object()), lambda: client.call("t", session="a\nb"),
                         lambda: client.with_options(timeout="soon")):  # fmt: skip
                self.assertRaises(ValidationError, call)

    def test_names_are_texts(self, connect):
        with FakeDaemon(silent) as daemon, connect(daemon.address) as client:
            for wrong in (3, None, b"t", "", "\ud800"):
                asked = (lambda: client.call(wrong), lambda: client.stream(wrong), lambda: client.pool(wrong), lambda: client.worker(wrong),
                         lambda: client.orders.recycle(wrong), lambda: client.session("s").metadata.get(wrong))  # fmt: skip
                for ask in asked:
                    with self.assertRaisesRegex(ValidationError, "^expected the name of a tool, a pool, .* found "):
                        ask()
            for wrong in ([1], "text", 3):
                for ask in (lambda: client.call("t", wrong), lambda: client.call("t", wrong, a=1), lambda: list(client.map("t", [wrong], concurrency=1))):
                    with self.assertRaisesRegex(ValidationError, "^arguments: expected a dict of arguments by name, found a "):
                        ask()
        for wrong in (3, b"http://localhost:1"):
            with self.assertRaisesRegex(ValidationError, "^expected the address of a daemon, like http://.*, found "):
                connect(wrong)

    def test_a_socket_in_the_file_system(self, connect):
        seen = []
        with FakeDaemon(lambda peer: seen.append(peer.serve(1)), path=True) as daemon, connect(daemon.address) as client:
            self.assertEqual(client.call("t"), 1)
        self.assertEqual(seen[0].headers["host"], "localhost")

    def test_the_token_of_the_environment_is_not_shown_to_a_socket(self, connect):
        with mock.patch.dict(os.environ, HATCHERY_TOKEN="for_another"):
            for path, token, shown in ((True, None, None), (True, "ours", "Bearer ours"), (False, None, "Bearer for_another")):
                seen = []
                with FakeDaemon(lambda peer: seen.append(peer.serve(1)), path=path) as daemon:
                    with connect(daemon.address, token=token) as client:
                        client.call("t")
                self.assertEqual(seen[0].headers.get("authorization"), shown)


class Streams(BothClients, unittest.TestCase):
    def test_chunks_are_items_and_the_connection_is_used_again(self, connect):
        def script(peer):
            for _ in range(2):
                peer.request()
                peer.send(events(event("chunk", 2) + event("chunk", {"$bytes": "eA=="}), b": comment\n\n", event("end", {})))
            peer.serve("last")

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            for _ in range(2):
                stream = client.stream("t", n=2)
                self.assertEqual(list(stream), [2, b"x"])
                self.assertEqual(list(stream), [])
            self.assertEqual(client.call("t"), "last")

    def test_an_item_is_there_before_the_next_is_made(self, connect):
        taken = threading.Event()

        def script(peer):
            peer.request()
            whole = events(event("chunk", 1), event("chunk", 2), event("end", {}))
            half = whole.index(b'data: 2')
            peer.send(whole[:half])
            taken.wait(PATIENCE)
            peer.send(whole[half:])

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            stream = client.stream("t")
            self.assertEqual(next(stream), 1)
            taken.set()
            self.assertEqual(list(stream), [2])

    def test_it_fails_by_status_or_after_its_chunks(self, connect):
        def script(peer):
            peer.serve(error("not_found", "no such tool"), "404 Not Found")
            peer.request()
            peer.send(events(event("chunk", 1), event("error", error("remote", "midway", python_type="E"))))
            silent(peer)

        with FakeDaemon(script, lambda peer: peer.serve(1)) as daemon, connect(daemon.address) as client:
            with self.assertRaises(NotFound):
                next(client.stream("t"))
            stream = client.stream("t")
            self.assertEqual(next(stream), 1)
            with self.assertRaisesRegex(RemoteError, "midway"):
                next(stream)
            self.assertRaises(StopIteration, next, stream)
            client.call("t")

    def test_one_that_ends_before_its_end_has_failed(self, connect):
        def cut(peer):
            peer.request()
            peer.send(events(event("chunk", 1))[:-5])

        def short(peer):
            peer.request()
            peer.send(events(event("chunk", 1)))

        for script, said in ((cut, "in the middle of its answer"), (short, "it ended the stream before its end")):
            with FakeDaemon(script) as daemon, connect(daemon.address) as client:
                stream = client.stream("t")
                self.assertEqual(next(stream), 1)
                with self.assertRaisesRegex(Unavailable, said):
                    next(stream)

    def test_closing_it_hangs_up(self, connect):
        def script(peer):
            peer.request()
            peer.send(events(event("chunk", 1))[:-5])
            silent(peer)

        for close in (lambda stream: stream.close(), lambda stream: stream.__exit__(None, None, None)):
            with FakeDaemon(script) as daemon, connect(daemon.address) as client:
                stream = client.stream("t")
                next(stream)
                close(stream)
                self.assertRaises(StopIteration, next, stream)

    def test_nothing_is_asked_before_the_first_item(self, connect):
        with FakeDaemon(lambda peer: self.assertEqual(peer.serve(1).target, "/v1/pools/default/call/t")) as daemon:
            with connect(daemon.address) as client:
                client.stream("t").close()
                client.call("t")

    def test_a_feed_listens_from_its_with_on_and_may_end(self, connect):
        heard = threading.Event()

        def script(peer):
            peer.request()
            whole = events(b": listening\n\n", event("pool.scaled", {"to": 2}))
            head = whole.index(b"\r\n\r\n") + 4
            peer.send(whole[:head])
            heard.wait(PATIENCE)
            peer.send(whole[head:])

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            with client.events() as feed:
                heard.set()  # Nobody has asked for an event yet.
                self.assertEqual(list(feed), [{"name": "pool.scaled", "to": 2}])

    def test_events_are_dicts_with_their_names(self, connect):
        seen = []

        def script(peer):
            seen.append(peer.request())
            peer.send(events(event("worker.ready", {"worker": "default-1"}, id="1"), event("lagged", {"count": 3})))
            silent(peer)

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            with client.events(["worker.*", "pool.*"], pool="a") as feed:
                self.assertEqual([next(feed), next(feed)], [{"name": "worker.ready", "worker": "default-1"}, {"name": "lagged", "count": 3}])
        self.assertEqual(seen[0].target, "/v1/events?kind=worker.%2A%2Cpool.%2A&pool=a")


class Questions(BothClients, unittest.TestCase):
    def test_each_has_its_path(self, connect):
        questions = (
            (lambda c: c.status(), "GET /v1/status"),
            (lambda c: c.pools(), "GET /v1/pools"),
            (lambda c: c.workers(), "GET /v1/workers"),
            (lambda c: c.worker("default-1"), "GET /v1/workers/default-1"),
            (lambda c: c.stats(), "GET /v1/stats"),
            (lambda c: c.pool("a").tool_list(), "GET /v1/pools/a/tools"),
            (lambda c: c.event_catalogue(), "GET /v1/events/catalogue"),
            (lambda c: c.taints(), "GET /v1/taints"),
            (lambda c: c.breakers(), "GET /v1/breakers"),
            (lambda c: c.orphans(), "GET /v1/orphans"),
            (lambda c: c.sessions(limit=5, after="a"), "GET /v1/sessions?limit=5&after=a"),
            (lambda c: c.create_session("s", ttl=60, metadata={"k": 1}), 'POST /v1/sessions {"id":"s","ttl":"60000ms","metadata":{"k":1}}'),
            (lambda c: c.session("s").describe(), "GET /v1/sessions/s"),
            (lambda c: c.session("s").delete(), "DELETE /v1/sessions/s"),
            (lambda c: c.session("s").metadata.delete("k"), "DELETE /v1/sessions/s/metadata/k"),
            (lambda c: c.session("s").metadata.put("a/b", None), "PUT /v1/sessions/s/metadata/a%2Fb null"),
            (lambda c: c.session("s").programs.get("p"), "GET /v1/sessions/s/programs/p"),
            (lambda c: c.session("s").programs.delete("p"), "DELETE /v1/sessions/s/programs/p"),
            (lambda c: c.host_tools.list(), "GET /v1/host-tools"),
            (lambda c: c.session("a b").host_tools.list(), "GET /v1/host-tools?session=a+b"),
            (lambda c: c.session("s").host_tools.get("a/b"), "GET /v1/host-tools/a%2Fb?session=s"),
            (lambda c: c.host_tools.call("t", {"timeout": 1}, b=2), 'POST /v1/host-tools/t/call {"timeout":1,"b":2}'),
            (lambda c: c.session("s").host_tools.unregister("t"), "DELETE /v1/host-tools/t?session=s"),
            (lambda c: c.orders.scale(3), 'POST /v1/pools/default/scale {"workers":3}'),
            (lambda c: c.pool("a").orders.drain("5s"), 'POST /v1/pools/a/drain {"wait":"5s"}'),
            (lambda c: c.orders.resume(), "POST /v1/pools/default/resume {}"),
            (lambda c: c.orders.reload_pool(), "POST /v1/pools/default/reload {}"),
            (lambda c: c.orders.reset_breakers("t"), 'POST /v1/pools/default/breakers/reset {"tool":"t"}'),
            (lambda c: c.orders.recycle("w-1"), "POST /v1/workers/w-1/recycle {}"),
            (lambda c: c.orders.restart("w-1"), "POST /v1/workers/w-1/restart {}"),
            (lambda c: c.orders.stop_worker("w-1"), "POST /v1/workers/w-1/stop {}"),
            (lambda c: c.orders.reload(), "POST /v1/reload {}"),
            (lambda c: c.orders.stop(), "POST /v1/stop {}"),
            (lambda c: c.orders.prune_sessions(), "POST /v1/sessions/prune {}"),
            (lambda c: c.orders.clear_taints(), "DELETE /v1/taints"),
            (lambda c: c.orders.clear_taints("w-1"), "DELETE /v1/taints/w-1"),
            (lambda c: c.orders.kill_orphans(), "POST /v1/orphans/kill {}"),
        )  # fmt: skip
        seen = []

        def script(peer):
            seen.extend(peer.serve(n) for n in range(len(questions)))

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            self.assertEqual([ask(client) for ask, _ in questions], list(range(len(questions))))
        asked = [f"{request.method} {request.target} {request.body.decode()}".rstrip() for request in seen]
        self.assertEqual(asked, [expected for _, expected in questions])

    def test_a_host_tool_is_called_with_the_options_of_the_client(self, connect):
        def script(peer):
            seen = peer.serve({"a": 1})
            said = {name: seen.headers.get(f"x-hatchery-{name}") for name in ("session", "timeout", "correlation-id")}
            self.assertEqual(said, {"session": "s", "timeout": "5000ms", "correlation-id": "c"})

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            self.assertEqual(client.session("s").host_tools.call("t", timeout=5, correlation_id="c"), {"a": 1})

    def test_tools_are_functions(self, connect):
        def script(peer):
            self.assertEqual(peer.serve(TOOLS).target, "/v1/pools/default/tools")
            self.assertEqual(peer.serve(1).json, {"text": "a", "timeout": 3})
            self.assertEqual(peer.request().target, "/v1/pools/default/stream/countdown")
            peer.send(events(event("chunk", 1), event("end", {})))
            seen = peer.serve(2)
            self.assertEqual((seen.headers["x-hatchery-session"], seen.headers["x-hatchery-timeout"]), ("user-7", "5000ms"))
            peer.serve(TOOLS)

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            client.tool_list()
            tool = client.tools.word_count
            self.assertEqual((tool.__doc__, str(tool.__signature__)), ("Count words.", "(text: 'str')"))
            self.assertEqual(tool("a", timeout=3), 1)
            self.assertEqual(list(client.tools.countdown()), [1])
            self.assertEqual(client.with_options(timeout=5).session("user-7").tools.word_count(text=""), 2)
            with self.assertRaises(AttributeError):
                client.tools._repr_html_
            if connect.__name__ == "waiting":
                self.assertIn("countdown", dir(client.tools))
                with self.assertRaisesRegex(AttributeError, "no such tool: word_cuont .did you mean `word_count`"):
                    client.tools.word_cuont
            else:
                client.tool_list()


class Maps(BothClients, unittest.TestCase):
    def test_results_come_in_the_order_of_the_input(self, connect):
        turns = {n: threading.Event() for n in range(4)}

        def script(peer):
            # Each waits for the next, so that they end in the opposite order.
            n = peer.request().json["n"]
            if n < 3:
                turns[n + 1].wait(PATIENCE)
            turns[n].set()
            peer.answer(n)
            silent(peer)

        with FakeDaemon(*[script] * 4) as daemon, connect(daemon.address) as client:
            self.assertEqual(list(client.map("t", ({"n": n} for n in range(4)), concurrency=4)), [0, 1, 2, 3])

    def test_it_takes_as_many_at_once_as_there_are_workers(self, connect):
        def script(peer):
            peer.serve({"pools": [{"pool": "other", "workers": 9}, {"pool": "default", "workers": 1}]})
            for n in range(5):
                self.assertEqual(peer.serve(n).json, {"n": n})

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            self.assertEqual(list(client.map("t", [{"n": n} for n in range(5)])), list(range(5)))

    def test_a_failure_ends_it_or_stands_among_the_results(self, connect):
        def script(peer):
            for n in range(3):
                peer.serve(*((n,) if n != 1 else (error("remote", "no"), "422 Unprocessable Entity")))

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            found = list(client.map("t", [{}] * 3, concurrency=1, return_exceptions=True))
            self.assertEqual((found[0], str(found[1]), found[2]), (0, "no", 2))

        def fails(peer):
            peer.serve(error("remote", "no"), "422 Unprocessable Entity")
            peer.is_gone()

        def begun(peer):
            peer.request()
            hangs.set()
            silent(peer)

        hangs = threading.Event()
        with FakeDaemon(lambda peer: (hangs.wait(PATIENCE), fails(peer)), begun) as daemon, connect(daemon.address) as client:
            results = client.map("t", [{}] * 2, concurrency=2)
            with self.assertRaisesRegex(RemoteError, "no"):
                list(results)

    def test_input_is_read_as_results_are_taken(self, connect):
        read = []

        def script(peer):
            try:
                while True:
                    peer.serve(0)
            except (EOFError, ConnectionError):
                pass

        with FakeDaemon(script) as daemon, connect(daemon.address) as client:
            results = client.map("t", ({"n": read.append(n)} for n in range(1000)), concurrency=1)
            self.assertEqual([next(results) for _ in range(10)], [0] * 10)
            self.assertLessEqual(len(read), 12)
            results.close()


if __name__ == "__main__":
    unittest.main()
