"""`Preparing`: learns how rows are prepared once per run, and stores it in the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from emdist.engines.threads import LocalEngine
from emdist.errors import CheckpointError, RunMismatchError
from emdist.fit.data_changes import stamps
from emdist.fit.events import Listener, Progress, Warned, unheard
from emdist.fit.plan import Plan
from emdist.fit.prepared_blocks import kept_prepared, uncached
from emdist.interfaces import Array, Engine, Source
from emdist.prepare.base import PrepareStep
from emdist.prepare.learning import learn
from emdist.prepare.making import make_steps
from emdist.prepare.preparation import Preparation
from emdist.store.runs.codec import decode, encode
from emdist.store.runs.run_folder import RunFolder

#: The kind of the checkpoint that holds what the steps have learned.
PREPARE = "prepare"


@dataclass(frozen=True)
class StoredPreparation:
    """What is stored of a `Preparation` beside its steps, which are stored as a configuration.

    Attributes
    ----------
    features
        How many features the rows have before the first step.
    learned
        What each step has learned: arrays by name.
    notes, doubts
        What users are told of it.
    """

    schema: ClassVar[int] = 1

    features: int
    learned: tuple[Mapping[str, NDArray[Any]], ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


def encoded(preparation: Preparation) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return a preparation as arrays and JSON, from which `decoded` makes it."""
    stored = StoredPreparation(
        preparation.n_features_in,
        tuple(dict(one) for one in preparation.learned),
        preparation.notes,
        preparation.doubts,
    )
    arrays, meta = encode(stored)
    return arrays, {"steps": preparation.config(), "value": meta}


def decoded(arrays: Mapping[str, Array], meta: Any) -> Preparation:
    """Return the preparation that `encoded` was given.

    Raises
    ------
    CheckpointError
        If arrays or JSON are damaged, or do not fit together.
    """
    if not isinstance(meta, Mapping) or not {"steps", "value"} <= set(meta):
        raise CheckpointError("the steps of prepare are missing or damaged")
    try:
        steps = make_steps(meta["steps"])
    except ValueError as error:
        raise CheckpointError(f"the steps of prepare are damaged: {error}") from None
    found = decode(StoredPreparation, arrays, meta["value"])
    if len(found.learned) != len(steps):
        raise CheckpointError("what the steps of prepare have learned is incomplete")
    made = Preparation(found.features, steps, found.learned, found.notes, found.doubts)
    _ = made.widths  # Raises if arrays do not fit together.
    return made


@dataclass(frozen=True)
class Preparing:
    """How the rows of a run are prepared, before it is known.

    Attributes
    ----------
    steps
        The steps, at least one.
    source, engine
        The rows of the run, and the engine that makes the passes.
    plans
        Returns the plans of the run's fits, for prepared rows.
    listen
        Called with each event.
    missing
        Whether NaN counts as a missing value.
    before
        How the model that the run starts from prepares rows, by the same steps. It is kept, because
        the parameters of that model are those of rows that it prepared.
    """

    steps: tuple[PrepareStep, ...]
    source: Source
    engine: Engine
    plans: Callable[[Source], Sequence[Plan]]
    listen: Listener = unheard
    missing: bool = False
    before: Preparation | None = None

    def learned(self, folder: RunFolder, epoch: int) -> Preparation:
        """Return what the steps have learned: from the folder of the run, or by passes."""
        saved = folder.load(PREPARE)
        # Before the survey, data that were written since then are no other run: learn again.
        known = folder.load("survey") is not None or folder.stamps() == stamps(self.source)
        if saved is not None and known:
            made = decoded(saved.arrays, saved.meta)
            if made.steps and made.n_features_in != self.source.shape[1]:
                raise CheckpointError(
                    "the stored steps of prepare are for rows of another number of features"
                )
        else:
            found = stamps(self.source)
            made = self._learn()
            folder.save(PREPARE, 0, *encoded(made), epoch)
            folder.accept(found, epoch)
        for doubt in made.doubts:
            self.listen(Warned(doubt))
        return made

    def check_unchanged(self, folder: RunFolder, found: Mapping[str, str]) -> None:
        """Raise RunMismatchError if the stamps of the data are not those that were learned from."""
        if folder.stamps() != found:
            raise RunMismatchError(
                "The data changed after emdist learned how to prepare them. Wait until the data "
                "are complete, then start the same command again. It learns again."
            )

    def _learn(self) -> Preparation:
        """Learn the steps from all rows, unless they are those of an earlier model."""
        if self.before is not None:
            return self.before
        total = len(self.source)
        self.listen(Progress("prepare", 0, total))
        # Blocks that are read once are not worth keeping: the budget is for prepared blocks.
        once = uncached(self.source) if isinstance(self.engine, LocalEngine) else self.source
        return learn(
            self.steps,
            once,
            self.engine,
            self.missing,
            lambda done: self.listen(Progress("prepare", done, total)),
        )

    def ready(self, made: Preparation) -> tuple[Plan, ...]:
        """Return the plans of the fits, whose rows are prepared."""
        return tuple(self.plans(kept_prepared(self.source, made, self.engine)))
