"""Which cases of a product of parameters the gate runs: those that have each value once."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

Values = frozenset[tuple[str, int]]


def leave_the_rest_to_slow(items: Iterable[pytest.Item]) -> None:
    """Mark as slow the cases of each test marked `covering` that add no value of a parameter.

    `make test-slow` runs them all. The choice depends on the order of the cases alone.
    """
    tests: dict[tuple[object, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("covering"):
            tests.setdefault((item.parent, item.originalname), []).append(item)
    for cases in tests.values():
        for case in superfluous(cases):
            case.add_marker(pytest.mark.slow)


def superfluous(cases: list[pytest.Function]) -> list[pytest.Function]:
    """Return the cases that are left when greedily chosen ones have every value."""
    rest = {case: values(case) for case in cases}
    covered: set[tuple[str, int]] = set()
    while rest:
        best = max(rest, key=lambda case: len(rest[case] - covered))
        if not rest[best] - covered:
            break
        covered |= rest.pop(best)
    return list(rest)


def values(case: pytest.Function) -> Values:
    """Return (parameter, value) pairs of a case; cases of one product share the objects."""
    return frozenset((name, id(value)) for name, value in case.callspec.params.items())
