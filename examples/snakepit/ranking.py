"""Which sections of a folder's Markdown answer a question best: the ranking that search engines call BM25."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORD = re.compile(r"[^\W_]+")
HEADING = re.compile(r"(#{1,6})\s+(.*)")

# How soon more of the same word stops to count, and how much a long section is held against it: the values of the literature.
SATURATION = 1.2
LENGTH = 0.75


@dataclass(frozen=True)
class Section:
    file: str
    line: int
    title: str
    words: Counter


def words(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(text)]


def sections(root: Path) -> Iterator[Section]:
    """Each heading with the text below it, in the order of the files' names."""
    for path in sorted(root.rglob("*.md")):
        yield from _sections_of(str(path.relative_to(root)), path.read_text(encoding="utf-8", errors="replace"))


def _sections_of(file: str, text: str) -> Iterator[Section]:
    begin, title, seen, is_code = 1, "", Counter[str](), False
    for number, line in enumerate(text.splitlines(), 1):
        is_code ^= line.startswith("```")
        heading = None if is_code else HEADING.fullmatch(line)
        if heading:
            if title or seen:
                yield Section(file, begin, title, seen)
            begin, title, seen = number, heading[2].strip(), Counter()
        seen.update(words(line))
    if title or seen:
        yield Section(file, begin, title, seen)


class Index:
    def __init__(self, of: list[Section]) -> None:
        self.sections = of
        self._found_in = Counter(word for section in of for word in section.words)
        self._usual_length = sum(_length(section) for section in of) / len(of) if of else 0.0

    def best(self, query: str, top: int) -> list[tuple[float, Section]]:
        """The sections that have any of the words, the best ones first."""
        wanted = set(words(query))
        scored = [(self._score(section, wanted), section) for section in self.sections]
        found = [(score, section) for score, section in scored if score > 0]
        return sorted(found, key=lambda it: (-it[0], it[1].file, it[1].line))[:top]

    def _score(self, section: Section, wanted: set[str]) -> float:
        return sum(self._weight(section, word) for word in wanted if section.words[word])

    def _weight(self, section: Section, word: str) -> float:
        count, found_in = section.words[word], self._found_in[word]
        rarity = math.log(1 + (len(self.sections) - found_in + 0.5) / (found_in + 0.5))
        length = 1 - LENGTH + LENGTH * _length(section) / self._usual_length
        return rarity * count * (SATURATION + 1) / (count + SATURATION * length)


def _length(section: Section) -> int:
    return sum(section.words.values())
