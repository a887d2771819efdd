"""Choose where the labels of a run go, and check that they can go there, before computing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError
from emdist.fit.events import Listener, Warned, unheard
from emdist.interfaces import Source
from emdist.prepare.source import unprepared
from emdist.settings.config import Config
from emdist.store.chunks.zarr_thread import apart
from emdist.store.grids.boxes import Boxes
from emdist.store.grids.coordinates import Coordinates, coordinates_of, told_unreadable
from emdist.store.labels.array_plans import StoredOutputs, chosen_columns
from emdist.store.labels.check import is_labelled
from emdist.store.labels.companions import check_names
from emdist.store.labels.creation import check_outputs
from emdist.store.labels.layouts import layout_of_plan
from emdist.store.labels.outputs import OUTPUTS
from emdist.store.labels.place import Wanted, check_folder, check_place, label_mark
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import OWN, TOMBSTONE


def labels_location(config: Config, run: Location, own: Sequence[str] = ()) -> Location:
    """Return where a run's labels go: ``labels.path``, or ``labels.zarr`` in the run's folder.

    ConfigError, before anything is computed, if ``labels.path`` is a ZIP file, or a name that the
    run itself uses in its folder: one of `OWN`, or of `own` for a run that uses more names.
    """
    if config.labels.path is None:
        return run.child("labels.zarr")
    target = Location(config.labels.path, config.labels.storage_options)
    if config.labels.write:
        check_folder(target)
    taken = next(
        (name for name in (*OWN, TOMBSTONE, *own) if target.is_within(run.child(name))), None
    )
    if config.labels.write and taken is not None:
        raise ConfigError(
            f"The labels cannot go to {target}, because the run {run} stores its own {taken} "
            "there. Set labels.path to another place."
        )
    return target


def check_labels(
    recipes: Sequence[Recipe],
    outputs: Sequence[str],
    components: Sequence[int] | None,
    n_columns: int,
) -> None:
    """Check before anything is computed that the models have what is to be written.

    Parameters
    ----------
    recipes
        The models, of which one will label the rows.
    outputs, components
        What is to be written.
    n_columns
        The number of columns of responsibilities of the largest model.

    Raises
    ------
    ConfigError
        If an output or a component does not exist, or if a model without posterior probabilities
        has no such output.
    """
    check_outputs(outputs, components)
    for recipe in recipes:
        unknown = [name for name in outputs if OUTPUTS[name].of_mixtures]
        if unknown and recipe.model.minimises:
            raise ConfigError(
                f"The output {', '.join(unknown)} cannot be written: {recipe.section.name} has no "
                "posterior probabilities, because each row belongs wholly to the nearest centre. "
                "Leave the output out, or fit a mixture."
            )
        unknown = [name for name in outputs if OUTPUTS[name].of_sequences]
        if unknown and recipe.section.chain is None:
            raise ConfigError(
                f"The output {', '.join(unknown)} cannot be written: {recipe.section.name} does "
                "not look at the order of rows. Leave the output out, or fit a hidden Markov model "
                "(model.name: hmm)."
            )
    noise = recipes[0].section.noise is not None
    try:
        chosen_columns(components, n_columns, noise)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def check_grid(source: Source, outputs: Sequence[str]) -> None:
    """Raise ConfigError if a dimension or coordinate of a grid has a name that labels use."""
    if isinstance(source.bounds, Boxes):
        contents = StoredOutputs(tuple(outputs), layout_of_plan(source.bounds), 1)
        check_names(contents, coordinates_of(source))


def coordinates_to_store(source: Source, listen: Listener) -> Coordinates:
    """Return what describes the grid of `source`, with its digest, as far as labels can have it.

    `listen` is told what cannot be read, and which names cannot be stored.
    """
    found = coordinates_of(unprepared(source))
    if unstorable := found.unstorable:
        named = ", ".join(map(repr, unstorable))
        listen(
            Warned(
                f"The labels are without the coordinates {named}, because their names contain a "
                "space or '/', which stored coordinates cannot have. Rename them in the data."
            )
        )
    kept, faults = apart(found.without(unstorable).checked)()
    if faults:
        listen(Warned(told_unreadable(faults)))
    return kept


def labels_stand(
    config: Config,
    target: Location,
    identity: Mapping[str, Any],
    replaces: bool = False,
    source: Source | None = None,
) -> bool:
    """Return whether the labels at `target` are complete and as asked; errors for other labels.

    `replaces` says that labels there are the run's own, from before it was extended. If a `source`
    is given, labels with other coordinates than it has are not as asked.
    """
    labels = config.labels
    overwrite = labels.overwrite or replaces
    components = None if labels.components is None else tuple(labels.components)
    wanted = Wanted(identity, tuple(labels.outputs), overwrite, components=components)
    found = check_place(target, wanted)
    if found != "continue" or not is_labelled(target):
        return False
    stored = (label_mark(target) or {}).get("coordinates")
    if stored is None or source is None:
        return True
    return bool(stored == coordinates_to_store(source, unheard).digest)
