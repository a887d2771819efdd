"""Principal components of many features by a randomised range finder, and how exact they are.

Halko, Martinsson and Tropp 2011: subspace iteration with the covariance as the operator. One pass
over the rows multiplies it by a few directions, so that no matrix of all features is needed. The
residuals of the last pass bound the error of each variance that is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import ShapeError
from emdist.interfaces import Engine, Floats, Source
from emdist.prepare.base import Known, LearnedArrays
from emdist.prepare.eigen import check_weight, signed
from emdist.prepare.pca import PcaStep
from emdist.prepare.preparation import Preparation
from emdist.sums import Sums

#: A component is doubtful if its variance is known to less than this share of it.
_DOUBTFUL = 0.05


@dataclass(frozen=True)
class RangeTask:
    """The task that multiplies the covariance by directions, for the rows of one block.

    Attributes
    ----------
    source
        The source to read from.
    preparation
        The steps before.
    mean
        (d,) the mean of the rows after these steps.
    directions
        (d, l) orthonormal directions.
    """

    source: Source
    preparation: Preparation
    mean: Floats
    directions: Floats

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        total = np.zeros(self.directions.shape)
        for x, weight in self.preparation.counted(block):
            x -= self.mean
            scores = x @ self.directions
            total += x.T @ (scores if weight is None else weight[:, None] * scores)
        return Sums({"product": total})


def found_range(
    step: Any,
    made: Preparation,
    known: Known,
    source: Source,
    engine: Engine,
    done: Callable[[int], None] | None = None,
) -> tuple[LearnedArrays, str, list[str]]:
    """Return what `step`, a `PcaStep`, learns in `step.passes` passes, a note, and warnings.

    Parameters
    ----------
    step
        The step.
    made
        The steps before it.
    known
        The means and variances of the rows after the steps before.
    source, engine
        The rows, and the engine that makes the passes.
    done
        Called with the number of blocks that a pass has finished.
    """
    assert isinstance(step, PcaStep)
    d, wanted = len(known.mean), step.components
    assert isinstance(wanted, int)
    check_weight(known.weight)
    rank = int(min(d, known.weight))
    if wanted > rank:
        raise ShapeError(
            f"pca asks for {wanted} components of rows with a total weight of {known.weight:g} "
            f"and {d} features; expected at most {rank}. Ask for fewer components."
        )
    width = min(rank, wanted + step.oversampling)
    rng = np.random.default_rng([step.seed, 0x9CA])
    basis, _ = np.linalg.qr(rng.standard_normal((d, width)))
    image = basis
    for _ in range(step.passes):
        basis = np.linalg.qr(image)[0] if image is not basis else basis
        task = RangeTask(source, made, known.mean, basis)
        sums = engine.map_reduce(task, range(len(source)), done)
        image = sums["product"] / (known.weight - 1)
    values, within, errors = _ritz(basis, image)
    total = float(known.variance.sum() * known.weight / (known.weight - 1))
    values, errors = values[:wanted], errors[:wanted]
    learned = {
        "mean": known.mean,
        "components": signed((basis @ within[:, :wanted]).T),
        "variance": values,
        "ratio": values / total,
        "noise": np.array(max(0.0, total - values.sum()) / max(1, rank - wanted)),
        "weight": np.array(known.weight),
        "error": errors,
    }
    return learned, *_told(values, errors, step.passes, total)


def _ritz(basis: Floats, image: Floats) -> tuple[Floats, Floats, Floats]:
    """Return Ritz values (largest first), vectors in the basis, and bounds of the errors.

    The residual ``|C v - value v|`` of a Ritz vector v bounds the distance of its value from an
    eigenvalue of C.
    """
    gram = basis.T @ image
    values, within = np.linalg.eigh(0.5 * (gram + gram.T))
    values, within = np.maximum(values[::-1], 0.0), within[:, ::-1]
    residual = image @ within - (basis @ within) * values
    return values, within, np.sqrt((residual**2).sum(axis=0))


def _told(values: Floats, errors: Floats, passes: int, total: float) -> tuple[str, list[str]]:
    """Return the note about the passes and the error, and warnings."""
    share = errors / np.where(values > 0, values, 1.0)
    worst = int(np.argmax(share))
    note = (
        f"pca: {len(values)} components by a randomised range finder in {passes} passes, which "
        f"explain {values.sum() / total:.4g} of the variance. Each variance is that of a component "
        f"to within {float(share.max()):.2g} of its value (a-posteriori bound)."
    )
    if share[worst] <= _DOUBTFUL:
        return note, []
    return note, [
        f"pca: the variance of component {worst} is known only to within {share[worst]:.2g} of its "
        "value. Raise passes (now "
        f"{passes}) or oversampling of pca for more exact components, or ask for fewer."
    ]
