"""Command lines that pages, deployments and help texts show, found and taken apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = [
    *PAGES,
    *sorted((ROOT / "deploy").rglob("*.*ml")),
    ROOT / "deploy" / "Dockerfile",
    *sorted((ROOT / "emdist" / "configurations").glob("*.yaml")),
]
PROGRAMS = ("emdist", "python", "prefect", "make", "pip", "dask")
_FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_SHELLS = ("", "sh", "bash", "console")
#: What a synopsis is made of: brackets around what may be left out, dots for more of it.
_SYNOPSIS = re.compile(r"\[(?=-|[A-Z]+\])|(?<=[A-Za-z.])\](?= |$)|(?<= )\.\.\.|\s\|\s.*")


@dataclass(frozen=True)
class Line:
    """One command line.

    Attributes
    ----------
    place
        File, relative to the repository.
    words
        Program and arguments.
    whole
        Whether it is there to be called as it stands; a mention may leave arguments out.
    """

    place: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.words)}"


def lines_of(path: Path) -> list[Line]:
    """All command lines of a file."""
    text = path.read_text(encoding="utf-8")
    place = str(path.relative_to(ROOT))
    found: list[Line] = []
    if path.suffix == ".md":
        fences = [m[3] for m in _FENCE.finditer(text) if m[2] in _SHELLS]
        rest = _FENCE.sub("", text)
        blocks = [*fences, *_INDENTED.findall(rest)]
        mentions = _CODE.findall(rest)
    else:
        comments = re.findall(r"^ *#+ ?(.*)$", text, re.MULTILINE)
        blocks = [line for line in comments if line.startswith("  ")]
        blocks += [line for line in comments if line.startswith("prefect ")]
        mentions = _CODE.findall("\n".join(comments))
        if path.suffix in (".yaml", ".yml"):
            found += [Line(place, words, True) for words in _arguments(text)]
        else:
            lists = re.findall(r"^(?:CMD|ENTRYPOINT) (\[.+\])$", text, re.MULTILINE)
            found += [Line(place, tuple(yaml.safe_load(one)), True) for one in lists]
    for block in blocks:
        found += [Line(place, words, True) for words in calls(block)]
    for mention in mentions:
        found += [Line(place, words, False) for words in calls(" ".join(mention.split()))]
    return [line for line in found if line.words and line.words[0] in PROGRAMS]


def calls(block: str) -> Iterator[tuple[str, ...]]:
    """The words of each command of a shell's input."""
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r" && | \|\| |; ", line.strip().removeprefix("$ ")):
            try:
                words = shlex.split(_SYNOPSIS.sub("", part), comments=True)
            except ValueError:
                continue
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            for sign in (">", ">>"):
                if sign in words:
                    words = words[: words.index(sign)]
            if words:
                words[0] = words[0].removeprefix(".venv/bin/")
                yield tuple(words)


def _arguments(text: str) -> Iterator[tuple[str, ...]]:
    """Commands of containers, and the lines of a script that a shell gets as ``-c``."""
    waiting: list[Any] = list(yaml.safe_load_all(text))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key in ("command", "args"):
                words = value.get(key)
                if isinstance(words, list) and all(isinstance(word, str) for word in words):
                    yield from calls(words[2]) if words[:1] == ["sh"] else [tuple(words)]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
