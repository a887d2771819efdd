"""Compiles the kernels of a model before they are needed, by fits of a few rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from emdist.composition.make import make_plan
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.errors import EmdistError
from emdist.fit.fitted import Collect, result
from emdist.fit.observed import observed_source
from emdist.fit.start import Given
from emdist.fit.unsaved import completed
from emdist.inputs.plugins import plugins
from emdist.inputs.sequences import one_sequence
from emdist.interfaces import Array, Engine, Source
from emdist.kernels.compiled import compiled
from emdist.settings.config import FitSection, ModelSection
from emdist.settings.model import FAMILIES
from emdist.store.sources.arrays import array_source
from emdist.store.sources.sequenced import SequencedSource

#: Options without which a family cannot be made.
_OPTIONS = {"binomial": {"trials": 2}, "categorical": {"categories": 2}}
#: What `ModelSection` knows beside families.
_CENTRES = ("kmeans", "kmedians")
#: A chain of Gaussian states: the kernels of chains are the same for all families.
_CHAIN = "hmm"
#: What this process has shared: client, model and type of rows.
_SHARED: set[str] = set()
#: Rows of a fit, and the most features: kernels do not depend on the number of features.
_ROWS, _FEATURES = 64, 32


def known_models() -> list[str]:
    """Return the names of the models that can be compiled without further options."""
    families = sorted(name for name in plugins(FAMILIES, "family") if _makes(name))
    return [*_CENTRES, *families, _CHAIN]


def model_of(name: str) -> ModelSection:
    """Return the section of a model with two components and the options that it needs."""
    given = {"name": name, "n_components": 2, "options": _OPTIONS.get(name, {})}
    return ModelSection.model_validate(given)


def warm_model(name: str, dtype: np.dtype[np.generic]) -> bool:
    """Compile what `warm` does for a model by name, softly and hardly assigned."""
    section = model_of(name)
    how = ("soft",) if name in _CENTRES else ("soft", "hard")
    return all(warm(section.model_copy(update={"assignment": one}), dtype) for one in how)


def _makes(name: str) -> bool:
    try:
        _ = Recipe(model_of(name), FitSection()).model
    except EmdistError:
        return False
    return True


def warm(
    section: ModelSection,
    dtype: np.dtype[np.generic],
    features: int = 4,
    init: str = "random",
) -> bool:
    """Compile the kernels that fit and label rows of a model; return whether that was possible.

    Nothing is compiled of which the machine has compiled code already.

    Parameters
    ----------
    section
        The model. A fit of two of its components needs the same kernels.
    dtype
        The type of the stored rows.
    features
        The number of features, for models whose options depend on it.
    init
        How starting values are chosen.
    """
    rows = _rows(dtype, min(features, _FEATURES))
    engine = LocalEngine(1)
    source: Source = array_source(rows)
    if section.chain is not None:
        # Two blocks that cut a sequence, whose messages need kernels of their own.
        halves = array_source(rows, block_bytes=rows.nbytes // 2)
        source = SequencedSource(halves, one_sequence(len(rows)))
    small = section.model_copy(update={"n_components": 2})
    recipe = Recipe(small, FitSection(init=init, max_iter=2, on_collapse="regularise"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ((fit, state),) = completed([make_plan(recipe, source, engine, Given())])
            best = state.best
            if best is None:
                return False
            fitted = result(best, fit.survey.spread, (), None, None)
            numerics = fitted.numerics(recipe.model, source.dtype)
            params = fitted.linked(recipe.model, source, engine)
            for resp in (False, True):
                task = Collect(
                    observed_source(source, recipe.model), recipe.model, params,
                    fitted.spread.origin, numerics, resp,
                )  # fmt: skip
                engine.map_reduce(task, range(len(source)))
            fitted.label(recipe.model, source, engine)
    except (EmdistError, ValueError):
        # Options that suit other numbers of features, say. The fit itself then compiles.
        return False
    return True


def _rows(dtype: np.dtype[np.generic], features: int) -> Array:
    """Return zeros and ones, which every model takes, with ones in every row."""
    drawn = np.random.default_rng(0).integers(0, 2, (_ROWS, features))
    drawn[:, 0] |= drawn.sum(axis=1) == 0
    return drawn.astype(dtype)


def share_kernels(recipes: Sequence[Recipe], source: Source, engine: Engine) -> None:
    """Compile the kernels of fits here, and give them to the workers of a Dask cluster.

    Otherwise each worker compiles them, at the same time. Workers of another kind of processor
    compile all the same.
    """
    client = getattr(engine, "client", None)
    if client is None:
        return
    wanted = {
        f"{client.id} {one.section.model_copy(update={'n_components': 2})!r} {source.dtype}": one
        for one in recipes
    }
    made = False
    for name, one in wanted.items():
        if name not in _SHARED:
            made |= warm(one.section, source.dtype, source.shape[1])
    if made:
        from emdist.engines.dask.kernels import give_kernels

        give_kernels(client, compiled())
    _SHARED.update(wanted)
