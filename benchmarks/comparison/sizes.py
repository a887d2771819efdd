"""Sizes of a run: the same workloads with fewer or more rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The size of all workloads.

    Attributes
    ----------
    name
        Name on the command line.
    rows, mixture_rows, fit_rows
        Number of rows in workloads of one K-means iteration, of one mixture iteration, and of whole
        fits, as a share of the medium size.
    disk
        Bytes of data on disk, as a share of the medium size.
    span
        Number of iterations over which the time of one iteration is averaged.
    repeats
        Number of rounds of all contenders.
    """

    name: str
    rows: float
    mixture_rows: float
    fit_rows: float
    disk: float
    span: int
    repeats: int

    @property
    def tiny(self) -> bool:
        """Whether this is a test, which only shows that everything runs and measures nothing."""
        return self.name == "tiny"

    def of(self, medium: int, share: float, least: int) -> int:
        """Scale `medium` by `share`, to at least `least`."""
        return max(least, int(medium * share))


SIZES = {
    size.name: size
    for size in (
        Size("tiny", 1e-9, 1e-9, 1e-9, 1e-9, 1, 1),
        Size("small", 0.1, 0.1, 0.2, 0.125, 3, 3),
        Size("medium", 1.0, 1.0, 1.0, 1.0, 4, 5),
        Size("large", 4.0, 2.0, 4.0, 4.0, 4, 5),
    )
}
