"""Places of a segment, against a model that looks at every page."""

import random
import unittest

from hatchery.allocator import PAGE, Allocator, Warmth


class Model:
    """One letter a page."""

    def __init__(self, pages):
        self.free = [True] * pages

    def runs(self):
        """Free places as (length, start), in pages."""
        found, start = [], None
        for page, free in enumerate([*self.free, False]):
            if free and start is None:
                start = page
            elif not free and start is not None:
                found.append((page - start, start))
                start = None
        return found

    def best(self, pages):
        fitting = [run for run in self.runs() if run[0] >= pages]
        return min(fitting)[1] if fitting else None

    def mark(self, start, pages, free):
        self.free[start : start + pages] = [free] * pages


class Places(unittest.TestCase):
    def test_any_order_of_taking_and_giving_is_as_the_model_says(self):
        for seed in range(40):
            with self.subTest(seed=seed):
                self.live(random.Random(seed), pages=random.Random(seed).choice((1, 7, 64, 300)))

    def live(self, chance, pages):
        allocator, model, taken = Allocator(pages * PAGE + chance.randrange(PAGE)), Model(pages), {}
        for _ in range(400):
            if taken and chance.random() < 0.45:
                start = chance.choice(sorted(taken))
                length = taken.pop(start)
                self.assertEqual(allocator.give(start), length * PAGE)
                model.mark(start // PAGE, length, True)
                continue
            length = chance.randint(1, max(1, pages // 3))
            expected = model.best(length)
            start = allocator.take(length * PAGE - chance.randrange(PAGE))
            self.assertEqual(start, None if expected is None else expected * PAGE)
            if start is not None:
                taken[start] = length
                model.mark(start // PAGE, length, False)
                self.assertEqual(allocator.owner(start + chance.randrange(length * PAGE)), start)
        for start in list(taken):
            allocator.give(start)
        self.assertEqual(allocator.take(pages * PAGE), 0)

    def test_a_place_that_was_given_is_not_given_again(self):
        allocator = Allocator(4 * PAGE)
        start = allocator.take(1)
        allocator.give(start)
        with self.assertRaises(KeyError):
            allocator.give(start)

    def test_no_owner_of_what_is_free(self):
        allocator = Allocator(4 * PAGE)
        allocator.take(1)
        with self.assertRaises(AssertionError):
            allocator.owner(PAGE)


class Pages(unittest.TestCase):
    def test_any_order_of_ranges_is_as_a_set_of_pages_says(self):
        for seed in range(40):
            chance, warmth, model = random.Random(seed), Warmth(), set()
            for _ in range(200):
                start = chance.randrange(40)
                pages = set(range(start, start + chance.randint(1, 12)))
                if chance.random() < 0.5:
                    pages -= model
                    for page in sorted(pages, key=lambda page: chance.random()):
                        warmth.add(page * PAGE, (page + 1) * PAGE)
                    model |= pages
                elif chance.random() < 0.7:
                    warmth.remove(min(pages) * PAGE, (max(pages) + 1) * PAGE)
                    model -= pages
                else:
                    keep = chance.randrange(20)
                    given = {page for low, high in warmth.excess(keep * PAGE) for page in range(low // PAGE, high // PAGE)}
                    self.assertEqual(given, set(sorted(model)[keep:]))
                    model -= given
                self.assertEqual(warmth.total, len(model) * PAGE, seed)
                self.assertEqual({page for low, high in warmth._ranges for page in range(low // PAGE, high // PAGE)}, model)
                self.assertEqual(warmth._ranges, sorted(warmth._ranges))


if __name__ == "__main__":
    unittest.main()
