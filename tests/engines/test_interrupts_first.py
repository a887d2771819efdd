"""An interrupt in an engine ends as the interrupt, whatever a library makes of it."""

from __future__ import annotations

import pytest

from emdist.engines.threads import LocalEngine
from emdist.errors import DataError
from emdist.sums import Sums


def spoilt(block: int) -> Sums:
    """As Dask's tokenize: what cleans up fails."""
    try:
        raise KeyboardInterrupt
    finally:
        raise KeyError(block)


def refused(block: int) -> Sums:
    raise DataError("NaN")


def test_an_interrupt_is_what_comes_out() -> None:
    with pytest.raises(KeyboardInterrupt):
        LocalEngine(1).map_reduce(spoilt, range(3))


def test_an_error_after_an_interrupt_that_is_over_is_that_error() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(DataError, match="NaN"):
            LocalEngine(1).map_reduce(refused, range(3))
