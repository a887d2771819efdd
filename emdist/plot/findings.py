"""`Findings`: what figures and reports show of a fitted model, a sweep or a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.composition.model import CENTRES, make_distribution, make_model
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.fit.fitted import Fitted
from emdist.interfaces import Array, Floats
from emdist.mixtures.distribution import MixtureDistribution
from emdist.quality.contrasts import Contrasts, contrasts_of
from emdist.quality.labels import HeldLabels, labels_beside
from emdist.quality.ranking import Row
from emdist.quality.silhouettes import squared_samples
from emdist.settings.config import ModelSection
from emdist.store.sources.arrays import array_source

#: How many positions of a dimension are shown on a map.
_SHOWN = 640


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """Rows that were drawn at random, and what the model says of them.

    Attributes
    ----------
    x
        (m, d) the rows, in the units of the data.
    prepared
        (m, e) the rows as the model sees them.
    row
        (m,) their numbers in the data.
    labels
        (m,) their labels; -1 for noise.
    resp
        (m, k) their responsibilities, or None for models without them. Of centres, `dissimilarity`
        has the dissimilarities instead.
    n_rows
        The number of rows of the data.
    n_blocks, n_read
        The number of blocks of the data, and of those that were read.
    dissimilarity
        (m, k) dissimilarities to the centres, or None.
    """

    x: Floats
    prepared: Floats
    row: NDArray[np.int64]
    labels: NDArray[np.int64]
    resp: Floats | None
    n_rows: int
    n_blocks: int
    n_read: int
    dissimilarity: Floats | None = None

    def __len__(self) -> int:
        return len(self.row)

    @property
    def is_all(self) -> bool:
        """Whether these are all rows that have a label."""
        return self.n_read == self.n_blocks and len(self) >= self.n_rows

    @property
    def told(self) -> str:
        """What these rows are, as a phrase: ``a random sample of 4,000 of 2,000,000 rows``."""
        if self.is_all:
            return f"all {len(self):,} rows"
        blocks = (
            ""
            if self.n_read == self.n_blocks
            else f", drawn from {self.n_read:,} of {self.n_blocks:,} blocks"
        )
        return f"a random sample of {len(self):,} of {self.n_rows:,} rows{blocks}"


@dataclass(frozen=True, eq=False)
class LabelGrid:
    """Labels on two dimensions of a grid, perhaps thinned out.

    Attributes
    ----------
    labels
        (a, b) the labels.
    names
        The names of the two dimensions.
    note
        Which part of the grid it is; "" for all of it.
    left_out
        The label of positions without a row.
    origin
        Where the first position is drawn: "upper" for images, "lower" for latitudes that rise.
    """

    labels: NDArray[np.int64]
    names: tuple[str, str]
    note: str = ""
    left_out: int = -1
    origin: str = "upper"

    @classmethod
    def of(
        cls, labels: NDArray[np.integer[Any]], names: tuple[str, str], left_out: int, note: str = ""
    ) -> LabelGrid:
        """Return labels (a, b) as a map, of which every few positions are shown if it is large."""
        step = max(1, -(-max(labels.shape) // _SHOWN))
        if step > 1:
            note = f"{note} Every {step}th position is shown.".strip()
        return cls(labels[::step, ::step].astype(np.int64), names, note, left_out)


@dataclass(frozen=True, eq=False)
class Findings:
    """What figures show: a model, rows that were drawn, the models of a sweep, labels on a grid.

    Attributes
    ----------
    section, fitted
        The model.
    rows
        Rows that were drawn; None if there are none.
    models, criterion, best
        The models of a sweep, the criterion that chose one, and its name.
    grid
        Labels on a grid, or None.
    other
        Another model's labels of the same rows, or None.
    counts
        The weight of all rows with each label, if it is known; empty otherwise.
    names_of_labels
        How figures name this labelling and the other.
    """

    section: ModelSection
    fitted: Fitted
    rows: DrawnRows | None = None
    models: tuple[Row, ...] = ()
    criterion: str = ""
    best: str = ""
    grid: LabelGrid | None = None
    other: NDArray[np.int64] | None = None
    counts: tuple[float, ...] = ()
    names_of_labels: tuple[str, str] = ("this model", "the other")

    @property
    def k(self) -> int:
        """Number of components."""
        return self.fitted.n_components

    @property
    def has_centres(self) -> bool:
        """Whether the model has centres, and no densities."""
        return self.section.name in CENTRES

    @property
    def word(self) -> str:
        """What a component is called: ``cluster``, ``component`` or ``state``."""
        if self.section.chain is not None:
            return "state"
        return "cluster" if self.has_centres else "component"

    @property
    def transitions(self) -> tuple[Floats, Floats] | None:
        """Start probabilities (k,) and transitions (k, k) of a hidden Markov model, or None."""
        params: Any = self.fitted.params
        return None if self.section.chain is None else (params.start, params.transitions)

    @property
    def minimises(self) -> bool:
        """Whether the objective is an inertia, and falls."""
        return bool(make_model(self.section).minimises)

    @property
    def objective(self) -> str:
        """The name of the objective."""
        return "inertia" if self.minimises else "log-likelihood per row (nats)"

    @property
    def n_features(self) -> int:
        """Number of features of the data."""
        return self.fitted.n_features_in

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the features of the data; their numbers if they have none."""
        found = self.fitted.feature_names
        return found or tuple(f"feature {i}" for i in range(self.n_features))

    @cached_property
    def means(self) -> Floats:
        """(k, d) the locations of the components, in the units of the data."""
        model = make_model(self.section)
        moved = model.translate(self.fitted.params, self.fitted.spread.origin)
        found: Floats = np.asarray(model.locations(moved), np.float64)
        made = self.fitted.preparation
        return found if made is None else made.moved_back(found)

    @cached_property
    def shares(self) -> Floats:
        """(k,) the mixture weights; of centres, shares of all rows, or of those that were drawn."""
        if self.has_centres and len(self.counts) == self.k:
            return np.asarray(self.counts, np.float64) / max(sum(self.counts), 1e-300)
        if self.has_centres and self.rows is not None:
            count = np.bincount(self.rows.labels, minlength=self.k)[: self.k]
            return np.asarray(count / max(count.sum(), 1), np.float64)
        return np.asarray(self.fitted.params.shares[: self.k], np.float64)

    @cached_property
    def distribution(self) -> MixtureDistribution | None:
        """The mixture in the units of the data; None if it has none."""
        if self.fitted.preparation is not None:
            return None
        try:
            # Features are told by number here, so that arrays without names are no doubt.
            # Of a hidden Markov model, it is the distribution of a row without the others.
            alone = self.section.model_copy(update={"chain": None})
            return replace(make_distribution(alone, self.fitted), feature_names=None)
        except ConfigError:
            return None

    @cached_property
    def contrasts(self) -> Contrasts | None:
        """How clusters differ in each feature, from the rows that were drawn."""
        rows = self.rows
        return None if rows is None or not len(rows) else contrasts_of(rows.x, rows.labels, self.k)

    @cached_property
    def silhouettes(self) -> Floats | None:
        """(m,) silhouettes of the drawn rows among each other; None if they have none."""
        rows = self.rows
        if rows is None or not np.isfinite(rows.prepared).all():
            return None
        known = rows.labels[rows.labels >= 0]
        if not 1 < len(np.unique(known)) < len(known):
            return None
        source = array_source(rows.prepared)
        beside = labels_beside(source, HeldLabels(rows.labels, -1))
        found: Floats = squared_samples(source, beside, LocalEngine(), False)
        return found

    def shades(self, others: Sequence[str]) -> list[str]:
        """Return a colour for each component: its own if features are colours, else `others`."""
        if self.names != ("red", "green", "blue"):
            return list(others)
        scale = 255.0 if float(np.nanmax(self.means)) > 1.0 else 1.0
        rgb = np.clip(np.round(self.means / scale * 255.0), 0, 255).astype(int)
        return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb.tolist()]

    @cached_property
    def overlap(self) -> Floats | None:
        """(k, k) how much of the rows labelled i may belong to j; None without rows."""
        return None if self.rows is None else overlap_of(self.rows, self.k)

    def telling(self, n: int = 2) -> list[int]:
        """Return the `n` features that tell the components apart best, the best one first."""
        if self.contrasts is not None:
            score = self.contrasts.explained
        else:
            scale = self.means.std(axis=0)
            score = np.where(np.isfinite(scale), scale, 0.0)
        order = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")
        return [int(i) for i in order[:n]]

    def feature(self, which: Any) -> int:
        """Return the index of a feature that a user names; ConfigError if there is none."""
        if isinstance(which, str) and which in self.names:
            return self.names.index(which)
        if isinstance(which, int | np.integer) and not isinstance(which, bool):
            if 0 <= which < self.n_features:
                return int(which)
            raise ConfigError(
                f"There is no feature {which}; expected a number from 0 to {self.n_features - 1}."
            )
        raise ConfigError(
            f"There is no feature {which!r}; expected one of {', '.join(self.names[:20])}, or its "
            "number."
        )

    def with_rows(self, rows: DrawnRows) -> Findings:
        """Return these findings with other rows."""
        return replace(self, rows=rows)


#: A row is between two centres if its own one is less than this factor nearer than the other.
NEAR = 0.8


def overlap_of(rows: DrawnRows, k: int) -> Floats | None:
    """Return (k, k) how much of the rows labelled i may belong to j.

    With responsibilities, it is their mean. With dissimilarities, it is the share of rows whose
    centre j is nearly as near as their own: d_i > `NEAR` d_j.
    """
    found = np.zeros((k, k))
    for i in range(k):
        own = rows.labels == i
        if not own.any():
            continue
        if rows.resp is not None:
            found[i] = rows.resp[own][:, :k].mean(axis=0)
        elif rows.dissimilarity is not None:
            away = rows.dissimilarity[own]
            found[i] = (away[:, [i]] > NEAR * away).mean(axis=0)
        else:
            return None
        found[i, i] = 0.0
    return found


def certainty(rows: DrawnRows) -> Array | None:
    """Return (m,) the largest responsibility of each row; None without responsibilities."""
    return None if rows.resp is None else rows.resp.max(axis=1)
