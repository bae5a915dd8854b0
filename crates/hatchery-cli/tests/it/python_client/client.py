"""What a program does with the Python client, against a real daemon: `python3 client.py SCENARIO`."""

import asyncio
import os
import signal
import sys
import threading
import time

import hatchery
from hatchery.client import DeadlineExceeded, Error, NotFound, RemoteError, Unavailable, ValidationError, WorkerDied

PATIENCE = 60  # Only ever waited out by a test that fails.


def calls():
    with hatchery.connect() as client:
        assert client.call("word_count", text="a b a") == {"a": 2, "b": 1}
        assert client.tools.word_count("a b a") == {"a": 2, "b": 1}
        assert client.tools.word_count.__doc__ == "Count words." and "text: 'str'" in str(client.tools.word_count.__signature__)
        assert list(client.stream("countdown", n=3)) == [3, 2, 1] == list(client.tools.countdown(3))
        large = os.urandom(3 << 20)
        for value in (10**40, "é", b"bytes", large, {"nested": [b"", large]}, None, 1.5):
            assert client.call("echo", value=value) == value
        squares = client.map("echo", ({"value": n} for n in range(50)), concurrency=4)
        assert list(squares) == list(range(50))
        assert client.session("user-7").call("echo", value=1) == 1


def calls_in_a_loop():
    async def main():
        async with hatchery.connect_async() as client:
            assert await client.call("word_count", text="a b a") == {"a": 2, "b": 1}
            assert await client.tools.word_count(text="a") == {"a": 1}
            assert [n async for n in client.tools.countdown(n=3)] == [3, 2, 1]
            large = os.urandom(3 << 20)
            assert await client.call("echo", value={"a": large}) == {"a": large}
            assert await client.call("echo", value=large) == large
            assert await asyncio.gather(*(client.call("echo", value=n) for n in range(50))) == list(range(50))
            assert [n async for n in client.map("echo", ({"value": n} for n in range(50)))] == list(range(50))

    asyncio.run(main())


def failures():
    with hatchery.connect() as client:
        error = raised(RemoteError, lambda: client.call("fail", message="no"))
        assert (error.message, error.python_type, error.retryable) == ("no", "IndexError", False)
        assert "in fail" in error.traceback and "in fail" in str(error.__cause__)
        assert "did you mean `word_count`" in raised(NotFound, lambda: client.call("word_cuont")).message
        assert "`text`" in raised(ValidationError, lambda: client.call("word_count", text=3)).message
        assert raised(NotFound, lambda: client.pool("other").call("echo")).kind == "not_found"
        raised(DeadlineExceeded, lambda: client.call("until_cancelled", mark="late", told="told-late", timeout=0.2))
        error = raised(RemoteError, lambda: list(client.stream("countdown_that_fails", n=1)))
        assert error.message == "no further"
        assert raised(WorkerDied, lambda: client.call("leave", status=3)).last_output == ["I am leaving"]
        found = list(client.map("fail", [{"message": "a"}, {"message": "b"}], return_exceptions=True))
        assert [error.message for error in found] == ["a", "b"]
        raised(ValidationError, lambda: client.call("echo", value=object()))


def raised(kind, work):
    try:
        found = work()
    except kind as error:
        return error
    raise AssertionError(f"{found!r}, and no {kind.__name__}")


def cancels():
    """Whoever gives a call up has cancelled it: a stream that is closed, a task that is cancelled, a map that is left."""
    with hatchery.connect() as client:
        with client.stream("silent_after_one", mark="silent") as stream:
            assert next(stream) == 1
            appears("silent")
        becomes(lambda: client.workers()[0]["state"], "idle")
        results = client.map("until_cancelled", [{"mark": "mapped", "told": "told-mapped"}], concurrency=1)
        threading.Thread(target=lambda: (appears("mapped"), results.close())).start()
        raised(Error, lambda: next(results))
        appears("told-mapped")

    async def main():
        async with hatchery.connect_async() as client:
            task = asyncio.ensure_future(client.call("until_cancelled", mark="task", told="told-task"))
            await asyncio.get_running_loop().run_in_executor(None, appears, "task")
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await asyncio.get_running_loop().run_in_executor(None, appears, "told-task")
            assert await client.call("echo", value=1) == 1

    asyncio.run(main())


def interrupted():
    """Control-C ends what is waited for, in the daemon too, and the client can go on."""
    # Python leaves it ignored if whoever began the tests had it so, as a shell does to what it runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with hatchery.connect() as client:
        waits = (
            ("call", lambda: client.call("until_cancelled", mark="call", told="told-call")),
            ("map", lambda: list(client.map("until_cancelled", [{"mark": "map", "told": "told-map"}], concurrency=1))),
            ("stream", lambda: list(client.stream("silent_after_one", mark="stream"))),
        )
        for mark, wait in waits:
            other = threading.Thread(target=lambda: (appears(mark), signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)))
            other.start()
            raised(KeyboardInterrupt, wait)
            other.join()
            becomes(lambda: client.workers()[0]["state"], "idle")
            assert client.call("echo", value=mark) == mark
        assert os.path.exists("told-call") and os.path.exists("told-map")


def looks():
    with hatchery.connect() as client:
        status = client.status()
        assert status["phase"] == "serving" and status["pools"][0]["pool"] == "default"
        assert [worker["id"] for worker in client.workers()] == ["default-1"]
        assert client.worker("default-1")["pool"] == "default"
        assert client.pools()[0]["pool"] == "default"
        assert {"word_count", "countdown"} <= set(client.tools) and client.stats() and client.event_catalogue()
        assert (client.taints(), client.breakers()) == ([], [])
        assert client.orphans()["found"] == 0


def orders():
    with hatchery.connect() as client:
        with client.events("pool.*,worker.*") as feed:
            assert client.orders.scale(2)["to"] == 2
            assert any(event["name"].startswith(("pool.", "worker.")) for event in (next(feed),))
        becomes(lambda: sorted(worker["state"] for worker in client.workers()), ["idle", "idle"])
        assert client.orders.recycle("default-1")["worker"] == "default-1"
        assert client.orders.drain(wait="10s")["drained"] is True
        raised(Unavailable, lambda: client.call("echo", value=1))
        client.orders.resume()
        assert client.call("echo", value=1) == 1
        raised(NotFound, lambda: client.orders.restart("other-1"))


def calls_host_tools():
    with hatchery.connect() as client:
        assert [tool["name"] for tool in client.host_tools.list()] == ["count"]
        tool = client.host_tools.get("count")
        assert (tool["description"], tool["session"]) == ("Counts.", None)
        assert client.host_tools.call("count", text="a b a") == {"a": 2, "b": 1}
        assert client.session("s").host_tools.call("count", {"text": "a"}, timeout="30s") == {"a": 1}
        raised(NotFound, lambda: client.host_tools.get("cuont"))
        client.host_tools.unregister("count")
        assert client.host_tools.list() == []

    async def in_a_loop():
        async with hatchery.connect_async() as client:
            assert await client.host_tools.list() == []

    asyncio.run(in_a_loop())


def remembers():
    with hatchery.connect() as client:
        made = client.create_session("user-8", ttl="1h", metadata={"a": 1})
        assert made["created"] is True and made["id"] == "user-8"
        session = client.session("user-8")
        session.metadata.put("b/c", {"deep": [1, None]})
        assert session.metadata.get("b/c") == {"deep": [1, None]}
        session.programs.put("p", None)
        assert session.programs.get("p") is None and session.describe()["programs"] == ["p"]
        session.metadata.delete("a")
        raised(NotFound, lambda: session.metadata.get("a"))
        assert [one["id"] for one in client.sessions(limit=10)["sessions"]] == ["user-8"]
        session.delete()
        raised(NotFound, session.describe)


def arrays():
    import numpy

    with hatchery.connect() as client:
        for array in (numpy.arange(6, dtype="<i4").reshape(2, 3), numpy.random.default_rng(1).random((512, 256))):
            for found in (client.call("echo", value=array), client.call("echo", value={"a": [array]})["a"][0]):
                numpy.testing.assert_array_equal(found, array)
                assert (found.dtype, found.flags.writeable) == (array.dtype, True)


def comes_back():
    """The daemon is killed and started anew, elsewhere: the client finds it, and what was asked is not asked twice."""
    with hatchery.connect() as client:
        first = client.status()["pid"]
        waiting = threading.Thread(target=lambda: lost.append(raised(Unavailable, lambda: client.call("until_cancelled", mark="busy", told="told"))))
        lost = []
        waiting.start()
        appears("busy")
        open("ready", "w").close()
        waiting.join(PATIENCE)
        assert "whether it has done what was asked is not known" in lost[0].message, lost
        appears("again")
        assert client.status()["pid"] != first
        assert client.call("word_count", text="a") == {"a": 1}


def loses_it_midway():
    with hatchery.connect() as client:
        stream = client.stream("silent_after_one", mark="midway")
        assert next(stream) == 1
        appears("midway")
        open("ready", "w").close()
        error = raised(Unavailable, lambda: next(stream))
        assert "it went away in the middle of its answer" in error.message and error.retryable, error
        assert list(stream) == []
        assert "no daemon is running" in raised(Unavailable, client.status).message
        assert "no daemon is running" in raised(Unavailable, lambda: next(client.events())).message


def nobody():
    error = raised(Unavailable, hatchery.connect)
    assert "no daemon is running" in error.message and "hatchery serve" in error.message, error
    for there in ("http://127.0.0.1:1", "unix:/no/such/socket"):
        error = raised(Unavailable, lambda: hatchery.connect(there))
        assert f"no daemon is running at {there}: " in error.message and "start one with `hatchery serve" in error.message, error


def tokens(address):
    """Of each scope may do what it is for; who shows none, or a wrong one, nothing."""
    for wrong in (None, "hatchery_of_another"):
        with hatchery.connect(address, token=wrong) as client:
            error = raised(Unavailable, client.status)
            assert not error.retryable and error.details["reason"] == "unauthenticated", error.__dict__
            assert "token" in error.message, error
    with hatchery.connect(address, token=text_of("call")) as client:
        assert client.call("word_count", text="a") == {"a": 1} and list(client.stream("countdown", n=2)) == [2, 1]
        error = raised(Unavailable, lambda: client.orders.scale(2))
        assert not error.retryable and error.details["reason"] == "forbidden" and "`operate`" in error.message, error.__dict__
    with hatchery.connect(address, token=text_of("observe")) as client:
        assert client.status()["phase"] == "serving"
        assert "`call`" in raised(Unavailable, lambda: next(client.stream("countdown", n=1))).message
    os.environ["HATCHERY_TOKEN"] = text_of("operate")
    with hatchery.connect(address) as client:
        assert client.orders.scale(1)["to"] == 1

    async def main():
        async with hatchery.connect_async(address, token=text_of("call")) as client:
            assert await client.call("word_count", text="a") == {"a": 1}
        async with hatchery.connect_async(address, token="hatchery_of_another") as client:
            try:
                await client.call("word_count", text="a")
            except Unavailable as error:
                assert error.details["reason"] == "unauthenticated"

    asyncio.run(main())


def socket(path):
    """Needs no token, and one for another daemon does not shut us out."""
    os.environ["HATCHERY_TOKEN"] = "hatchery_of_another"
    for address in (f"unix:{path}", f"unix://{path}", None):
        with hatchery.connect(address) as client:
            assert client.call("word_count", text="a") == {"a": 1} and list(client.stream("countdown", n=2)) == [2, 1]
            assert client.orders.scale(1)["to"] == 1

    async def main():
        async with hatchery.connect_async(f"unix:{path}") as client:
            assert await client.call("echo", value=b"x" * 100_000) == b"x" * 100_000

    asyncio.run(main())


def tls(address):
    """A daemon is asked where its authority is trusted and its name is right, and otherwise told nothing."""
    port, token = address.rpartition(":")[2], text_of("call")
    named = f"https://localhost:{port}"
    with hatchery.connect(named, ca="ours.pem", token=token) as client:
        assert client.call("word_count", text="a") == {"a": 1} and list(client.stream("countdown", n=2)) == [2, 1]
        large = os.urandom(3 << 20)
        assert client.call("echo", value=large) == large
    for there, ca, said in ((named, "others.pem", "certificate"), (named, None, "certificate"), (f"https://127.0.0.1:{port}", "ours.pem", "mismatch")):
        for connect in (hatchery.connect, connected_in_a_loop):
            error = raised(Unavailable, lambda: connect(there, ca=ca, token=token))
            assert f"the daemon at {there} is not trusted: " in error.message and said in error.message and not error.retryable, error
    assert "it answers with TLS: say https://" in raised(Unavailable, lambda: hatchery.connect(f"localhost:{port}").status()).message
    assert "say https://" in raised(ValidationError, lambda: hatchery.connect(f"localhost:{port}", ca="ours.pem")).message

    async def main():
        async with hatchery.connect_async(named, ca="ours.pem", token=token) as client:
            assert await asyncio.gather(*(client.call("echo", value=n) for n in range(20))) == list(range(20))
            assert [n async for n in client.stream("countdown", n=2)] == [2, 1]

    asyncio.run(main())


def certificates(address):
    """Who shows one that the daemon's authority has signed is known; who shows another, or none, is told nothing."""
    there = f"https://localhost:{address.rpartition(':')[2]}"
    known = {"ca": "ours.pem", "cert": ("robot.pem", "robot.key")}
    with hatchery.connect(there, **known) as client:
        assert client.call("word_count", text="a") == {"a": 1} and list(client.stream("countdown", n=2)) == [2, 1]
    for shown in (None, ("stranger.pem", "stranger.key")):
        for connect in (hatchery.connect, connected_in_a_loop):
            error = raised(Unavailable, lambda: connect(there, ca="ours.pem", cert=shown).status())
            assert "has ended TLS: " in error.message and "cert='me.pem' shows it who asks" in error.message and not error.retryable, error

    async def main():
        async with hatchery.connect_async(there, **known) as client:
            assert await client.call("word_count", text="a") == {"a": 1}

    asyncio.run(main())


class connected_in_a_loop:
    def __init__(self, *address, **options):
        self._ask = lambda: hatchery.connect_async(*address, **options)
        self._with(lambda client: asyncio.sleep(0))

    def status(self):
        return self._with(lambda client: client.status())

    def _with(self, ask):
        async def main():
            async with self._ask() as client:
                return await ask(client)

        return asyncio.run(main())


def text_of(name):
    with open(name) as file:
        return file.read()


def appears(name):
    becomes(lambda: os.path.exists(name), True)


def becomes(look, expected):
    end = time.monotonic() + PATIENCE
    while look() != expected:
        assert time.monotonic() < end, f"waited in vain for {expected!r}, found {look()!r}"
        time.sleep(0.005)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
