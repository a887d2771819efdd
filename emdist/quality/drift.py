"""Drift: how far data, and a model fitted to them, are from the model that the fit started from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import DriftError
from emdist.fit.aligning import Matching
from emdist.inputs.quoting import listed
from emdist.interfaces import Floats
from emdist.quality.doubts import Doubt
from emdist.settings.config import DriftSection


@dataclass(frozen=True)
class Reference:
    """What an earlier model had on the data that it was fitted to.

    Attributes
    ----------
    name
        Where the model is, as messages name it.
    score
        Its mean log-likelihood in nats or, for centres, its inertia per row; None if unknown.
    shares
        The share of each component; None if unknown.
    """

    name: str
    score: float | None = None
    shares: tuple[float, ...] | None = None


def drift_figures(
    reference: Reference,
    matching: Matching,
    shares: Floats,
    labelled: Mapping[str, Any],
    minimises: bool,
) -> dict[str, Any]:
    """Return the figures of drift as JSON values.

    Parameters
    ----------
    reference
        The earlier model.
    matching
        Which component of the model is which component of the earlier one.
    shares
        The share of each component now, (k,), in the new order.
    labelled
        The sums of a pass in which the earlier model labelled the data: ``count``, ``score`` and
        ``weight``.
    minimises
        Whether the score is an inertia.

    Returns
    -------
    dict
        ``from``; ``moved``, the distance of each component in standard deviations of the data;
        ``shares``, with ``before``, ``under_earlier_model`` (of the data labelled by the earlier
        model) and ``now``, in the order of the present model; ``score``, with ``before`` and
        ``now``, both of the earlier model on its data and on the present data; ``new`` and
        ``gone``.
    """
    weight = float(labelled["weight"])
    count = np.asarray(labelled["count"], float)
    total = float(count.sum())
    matches = matching.matches
    under = [float(count[j] / total) if j >= 0 and total else None for j in matches.tolist()]
    known = reference.shares
    before = None if known is None else [known[j] if j >= 0 else None for j in matches.tolist()]
    return {
        "from": reference.name,
        "objective": "inertia per row" if minimises else "log-likelihood per row",
        "moved": [None if math.isnan(one) else float(one) for one in matching.moved],
        "shares": {
            "before": before,
            "under_earlier_model": under,
            "now": [float(share) for share in shares],
        },
        "score": {
            "before": reference.score,
            "now": float(labelled["score"]) / weight if weight else None,
        },
        "new": list(matching.new),
        "gone": list(matching.gone),
    }


def loss_of(figures: Mapping[str, Any]) -> float | None:
    """Return how much worse the earlier model describes the data than its own; None if unknown.

    It is a difference in nats or, for an inertia, its relative growth.
    """
    before, now = figures["score"]["before"], figures["score"]["now"]
    if before is None or now is None:
        return None
    if figures["objective"].startswith("inertia"):
        return now / before - 1.0 if before > 0 else None
    return float(before - now)


def changes_of(figures: Mapping[str, Any]) -> list[float | None]:
    """Return the change of the share of each component; None if it is unknown."""
    shares = figures["shares"]
    if shares["before"] is None:
        return [None] * len(shares["now"])
    pairs = zip(shares["before"], shares["now"], strict=True)
    return [None if before is None else now - before for before, now in pairs]


def drift_doubts(figures: Mapping[str, Any], limits: DriftSection) -> tuple[Doubt, ...]:
    """Return a doubt for each limit that the figures exceed."""
    found = []
    source = figures["from"]
    far = _beyond(figures["moved"], limits.moved)
    if far:
        most = max(figures["moved"][k] for k in far)
        found.append(
            _doubt(
                far,
                f"moved by up to {most:.3g} standard deviations from their places in {source} "
                f"(drift.moved: {limits.moved:g})",
            )
        )
    changed = _beyond(changes_of(figures), limits.share)
    if changed:
        most = max((changes_of(figures)[k] or 0.0 for k in changed), key=abs)
        found.append(
            _doubt(
                changed,
                f"changed their share by up to {most:+.3g} since {source} "
                f"(drift.share: {limits.share:g})",
            )
        )
    loss = loss_of(figures)
    if limits.score is not None and loss is not None and loss > limits.score:
        score = figures["score"]
        what = (
            f"The model in {source} describes the data worse than its own: {figures['objective']} "
            f"{score['now']:.6g}, and {score['before']:.6g} on its own data (drift.score: "
            f"{limits.score:g})."
        )
        found.append(Doubt("drift", (), what))
    return tuple(found)


def check_drift(figures: Mapping[str, Any], limits: DriftSection, run: str) -> None:
    """Raise DriftError if the figures exceed limits, and these ask for an error."""
    doubts = drift_doubts(figures, limits) if limits.action == "fail" else ()
    if doubts:
        raise DriftError(
            f"{' '.join(doubt.message for doubt in doubts)} The run in {run} is complete, with its "
            "model and labels. To accept it, raise the limit or set drift.action to 'warn', and "
            "start the same run again. A later run with fit.from: latest does not start from it."
        )


def _beyond(values: list[float | None], limit: float | None) -> list[int]:
    if limit is None:
        return []
    return [k for k, value in enumerate(values) if value is not None and abs(value) > limit]


def _doubt(components: list[int], what: str) -> Doubt:
    one = len(components) == 1
    names = f"{'Component' if one else 'Components'} {listed(components, 5)}"
    return Doubt("drift", tuple(components), f"{names} {what}.")


def drift_facts(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures as facts of a summary."""
    moved = [(one, k) for k, one in enumerate(figures["moved"]) if one is not None]
    facts = [("started from", figures["from"])]
    if moved:
        most, k = max(moved)
        facts.append(("moved", f"at most {most:.3g} standard deviations (component {k})"))
    changes = [(one, k) for k, one in enumerate(changes_of(figures)) if one is not None]
    if changes:
        most, k = max(changes, key=lambda pair: abs(pair[0]))
        facts.append(("share changed", f"at most by {most:+.3g} (component {k})"))
    score = figures["score"]
    if score["now"] is not None:
        known = score["before"]
        told = "" if known is None else f", {known:.6g} on its own data"
        facts.append(
            ("earlier model", f"{figures['objective']} {score['now']:.6g} on these data{told}")
        )
    which = [name for name in ("new", "gone") if figures[name]]
    return facts + [(name, f"components {listed(figures[name], 10)}") for name in which]
