"""Runs that go on with other stop rules: whether they may, and what was made before they did."""

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
    """Refuse to extend a run whose way so far would have been another; nothing is changed.

    Parameters
    ----------
    folder
        Of the run.
    found
        What its record is to become: `emdist.jobs.records.record`.
    recipes
        What it fits.

    Raises
    ------
    NotFoundError, RunMismatchError, CheckpointError
        There is no run, it is another, or it cannot be extended so far.
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
        return  # nothing is done yet
    known = decode(Survey, survey.arrays, survey.meta)
    types = [one.types for one in recipes]
    state = decode_fits(saved.arrays, saved.meta, types, alone=not recipes[0].name)
    for one, fit in zip(recipes, state.fits, strict=True):
        check_extension(one, old, (known, fit))


def former_identities(folder: RunFolder, identity: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The identities that a run had before it was extended: of labels that it may replace."""
    stored = folder.record()
    digests = [one.get("config_digest") for one in former(stored)] + [stored["config_digest"]]
    return [{**identity, "config": one} for one in digests if one != identity["config"]]
