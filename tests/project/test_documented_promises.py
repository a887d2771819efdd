"""Every test that the pages of promises name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
PAGE = "\n".join(
    (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("reliability.md", "untrusted-files.md")
)


def functions() -> dict[str, list[str]]:
    """Files by the name of each test in them."""
    found: dict[str, list[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(name, []).append(path.relative_to(TESTS).as_posix())
    return found


def named() -> Iterator[tuple[str, str]]:
    """(file or "", name or the beginning of one) of the tests on the page."""
    for file, name in re.findall(r"`([\w/]*test_\w+\.py)?(?:::|\.\.\.::)(test_\w+)", PAGE):
        yield file, name
    for name in re.findall(r"`(test_\w+?)_?\.\.\.`", PAGE):
        yield "", name


def test_every_test_that_is_named_is_there() -> None:
    known = functions()
    places = list(named())
    assert len(places) > 60
    for file, name in places:
        files = [f for test, held in known.items() if test.startswith(name) for f in held]
        assert files, name
        assert not file or file in files, (file, name)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)*test_\w+\.py)", PAGE))))
def test_every_file_that_is_named_is_there(path: str) -> None:
    short = path.removeprefix("tests/")
    assert (TESTS / short).is_file() or (TESTS / "estimators" / short).is_file()
