"""Labels, scores and responsibilities as users see them, with a check of their precision.

A row may lie so far from all components that its scores overflow, or keep too few digits. Such
rows are scored again with more care. If even that gives no finite number, the row is refused with
an error, as it is when a model is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import DataError
from emdist.fit.survey import accepts_missing, check_block
from emdist.interfaces import Array, Assigned, Block, Floats, Model, Numerics
from emdist.models.precision import CAREFUL

#: Nats per feature below which a float32 score is computed again: its terms are at least as large.
_FAR = -1e3
#: Dissimilarities above which products in float32 may overflow.
_FAR_APART = 1e30
#: Bytes of responsibilities that are in memory at once.
_RESPONSIBILITIES = 16 << 20


def assigned(
    model: Model[Any],
    block: Block,
    params: Any,
    origin: Floats,
    numerics: Numerics,
    resp: bool = False,
) -> Assigned:
    """Return labels, scores and, on request, responsibilities of the rows that are not left out.

    Raises
    ------
    DataError
        If the model does not accept the rows or weights, or if a score is not finite.
    """
    check_block(block, model.domain, model.missing, partial(accepts_missing, model))
    shown = model.shown(params, numerics, resp)
    found = _assigned(model, block, params, origin, shown, resp)
    if found.resp is not None:
        found = replace(found, resp=found.resp.astype(numerics.dtype, copy=False))
    if block.pieces is not None:
        # What a row gets depends on the rows around it, so none is computed again by itself.
        check_scores(found.score, block, model.minimises)
        return found
    if shown.dtype == "float32" and (far := _far(found.score, model, block.x.shape[1])).any():
        # Not about the means yet: far out, the difference between components is linear in x.
        wide = Numerics("float64")
        found = _patched(
            found, far, _assigned(model, _only(block, far), params, origin, wide, resp)
        )
        # Noise is compared with what all components share. This grows with distance and cancels.
    lost = ~np.isfinite(found.score) | ((found.labels < 0) & (not shown.centred))
    if lost.any():
        found = _patched(
            found, lost, _assigned(model, _only(block, lost), params, origin, CAREFUL, resp)
        )
        check_scores(found.score, block, model.minimises)
    return found


def assigned_in_parts(
    model: Model[Any],
    block: Block,
    params: Any,
    origin: Floats,
    numerics: Numerics,
    columns: int,
) -> Iterator[tuple[slice, Assigned]]:
    """Yield what the model assigns, with responsibilities, to ranges of the rows that count.

    `columns` is the number of responsibilities of a row. Few of them are in memory at once, unless
    what a row gets depends on the other rows of its sequence.
    """
    counted = block.local()
    rows = max(1, _RESPONSIBILITIES // (8 * columns))
    if rows >= len(counted) or block.pieces is not None:
        rows = max(1, len(counted))
    for a in range(0, len(counted), rows):
        part, here = block, slice(a, min(a + rows, len(counted)))
        if here.stop - a < len(counted):
            mask = np.zeros(len(block.x), bool)
            mask[counted[here]] = True
            part = replace(block, mask=mask)
        yield here, assigned(model, part, params, origin, numerics, True)


def check_scores(score: Floats, block: Block, distances: bool = False) -> None:
    """Raise DataError unless all of `score` (m,) or (m, k), of the rows that count, are finite.

    The scores are distances if `distances` is True, and log-likelihoods otherwise.
    """
    bad = ~np.isfinite(score)
    if not bad.any():
        return
    at = int(np.argmax(bad.any(axis=1) if bad.ndim > 1 else bad))
    name = block.named(int(block.local()[at]))
    row = np.nan_to_num(block.valid()[0][at].astype(np.float64))
    feature = int(np.argmax(np.abs(row)))
    place, what = ("centre", "distance") if distances else ("component", "log-likelihood")
    raise DataError(
        f"{name[0].upper()}{name[1:]} is so far from every {place} that its {what} is not a finite "
        f"number in float64. Its feature {feature} is {row[feature]:g}. Check the units and the "
        "order of the features, or leave the row out."
    )


def _assigned(
    model: Model[Any], block: Block, params: Any, origin: Floats, numerics: Numerics, resp: bool
) -> Assigned:
    """Return what the model assigns, without warnings about overflow."""
    # Scores that overflow are checked in `assigned`.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return model.assign(block, params, origin, numerics, resp)


def _far(score: Floats, model: Model[Any], d: int) -> NDArray[np.bool_]:
    """Return (m,) which float32 rows to score again, including those without a finite score."""
    near: NDArray[np.bool_] = score <= _FAR_APART if model.minimises else score >= _FAR * d
    return ~near


def _only(block: Block, which: NDArray[np.bool_]) -> Block:
    """Return the block restricted to the rows `which` (m,), counted among those that count."""
    mask = np.zeros(len(block.x), bool)
    mask[block.local()[which]] = True
    return replace(block, mask=mask)


def _patched(found: Assigned, which: NDArray[np.bool_], new: Assigned) -> Assigned:
    """Return `found` with `new` in place of the rows `which`."""
    labels, score = found.labels.copy(), found.score.copy()
    labels[which], score[which] = new.labels, new.score
    resp: Array | None = None
    if found.resp is not None:
        resp = found.resp.copy()
        resp[which] = new.resp
    return Assigned(labels, score, resp)
