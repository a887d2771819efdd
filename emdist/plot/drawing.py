"""Draws rows for figures: a random sample of bounded size, from a bounded number of blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.composition.model import make_model
from emdist.fit.assigned import assigned
from emdist.fit.fitted import Fitted
from emdist.fit.observed import observed_source
from emdist.fit.sample import Sample, sample_rows
from emdist.inputs.names import naming
from emdist.interfaces import Engine, Floats, Model, Numerics, Source
from emdist.plot.findings import DrawnRows
from emdist.prepare.source import prepared
from emdist.quality.profiles.step import read_both
from emdist.settings.config import ModelSection
from emdist.store.sources.arrays import array_source

#: How many rows are drawn, from how many blocks, and how many responsibilities they may have.
ROWS, BLOCKS, _CELLS = 4000, 64, 4_000_000
#: The random stream of rows that are drawn for figures.
_PURPOSE = 0x706C6F74


@dataclass(frozen=True)
class DrawRows:
    """Task that draws rows of one block."""

    source: Source
    size: int
    seed: int

    def __call__(self, i: int) -> Sample:
        block = self.source.read(i)
        x, weight = block.valid()
        return sample_rows(self.size, x, weight, block.rows(), (self.seed, 0, _PURPOSE, 0))


@dataclass(frozen=True)
class DrawLabelledRows:
    """Task that labels one block whose rows depend on one another, and draws some of its rows.

    The columns of the sample are the values of the data, those that the model sees, the label and
    the responsibilities.
    """

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    size: int
    seed: int

    def __call__(self, i: int) -> Sample:
        block, raw = read_both(self.source, i)
        found = assigned(self.model, block, self.params, self.origin, self.numerics, True)
        x, weight = raw.valid()
        parts = (x, block.valid()[0], found.labels[:, None], found.resp)
        columns = np.hstack([np.asarray(part, np.float64) for part in parts])
        return sample_rows(self.size, columns, weight, block.rows(), (self.seed, 0, _PURPOSE, 0))


def drawn_rows(
    section: ModelSection,
    fitted: Fitted,
    source: Source,
    engine: Engine,
    size: int | None = None,
    seed: int = 0,
    done: Callable[[int], None] | None = None,
) -> DrawnRows:
    """Draw rows of `source` at random, and let the model label them.

    Parameters
    ----------
    section, fitted
        The model.
    source
        The rows, as they are before they are prepared.
    engine
        Reads the blocks.
    size
        How many rows to draw; None for 4,000, or fewer if there are many components or features.
    seed
        The random seed. The same seed draws the same rows.
    done
        Called with the number of blocks that were read.

    Notes
    -----
    The labels of a hidden Markov model depend on whole sequences, so blocks that cut a sequence are
    read once more before.
    """
    wide = max(fitted.n_columns, source.shape[1], fitted.n_features)
    size = min(size or ROWS, max(_CELLS // wide, 200))
    blocks = _blocks(len(source), seed)
    if section.chain is not None:
        return _in_sequence(section, fitted, source, engine, size, seed, done)
    with naming(source):
        drawn: Sample = engine.map_reduce(DrawRows(source, size + 1, seed), blocks, done)
    x, _, row = drawn.rows()
    return labelled(
        section, fitted, np.asarray(x, np.float64), row, source.shape[0], len(source), len(blocks)
    )


def _in_sequence(
    section: ModelSection,
    fitted: Fitted,
    source: Source,
    engine: Engine,
    size: int,
    seed: int,
    done: Callable[[int], None] | None,
) -> DrawnRows:
    """Return rows of `source` that were labelled along with the sequences that they are part of."""
    model, blocks = make_model(section), _blocks(len(source), seed)
    seen = observed_source(prepared(source, fitted.preparation), model)
    task = DrawLabelledRows(
        seen, model, fitted.linked(model, seen, engine), fitted.spread.origin,
        fitted.numerics(model, seen.dtype), size + 1, seed,
    )  # fmt: skip
    with naming(source):
        drawn: Sample = engine.map_reduce(task, blocks, done)
    columns, _, row = drawn.rows()
    ends = np.cumsum([source.shape[1], seen.shape[1], 1])
    x, made, labels, resp = np.split(np.asarray(columns, np.float64), ends, axis=1)
    return DrawnRows(
        x, made, row, labels[:, 0].astype(np.int64), resp, source.shape[0], len(source), len(blocks)
    )


def _blocks(total: int, seed: int) -> list[int]:
    """Return the blocks to read: all, or as many as are allowed, at random."""
    if total <= BLOCKS:
        return list(range(total))
    chosen = np.random.default_rng([seed, _PURPOSE]).choice(total, BLOCKS, replace=False)
    return sorted(int(i) for i in chosen)


def labelled(
    section: ModelSection,
    fitted: Fitted,
    x: Floats,
    row: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    n_rows: int,
    n_blocks: int,
    n_read: int,
) -> DrawnRows:
    """Return the rows `x` (m, d) with their labels, without those that have none."""
    model = make_model(section)
    seen = observed_source(prepared(array_source(x), fitted.preparation), model)
    numerics, params = fitted.numerics(model, seen.dtype), fitted.params
    kept, made, labels, resp, away = [], [], [], [], []
    for i in range(len(seen)):
        block = seen.read(i)
        found = assigned(model, block, params, fitted.spread.origin, numerics, not model.minimises)
        kept.append(block.rows())
        made.append(np.asarray(block.valid()[0], np.float64))
        labels.append(found.labels.astype(np.int64))
        if found.resp is not None:
            resp.append(np.asarray(found.resp, np.float64))
        elif model.minimises:
            away.append(_distances(made[-1], model.locations(
                model.translate(params, fitted.spread.origin))))  # fmt: skip
    which = np.concatenate(kept)
    return DrawnRows(
        x[which],
        np.concatenate(made),
        row[which],
        np.concatenate(labels),
        np.concatenate(resp) if resp else None,
        n_rows - (len(x) - len(which)),
        n_blocks,
        n_read,
        np.concatenate(away) if away else None,
    )


def _distances(x: Floats, centres: Floats) -> Floats:
    """Return (m, k) Euclidean distances to the centres, over the values that are observed."""
    found = np.empty((len(x), len(centres)))
    for i, centre in enumerate(centres):
        found[:, i] = np.sqrt(np.nansum((x - centre) ** 2, axis=1))
    return found
