"""Statistics of long texts: how many words, which ones, how hard to read.

    hatchery call summary root=. --app examples/text/app.py
    hatchery call stats text="The cat sat. The cat slept." --app examples/text/app.py
    hatchery stream ngrams text="to be or not to be" n=2 --app examples/text/app.py

The text at hand is a project's own prose: its Markdown, and the comments and docstrings of its sources.
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

# What of a source file is prose, by the end of its name. A comment begins a line or follows a space, so that
# https://… is none. A string that begins no line is not for people; it is matched so that no # in it is taken for one.
SLASHES = re.compile(r"(?<!\S)//[/!]?[ \t]?(.*)")
HASHES = re.compile(r"(?<!\S)#[ \t]?(.*)")
DOCSTRINGS_AND_HASHES = re.compile(r'^[ \t]*"""((?s:.*?))"""|"""(?s:.*?)"""|(?<!\S)#[ \t]?(.*)', re.MULTILINE)
PROSE = {".rs": SLASHES, ".js": SLASHES, ".py": DOCSTRINGS_AND_HASHES, ".toml": HASHES, ".sh": HASHES}

NOT_THE_PROJECTS_OWN = {"target", "node_modules"}
TELLING = 5  # letters, from which on a word usually says what a text is about
WORDS_PER_MINUTE = 240  # of an adult who reads silently


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


@dataclass
class Summary:
    words: int
    distinct_words: int
    sentences: int
    minutes_to_read: int
    school_grade: float
    top_words: dict[str, int]
    top_terms: dict[str, int]


@tool
def corpus(root: str) -> str:
    """The prose of the project in a directory, file by file: its Markdown, the comments and docstrings of its code."""
    return "\n\n".join(filter(None, map(prose, files(Path(root)))))


@tool
def summary(root: str, top: int = 5) -> Summary:
    """What one would want to know of a project's prose before one reads it."""
    text = corpus(root)
    counts = stats(text)
    terms = (pair for pair in ngrams(text) if all(len(word) >= TELLING for word in pair[0].split()))
    return Summary(
        words=counts.words,
        distinct_words=counts.distinct_words,
        sentences=counts.sentences,
        minutes_to_read=round(counts.words / WORDS_PER_MINUTE),
        school_grade=round(readability(text).school_grade, 1),
        top_words=dict(top_words(text, top, shortest=TELLING)),
        top_terms=dict(islice(terms, top)),
    )


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


def files(folder: Path) -> Iterator[Path]:
    """The files of a project that may have prose in them, in the order of their names. What is hidden stays so."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in NOT_THE_PROJECTS_OWN:
            continue
        if path.is_dir():
            yield from files(path)
        elif path.suffix == ".md" or path.suffix in PROSE:
            yield path


def prose(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return "\n".join("".join(filter(None, match.groups())) for match in PROSE[path.suffix].finditer(text)).strip()


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
