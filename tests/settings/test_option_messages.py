"""Faults of options in the words of the user: the key, what was got, what is wanted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emdist.composition.memory import MemoryBudget, check_fit
from emdist.composition.model import dissimilarity_of
from emdist.composition.recipe import Recipe
from emdist.engines.clusters.address import Address
from emdist.engines.clusters.local import Local
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.families.product import Product
from emdist.fit.schedules.batch import Batch
from emdist.inputs.validation import checked_options
from emdist.settings.config import FitSection, ModelSection
from emdist.store.sources.arrays import array_source
from emdist.wording import worded


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: checked_options(LocalEngine, {"threads": 0}, "cluster"),
            "cluster.threads=0; expected a whole number",
        ),
        (
            lambda: checked_options(Local, {"n_workers": 0}, "cluster"),
            "cluster.n_workers=0; expected a whole number",
        ),
        (lambda: checked_options(Address, {"address": "a:1"}, "cluster"), "cluster.address='a:1'"),
        (
            lambda: dissimilarity_of("mahalanobis", {}),
            "model.options: mahalanobis needs exactly one",
        ),
        (
            lambda: checked_options(
                Product, {"groups": [{"columns": "0:2", "family": "ful"}]}, "model.options"
            ),
            "model.options.groups[0].family: family 'ful' is not known",
        ),
        (lambda: checked_options(Product, {"groups": []}, "model.options"), "model.options.groups"),
    ],
)
def test_what_a_class_says_of_its_options_follows_the_key(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value).startswith(words)


def test_options_that_there_are_not_any_of_are_said_to_be_none() -> None:
    with pytest.raises(ConfigError) as caught:
        checked_options(Batch, {"rate": 1}, "fit.schedule_options")
    assert str(caught.value) == (
        "fit.schedule_options.rate is not a known key: there are no options here. Leave "
        "fit.schedule_options out."
    )


def test_memory_for_a_fit_is_a_setting_of_runs_and_none_of_python() -> None:
    source = array_source(np.zeros((100, 50)), 1 << 20)
    model = ModelSection(name="full", n_components=4)
    with pytest.raises(ConfigError) as caught:
        check_fit([Recipe(model, FitSection())], source, MemoryBudget(memory=1))
    told = caught.value.args[0]
    assert worded(told).endswith(
        "make blocks larger (data.block_size), or give more memory (cluster.memory)."
    )
    assert worded(told, "command").endswith(
        "(--set data.block_size), or give more memory (--set cluster.memory)."
    )
    assert worded(told, "parameters").endswith("(block_size), or give more memory.")
