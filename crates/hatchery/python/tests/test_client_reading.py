"""What the client reads: answers and server-sent events, cut anywhere, and broken in every way."""

import os
import random
import unittest

from hatchery.client.event_stream import Decoder, ServerSentEvent
from hatchery.client.http1 import CutOff, Malformed, Reader, Request

ROUNDS = int(os.environ.get("HATCHERY_FUZZ_ROUNDS", "1"))

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\nX:  b \r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED

EVENTS = ": a comment\nevent: chunk\ndata: \"é\"\n\ndata:[1,\r\ndata: 2]\r\nid: 7\r\n\r\nevent: end\rdata\r\r: \n\nevent: cut".encode()
EXPECTED = [
    ServerSentEvent("chunk", '"é"'),
    ServerSentEvent("message", "[1,\n2]", "7"),
    ServerSentEvent("end", ""),
]


def pieces(data, chance):
    """The data in pieces of random lengths, none of them empty."""
    while data:
        length = chance.choice((1, 1, 2, 3, 7, len(data)))
        yield data[:length]
        data = data[length:]


def read(parts, ends=False):
    reader, body = Reader(), b""
    for part in parts:
        reader.feed(part)
        body += reader.take()
    if ends:
        reader.feed(b"")
    return reader, body + reader.take()


class Answers(unittest.TestCase):
    def test_they_are_the_same_however_they_are_cut(self):
        chance = random.Random(1)
        for round in range(300 * ROUNDS):
            for answer, status, is_reusable in ((COUNTED, 200, True), (CHUNKED, 201, True), (CONTINUED, 200, True)):
                with self.subTest(round=round, answer=answer):
                    reader, body = read(pieces(answer, chance))
                    self.assertEqual((reader.status, body), (status, b"hello"))
                    self.assertTrue(reader.is_complete and reader.is_reusable is is_reusable)

    def test_none_is_complete_before_its_last_byte(self):
        for answer in (COUNTED, CHUNKED, CONTINUED, EMPTY):
            for length in range(1, len(answer)):
                reader, _ = read([answer[:length]])
                self.assertFalse(reader.is_complete, answer[:length])
                with self.assertRaises(CutOff):
                    reader.feed(b"")
            self.assertTrue(read([answer])[0].is_complete)

    def test_one_without_a_length_ends_with_its_connection(self):
        reader, body = read([UNTIL_END[:-2]])
        self.assertFalse(reader.is_complete)
        reader, body = read([UNTIL_END], ends=True)
        self.assertEqual((body, reader.is_complete, reader.is_reusable), (b"hello", True, False))

    def test_headers_are_joined_and_without_case(self):
        reader, _ = read([COUNTED])
        self.assertEqual(reader.headers, {"content-length": "5", "x": "a, b"})

    def test_who_says_so_or_says_more_is_not_asked_again(self):
        closing = COUNTED.replace(b"X: a", b"Connection: Close")
        self.assertFalse(read([closing])[0].is_reusable)
        self.assertFalse(read([COUNTED + b"x"])[0].is_reusable)
        self.assertFalse(read([COUNTED, b"HTTP/1.1 408 Request Timeout\r\n\r\n"])[0].is_reusable)
        old = COUNTED.replace(b"1.1", b"1.0")
        self.assertFalse(read([old])[0].is_reusable)
        self.assertTrue(read([old.replace(b"X: a", b"Connection: keep-alive")])[0].is_reusable)

    def test_large_bodies_pass_by_the_buffer(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"
        reader, body = read([head, *[b"x" * 100_000] * 30])
        self.assertEqual((len(body), reader.is_complete, reader.is_reusable), (3_000_000, True, True))

    def test_what_is_no_answer_is_said(self):
        for text, said in (
            (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"),
            (b"\x15\x03\x03\x00\x02\x02\x16", "it answers with TLS: say https://"),
            (b"H", None),
            (b"HTTP/2 200\r\n\r\n", "HTTP/2"),
            (b"HTTP/1.1 abc\r\n\r\n", "abc"),
            (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "no colon"),
            (b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n", "name "),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content length '-1'"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two different"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "chunk size 'x'"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "longer than was said"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, "does not end"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "not HTTP/1.1"),
        ):
            with self.subTest(text=text[:60]):
                if said is None:
                    self.assertFalse(read([text])[0].has_head)
                    continue
                with self.assertRaises(Malformed) as caught:
                    read([text])
                self.assertIn(said, str(caught.exception))

    def test_broken_ones_are_read_or_refused_and_nothing_else(self):
        chance = random.Random(2)
        for round in range(2000 * ROUNDS):
            answer = bytearray(chance.choice((COUNTED, CHUNKED, UNTIL_END, CONTINUED, EMPTY)))
            for _ in range(chance.randint(1, 5)):
                at = chance.randrange(len(answer))
                answer[at : at + chance.randrange(2)] = bytes(chance.choice(b"\r\n: 0123456789abcHTP/;\x00\xff") for _ in range(chance.randrange(3)))
            with self.subTest(round=round, answer=bytes(answer)):
                outcomes = {outcome(pieces(bytes(answer), chance)) for _ in range(3)}
                self.assertEqual(len(outcomes), 1, outcomes)


def outcome(parts):
    """What is read, or only that it is refused: how much of it a refusal shows depends on what has come."""
    try:
        reader, body = read(parts)
        return reader.status, body, reader.is_complete
    except Malformed:
        return None


class Events(unittest.TestCase):
    def test_they_are_the_same_however_they_are_cut(self):
        chance = random.Random(3)
        for round in range(300 * ROUNDS):
            with self.subTest(round=round):
                decoder = Decoder()
                found = [event for piece in pieces(EVENTS, chance) for event in decoder.feed(piece)]
                self.assertEqual(found, EXPECTED)

    def test_any_bytes_are_events_or_none_wherever_they_are_cut(self):
        chance = random.Random(4)
        for round in range(1000 * ROUNDS):
            data = bytes(chance.choice(b"\r\n\n: abdet\xc3\xa9\x00") for _ in range(chance.randrange(60))) + chance.choice((b"", b"data: x\n\n"))
            with self.subTest(data=data):
                whole = Decoder().feed(data)
                decoder = Decoder()
                self.assertEqual([event for piece in pieces(data, chance) for event in decoder.feed(piece)], whole)

    def test_a_long_line_in_small_pieces_is_read_once(self):
        decoder = Decoder()
        for _ in range(20_000):
            self.assertEqual(decoder.feed(b"data: x" * 10), [])
        self.assertEqual(len(decoder.feed(b"\n\n")), 1)


class Requests(unittest.TestCase):
    def test_a_request_is_written_whole(self):
        request = Request("POST", "/v1/x", (("A", "b"),), b"{}")
        head = b"POST /v1/x HTTP/1.1\r\nHost: h:1\r\nUser-Agent: hatchery-python\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
        self.assertEqual(request.encode("h:1"), head)
        self.assertNotIn(b"Content-Length", Request("GET", "/").encode("h"))
        self.assertIn(b"Content-Length: 0", Request("POST", "/").encode("h"))


if __name__ == "__main__":
    unittest.main()
