"""Labels in files: estimators write them, and open them as xarray objects."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from emdist import composition, jobs, prepare, store
from emdist.errors import ConfigError, NotFoundError
from emdist.estimators.inputs import as_location, make_engine
from emdist.estimators.wording import Speaking, in_parameters
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import shown
from emdist.sums import Sums

if TYPE_CHECKING:
    import xarray

    from emdist.composition.recipe import Recipe
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection
    from emdist.store.labels.writer import LabelWriter
    from emdist.store.places.location import Location

_WANTED = "the folder of a run, or a group of labels"


class LabelWriting(Speaking):
    """Mixin of the estimators: writes labels chunk by chunk, and opens them."""

    engine: Any
    #: Returns the function that hears the events of a pass.
    _listener: Any
    _fitted: Fitted
    _section: ModelSection
    #: Returns the rows as a source, checked against the fitted features.
    _matching: Any
    #: Returns the section that says how rows are read.
    _reading: Any
    #: Where the labels of this model are, if it wrote them or was loaded from a run.
    _labels_place: Location | None = None

    def label(
        self,
        X: Any,
        out: str | os.PathLike[str],
        outputs: Sequence[str] | None = None,
        components: Sequence[int] | None = None,
        overwrite: bool = False,
        append: bool = False,
    ) -> dict[str, Any]:
        """Write labels of all rows of `X` to a Zarr group, chunk by chunk.

        Memory holds a few blocks at a time. If the process is interrupted, the same call continues.

        Parameters
        ----------
        {X as fitted}
            Labels of data on a grid are written on that grid, with its coordinates.
        out : str or path-like
            A path or URL of the group, which may be new, or hold labels that this model began.
        outputs : sequence of str or None, default=None
            What to write: 'labels', 'score', 'responsibilities'; for mixtures also 'probability',
            'max_posterior' and 'entropy'. None stands for 'labels' or, with `append`, for what is
            there.
        components : sequence of int, default=None
            Components of the output 'probability', -1 for noise. None writes all.
        overwrite : bool, default=False
            Replace other labels that emdist wrote at `out`.
        append : bool, default=False
            Let the labels at `out` grow with the data: only rows behind those that have labels are
            labelled. If nothing is there yet, all are. `X` must be stored in Zarr or an xarray
            object.

        Returns
        -------
        summary : dict
            What was written: ``labels`` (the location), ``rows``, ``rows_left_out``,
            ``components`` (rows of each component), ``score`` and more.

        Raises
        ------
        OutputExistsError
            If something else is at `out`. Nothing was changed.
        RunMismatchError
            If labels of another model or of other data are at `out`. Nothing was changed.
        ConfigError
            If an output or a component does not exist.
        """
        check_is_fitted(self)
        place = as_location(out, "a path or URL for the labels")
        asked = (outputs,) if isinstance(outputs, str) else outputs
        names = tuple(asked or ("labels",)) if asked is None or len(asked) else ()
        chosen = _components(components)
        engine, listen = make_engine(self.engine), self._listener()
        rows, reading = self._matching(X, None, engine), self._reading()
        if append and overwrite:
            raise ConfigError(
                "append adds rows to labels, and overwrite replaces them. Pass only one of the two."
            )
        if append:
            rows, names, chosen = jobs.label_growth.as_labelled(rows, place, asked, chosen)
        source = prepare.source.prepared(rows, self._fitted.preparation)
        work = jobs.label_source.LabelWork(
            type(self).__name__, _key(self._section, self._fitted), self._section, self._fitted,
            source, reading, place, names, chosen, overwrite, False, append,
        )  # fmt: skip

        def labelled(recipe: Recipe, writer: LabelWriter, blocks: Sequence[int] | None) -> Sums:
            composition.memory.checked_memory([recipe], source, engine, None, writer.outputs)
            return self._fitted.label(recipe.model, source, engine, writer, blocks=blocks)

        summary = jobs.label_source.label_source(work, labelled, listen)
        self._labels_place = place
        return summary

    def labels(self, output: str = "labels") -> xarray.DataArray:
        """Open labels as an xarray object: those that `label` wrote, or those of a loaded run.

        The array is read lazily. On a grid it has the dimensions and coordinates of the data.
        Otherwise it has the dimension ``row``, in the order of the data. Rows that were left out
        have the label -1, or -2 in a model with noise, and NaN in other outputs. For a map without
        them: ``labels.where(labels >= 0).plot()``.

        Parameters
        ----------
        output : str, default="labels"
            The output that is opened, such as 'probability'.

        Returns
        -------
        labels : xarray.DataArray
            The output.

        Raises
        ------
        NotFoundError
            If there are no labels, or not this output.
        ConfigError
            If xarray is not installed.
        """
        check_is_fitted(self)
        if self._labels_place is None:
            raise NotFoundError(
                f"This {type(self).__name__} has written no labels and was not loaded from a run. "
                "Write labels with label(X, out), or open others with emdist.open_labels(path)."
            )
        found = _opened(self._labels_place)
        if output not in found:
            raise NotFoundError(
                f"The labels at {self._labels_place} have no output {output!r}"
                f"{nearest(str(output), map(str, found))}; they have {', '.join(map(str, found))}."
            )
        return found[output]


@in_parameters
def open_labels(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Open labels as an xarray dataset, one variable for each output. It is read lazily.

    Parameters
    ----------
    path : str or path-like
        Path or URL of a run, or of a group that `emdist label` or an estimator's `label` wrote.

    Returns
    -------
    labels : xarray.Dataset
        The outputs. On a grid they have the dimensions and coordinates of the data. Otherwise they
        have the dimension ``row``. Labels are integers, as `predict` returns them: rows that were
        left out have the label -1, or -2 in a model with noise. Other outputs are NaN there.

    Raises
    ------
    NotFoundError
        If there are no labels.
    CheckpointError
        If their creation, or their replacement, was cut off.
    ConfigError
        If xarray is not installed, or `path` is not a path.
    """
    return _opened(as_location(path, _WANTED))


def _opened(place: Location) -> xarray.Dataset:
    found, complete = jobs.open_labels.opened_labels(place)
    if not complete:
        warnings.warn(
            f"The labels at {place} are not complete: rows that have none yet look as if they were "
            "left out. Start the same labelling again to complete them.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return found


def _components(components: Any) -> tuple[int, ...] | None:
    """Return the chosen components as ints; ConfigError if they are none."""
    if components is None:
        return None
    try:
        found = None if isinstance(components, str | bytes) else list(components)
    except TypeError:
        found = None
    whole = [type(one) is int or isinstance(one, np.integer) for one in found or ()]
    if found is None or not all(whole):
        raise ConfigError(
            f"components={shown(components)}; expected a list of whole numbers, such as [0, 2], or "
            "None for all."
        )
    return tuple(int(one) for one in found)


def _key(section: ModelSection, fitted: Fitted) -> str:
    """Return what identifies a model: its section and the numbers that labels follow from."""
    arrays, _ = store.runs.codec.encode(fitted)
    found = {
        name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in sorted(arrays.items())
    }
    # How NaN is read belongs to the data, and the number of components to the parameters.
    told = section.model_dump(exclude={"missing", "n_components"})
    return store.runs.run_record.digest([told, found])
