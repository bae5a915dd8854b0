"""Statistics of long texts: how many words, which ones, how hard to read.

    hatchery call corpus root=docs --app examples/text/app.py
    hatchery stream ngrams text="to be or not to be" n=2 --app examples/text/app.py
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Optional

from hatchery import tool

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n\s*\n")  # a paragraph ends its sentence, as a heading does
VOWELS = re.compile(r"[aeiouyäöü]+")


@dataclass
class Stats:
    characters: int
    words: int
    distinct_words: int
    sentences: int
    mean_word_length: float
    words_per_sentence: float


@dataclass
class Readability:
    reading_ease: float  # Flesch: 100 is very easy, 0 very hard
    school_grade: float  # Flesch and Kincaid: the year of school in which one can read it


@tool
def corpus(root: str) -> str:
    """All Markdown files below a directory, one after another."""
    return "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(Path(root).rglob("*.md")))


@tool
def stats(text: str) -> Stats:
    """Count characters, words and sentences."""
    found = list(words(text))
    sentences = count_sentences(text)
    return Stats(
        characters=len(text),
        words=len(found),
        distinct_words=len(set(found)),
        sentences=sentences,
        mean_word_length=ratio(sum(map(len, found)), len(found)),
        words_per_sentence=ratio(len(found), sentences),
    )


@tool
def top_words(text: str, n: int = 10, shortest: int = 1) -> list[tuple[str, int]]:
    """The n most frequent words of at least `shortest` letters, with their counts."""
    return ranked(Counter(word for word in words(text) if len(word) >= shortest), n)


@tool
def readability(text: str) -> Readability:
    """Flesch reading ease and Flesch-Kincaid grade, for English. Syllables are estimated."""
    found = list(words(text))
    if not found:
        raise ValueError("readability needs a text with at least one word in it")
    sentence_length = len(found) / count_sentences(text)
    word_weight = sum(map(syllables, found)) / len(found)
    return Readability(
        reading_ease=206.835 - 1.015 * sentence_length - 84.6 * word_weight,
        school_grade=0.39 * sentence_length + 11.8 * word_weight - 15.59,
    )


@tool
def ngrams(text: str, n: int = 2, at_least: int = 2) -> Iterator[tuple[str, int]]:
    """Stream the runs of n words that occur `at_least` times, the most frequent first."""
    found = list(words(text))
    counts: Counter[tuple[str, ...]] = Counter(zip(*(islice(found, start, None) for start in range(n))))
    for run, count in ranked(counts, None):
        if count < at_least:
            return
        yield " ".join(run), count


class Concordance:
    """Where words stand, in the texts that this worker was given. It is state of one worker: use it in a session."""

    def __init__(self) -> None:
        self.lines: dict[str, list[tuple[str, int, str]]] = defaultdict(list)

    @tool
    def remember(self, title: str, text: str) -> int:
        """Index a text line by line; returns how many different words are known by now."""
        for number, line in enumerate(text.splitlines(), start=1):
            for word in set(words(line)):
                self.lines[word].append((title, number, line.strip()))
        return len(self.lines)

    @tool
    def find(self, word: str) -> Iterator[tuple[str, int, str]]:
        """Stream the title, the number and the text of each line that has the word."""
        yield from self.lines.get(word.lower(), [])


def words(text: str) -> Iterator[str]:
    return (match.group().lower() for match in WORD.finditer(text))


def count_sentences(text: str) -> int:
    return sum(1 for part in SENTENCE_END.split(text) if WORD.search(part))


def syllables(word: str) -> int:
    """Groups of vowels, without a silent e at the end: right for most English words, and never zero."""
    silent = word.endswith("e") and not word.endswith("le")
    return max(1, len(VOWELS.findall(word)) - silent)


def ranked(counts: Counter[Any], n: Optional[int]) -> list[tuple[Any, int]]:
    """The most frequent first; those of one count in the order of the alphabet, whatever the order of the text."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:n]


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
