"""Learns the steps of an estimator's parameter `prepare`, or takes those of an earlier fit."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from emdist import fit, prepare
from emdist.errors import ConfigError, DegenerateWarning, StartError
from emdist.estimators.verbose import listener
from emdist.interfaces import Engine, Source
from emdist.wording import worded

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.prepare.preparation import Preparation


def learned_for(
    values: Any,
    source: Source,
    engine: Engine,
    missing: bool,
    verbose: int,
    before: Fitted | None,
) -> Preparation | None:
    """Return how the rows of `source` are prepared for a fit; None if there are no steps.

    Parameters
    ----------
    values
        The value of the parameter `prepare`.
    source, engine
        The rows, and the engine that makes the passes.
    missing
        Whether NaN counts as a missing value.
    verbose
        Whether progress is shown.
    before
        The earlier fit that a warm start continues, or None. Its steps are kept as they are,
        because its parameters are those of rows that they prepared.

    Raises
    ------
    StartError
        If the earlier fit prepared rows by other steps.
    ConfigError
        If the steps are wrong.
    """
    steps = prepare.making.make_steps(values)
    if before is not None:
        known = [] if before.preparation is None else before.preparation.config()
        if known != [step.config() for step in steps]:
            raise StartError(
                "warm_start: the previous fit prepared rows by other steps. Set prepare to its "
                "former value, or set warm_start=False to start from scratch."
            )
        return before.preparation
    if not steps:
        return None
    total, listen = len(source), listener(verbose)
    made = prepare.learning.learn(
        steps,
        source,
        engine,
        missing,
        lambda done: listen(fit.events.Progress("prepare", done, total)),
    )
    warn_of(made, stacklevel=5)
    return made


def warn_of(made: Preparation, stacklevel: int) -> None:
    """Warn of what is doubtful in what the steps have learned."""
    for doubt in made.doubts:
        warnings.warn(worded(doubt, "parameters"), DegenerateWarning, stacklevel=stacklevel)


def fixed(values: Any, d: int, what: str) -> Preparation | None:
    """Return the steps of `prepare` for rows of `d` features, without any data to learn from.

    Raises
    ------
    ConfigError
        If a step needs to learn from data. `what` says what has none.
    """
    steps = prepare.making.make_steps(values)
    if not steps:
        return None
    made = prepare.learning.nothing_learned(steps, d)
    if made is None:
        learning = ", ".join(step.name for step in steps if step.need(d))
        raise ConfigError(
            f"prepare: {what} cannot learn the steps {learning}, which need all rows. Call fit, or "
            "prepare the rows before with the transformers of emdist.prepare."
        )
    return made
