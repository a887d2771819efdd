"""Choose where the labels of a run go, and check that they can go there, before computing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emdist.errors import ConfigError
from emdist.settings.config import Config
from emdist.store.labels.check import is_labelled
from emdist.store.labels.place import Wanted, check_place
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import OWN


def labels_location(config: Config, run: Location, own: Sequence[str] = ()) -> Location:
    """Return where a run's labels go: ``labels.path``, or ``labels.zarr`` in the run's folder.

    ConfigError, before anything is computed, if ``labels.path`` is a name that the run itself uses
    in its folder: one of `OWN`, or of `own` for a run that uses more names.
    """
    if config.labels.path is None:
        return run.child("labels.zarr")
    target = Location(config.labels.path, config.labels.storage_options)
    taken = next((name for name in (*OWN, *own) if target.is_within(run.child(name))), None)
    if config.labels.write and taken is not None:
        raise ConfigError(
            f"The labels cannot go to {target}, because the run {run} stores its own {taken} "
            "there. Set labels.path to another place."
        )
    return target


def labels_stand(
    config: Config, target: Location, identity: Mapping[str, Any], replaces: bool = False
) -> bool:
    """Return whether the labels at `target` are complete and as asked; errors for other labels.

    `replaces` says that labels there are the run's own, from before it was extended.
    """
    labels = config.labels
    overwrite = labels.overwrite or replaces
    found = check_place(target, Wanted(identity, tuple(labels.outputs), overwrite))
    return found == "continue" and is_labelled(target)
