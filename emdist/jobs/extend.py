"""Extend a run with other stop rules: check that it may be extended, and find its old labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emdist.composition.make import check_extension
from emdist.composition.recipe import Recipe
from emdist.fit.survey import Survey
from emdist.fit.together.sweep import decode_fits
from emdist.jobs.records import recorded_config
from emdist.settings.config import FitSection, make_section
from emdist.store.runs.codec import decode
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import former, identity_differences


def check_extending(folder: RunFolder, found: Mapping[str, Any], recipes: Sequence[Recipe]) -> None:
    """Refuse to extend a run if the new stop rules would have changed its iterations so far.

    Nothing is changed.

    Parameters
    ----------
    folder
        The folder of the run.
    found
        The new record of the run, from `emdist.jobs.records.record`.
    recipes
        The models that the run fits.

    Raises
    ------
    NotFoundError
        If there is no run.
    RunMismatchError
        If the run has another configuration or other data, or the new stop rules would have
        changed what it has computed.
    CheckpointError
        If the run is damaged.
    """
    folder.create_or_check(found, extend=True)
    stored = folder.record()
    if not identity_differences(stored, found):
        return
    old = make_section(
        FitSection, recorded_config(stored, folder.location)["fit"], f"{folder.location}: fit"
    )
    survey, saved = folder.load("survey"), folder.load("ckpt")
    if survey is None or saved is None:
        return  # Nothing has been computed yet.
    known = decode(Survey, survey.arrays, survey.meta)
    types = [one.types for one in recipes]
    state = decode_fits(saved.arrays, saved.meta, types, alone=not recipes[0].name)
    for one, fit in zip(recipes, state.fits, strict=True):
        check_extension(one, old, (known, fit))


def former_identities(folder: RunFolder, identity: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the identities of the run before each extension; it may replace labels with these."""
    stored = folder.record()
    digests = [one.get("config_digest") for one in former(stored)] + [stored["config_digest"]]
    return [{**identity, "config": one} for one in digests if one != identity["config"]]
