"""Outputs of a labelling, one per file: what is computed for a row, and how it is stored.

A file has a constant ``output``. The order of `OUTPUTS` is that of lists that users see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emdist.inputs.plugins import plugins
from emdist.store.labels.outputs.base import LabelOutput


def _found() -> dict[str, LabelOutput]:
    found: dict[str, Any] = plugins(__name__, "output")
    return dict(sorted(found.items(), key=lambda item: item[1].place))


#: The outputs that can be written, by the names of their arrays.
OUTPUTS: dict[str, LabelOutput] = _found()


def needs_filter(outputs: Sequence[str]) -> bool:
    """Return whether one of `outputs` is computed from posteriors given the rows so far."""
    return any(OUTPUTS[name].of_sequences for name in outputs)


def needs_posterior(outputs: Sequence[str]) -> bool:
    """Return whether one of `outputs` is computed from responsibilities."""
    return any(OUTPUTS[name].from_posterior for name in outputs)
