"""Messages name settings as the layer names them that the user is in, and are of bounded length."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import emdist
from emdist.composition.sweep_config import SweepSection
from emdist.errors import ConfigError, EmdistError, NotFoundError, SchedulerError, StorageError
from emdist.inputs.plugins import plugins
from emdist.settings.config import Config, DataSection, FitSection, LabelsSection, ModelSection
from emdist.wording import KEYS, LINES, LONGEST, OPTIONS, bounded, either, worded

HUGE = "a" * 1_000_000
ESTIMATORS = sorted(
    set(plugins("emdist.estimators", "estimator").values()) | {emdist.Sweep},
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize(
    ("text", "command", "parameters"),
    [
        ("Raise fit.max_iter.", "Raise --max-iter.", "Raise max_iter."),
        ("fit.seed is -1", "--seed is -1", "random_state is -1"),
        ("model.n_components: 0", "-k: 0", "n_components: 0"),
        ("Set data.block_size to '1 MiB'", "Pass --set data.block_size='1 MiB'",
         "Set block_size to '1 MiB'"),
        ("Choose them (ingest.columns).", "Choose them (--column).", "Choose them (columns)."),
        ("of ingest.weight_column", "of --weight-column", "of weight_column"),
        ("Replace it (ingest.overwrite).", "Replace it (--overwrite).", "Replace it (overwrite)."),
        ("or set data.non_finite to 'drop'", "or pass --non-finite='drop'",
         "or set non_finite to 'drop'"),
        ("model.options.trials", "--set model.options.trials", "trials"),
        ("fit.schedule_options.groups", "--set fit.schedule_options.groups",
         "schedule_options['groups']"),
        ("--set data.non_finite=drop", "--set data.non_finite=drop", "--set non_finite=drop"),
        # Names of files are no keys.
        ("/x/data.zarr, data.path.npy, my-model.options/a", None, None),
    ],
)  # fmt: skip
def test_settings_have_the_names_of_the_layer(
    text: str, command: str | None, parameters: str | None
) -> None:
    assert worded(text) == text
    assert worded(text, "command") == (command or text)
    assert worded(text, "parameters") == (parameters or text)


def test_keys_are_those_of_the_configuration() -> None:
    sections: dict[str, Any] = {
        "data": DataSection, "model": ModelSection, "fit": FitSection,
        "labels": LabelsSection, "sweep": SweepSection,
    }  # fmt: skip
    for name, section in sections.items():
        # These options have a key of their own in a configuration, and no field.
        own = {"dissimilarity_options", "emission"} if name == "model" else set()
        assert set(KEYS[name].split()) - own <= set(section.model_fields), name
    assert set(KEYS) <= {*Config.model_fields, "sweep"}
    for key in OPTIONS:
        section, _, name = key.partition(".")
        assert name in KEYS[section].split(), key


def test_python_is_told_nothing_of_runs() -> None:
    error = SchedulerError("Lost. " + either("Fit again.", "Start the run again."))
    assert str(error) == "Lost. Start the run again."
    error.layer = "parameters"
    assert str(error) == "Lost. Fit again."
    assert str(pickle.loads(pickle.dumps(error))) == "Lost. Fit again."


@pytest.mark.parametrize("kind", [ConfigError, StorageError, NotFoundError])
def test_messages_are_bounded(kind: type[EmdistError]) -> None:
    told = str(kind(f"before {HUGE} after"))
    assert len(told) <= LONGEST
    assert told.startswith("before")
    assert told.endswith("after")
    assert len(bounded("\n".join([HUGE] * 30))) <= (LONGEST + 1) * (LINES + 1)


@pytest.mark.long
@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_huge_values_of_any_parameter_give_short_messages(cls: Any) -> None:
    X = (np.random.default_rng(0).random((40, 3)) > 0.5) * 1.0
    for name in inspect.signature(cls).parameters:
        for value in (HUGE, [0.5] * 20_000, {HUGE: HUGE}):
            made = cls(emdist.KMeans(), {}) if cls is emdist.Sweep else cls()
            made.set_params(**{name: value})
            told = _message(made, X)
            assert len(told) <= 2 * LONGEST, name
            assert not any(word in told for word in ("fit.", "model.", "checkpoint")), told


def _message(estimator: Any, X: Any) -> str:
    """Of the error that `fit` raises; empty if it raises none."""
    try:
        estimator.fit(X)
    except EmdistError as error:
        return str(error)
    return ""
