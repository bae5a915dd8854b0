"""The arena of a worker: who uses a place, from many threads and from finalisers."""

import gc
import os
import random
import threading
import unittest

from hatchery.allocator import PAGE
from hatchery.arena import Arena
from hatchery.memory import Mapping, address_of, at_address
from hatchery.wire import Breach


def mapping(pages):
    fd = os.memfd_create("arena", os.MFD_CLOEXEC)
    os.ftruncate(fd, pages * PAGE)
    made = Mapping(fd, pages * PAGE, writable=True)
    return made


class Users(unittest.TestCase):
    def setUp(self):
        self.full = []
        self.mapping = mapping(16)
        self.addCleanup(os.close, self.mapping._fd)
        self.arena = Arena(self.mapping, 4 * PAGE, self.full.append)

    def offset(self, room):
        return address_of(room) - self.mapping.base

    def test_a_place_is_free_when_its_view_is_gone_and_all_that_was_sent_is_released(self):
        room = self.arena.room(3 * PAGE)
        for _ in range(2):
            self.arena.sent(0)
        self.arena.sent(2 * PAGE)
        del room
        for offset in (0, 2 * PAGE, 0):
            self.assertEqual(self.arena.in_use(), 1)
            self.arena.released(offset)
        self.assertEqual(self.arena.in_use(), 0)
        with self.assertRaises(Breach):
            self.arena.released(0)

    def test_a_view_that_outlives_the_releases_keeps_the_place(self):
        part = self.arena.room(3 * PAGE)[PAGE:][5:]
        self.arena.sent(PAGE)
        self.arena.released(PAGE)
        self.assertEqual(self.offset(self.arena.room(PAGE)), 3 * PAGE)
        del part
        self.assertEqual(self.offset(self.arena.room(PAGE)), 0)

    def test_fullness_is_told_once_until_there_is_as_much_room_again(self):
        rooms = [self.arena.room(8 * PAGE), self.arena.room(4 * PAGE)]
        for length in (8, 8, 9):
            self.assertIsNone(self.arena.room(length * PAGE))
        self.assertIsNotNone(self.arena.room(PAGE))
        self.assertIsNone(self.arena.room(8 * PAGE))
        self.assertEqual(self.full, [8 * PAGE])
        rooms.clear()
        self.assertIsNotNone(self.arena.room(8 * PAGE))
        self.assertIsNone(self.arena.room(17 * PAGE))
        self.assertEqual(self.full, [8 * PAGE, 17 * PAGE])

    def test_pages_over_what_may_stay_go_and_the_rest_is_kept(self):
        room = self.arena.room(16 * PAGE)
        room[:] = bytes([1]) * len(room)
        del room
        self.assertEqual(os.fstat(self.mapping._fd).st_blocks * 512, 4 * PAGE)

    def test_a_finaliser_within_the_arenas_own_section_does_not_block(self):
        class Circle:
            pass

        circle = Circle()
        circle.self, circle.room = circle, self.arena.room(PAGE)
        del circle
        with self.arena._lock:
            gc.collect()
        self.assertEqual(self.arena.in_use(), 0)


class Crowd(unittest.TestCase):
    def test_nobody_ever_sees_what_another_wrote(self):
        made = mapping(64)
        self.addCleanup(os.close, made._fd)
        arena, wrong = Arena(made, 8 * PAGE, lambda length: None), []

        def live(number):
            chance, held = random.Random(number), []
            for step in range(400):
                room = arena.room(chance.randint(1, 6 * PAGE))
                if room is not None:
                    letter = bytes([number * 16 + step % 16])
                    room[:] = letter * len(room)
                    offset = address_of(room) - made.base
                    sent = chance.random() < 0.5
                    if sent:
                        arena.sent(offset)
                    # What was sent is looked at without a view that would hold it.
                    looks = at_address(made.base + offset, len(room)) if sent else room
                    held.append((looks, letter, offset if sent else None))
                del room
                while held and (len(held) > 4 or chance.random() < 0.4):
                    looks, letter, offset = held.pop(chance.randrange(len(held)))
                    if bytes(looks) != letter * len(looks):
                        wrong.append((number, step))
                    if offset is not None:
                        arena.released(offset)
                    del looks
            for _, _, offset in held:
                if offset is not None:
                    arena.released(offset)

        threads = [threading.Thread(target=live, args=(number,)) for number in range(1, 6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((wrong, arena.in_use()), ([], 0))
        self.assertEqual(len(arena.room(64 * PAGE)), 64 * PAGE)


class Looking(unittest.TestCase):
    def test_a_private_view_is_the_content_until_it_is_written_to(self):
        made = mapping(4)
        self.addCleanup(os.close, made._fd)
        shared = made.look(0, 4 * PAGE, lambda: None, writable=True)
        shared[:] = b"s" * len(shared)
        first, second = (made.private(100, 2 * PAGE, kept=None) for _ in range(2))
        first[:3] = b"own"
        self.assertEqual((bytes(first[:4]), bytes(second[:4]), bytes(shared[100:104])), (b"owns", b"ssss", b"ssss"))
        self.assertEqual((len(first), bytes(first[-1:])), (2 * PAGE, b"s"))


if __name__ == "__main__":
    unittest.main()
