"""Callbacks hear the events of fits, and neither change results nor get lost in clones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import emdist
from emdist.errors import ConfigError
from emdist.fit.events import Event, Iterated

X = np.random.default_rng(0).normal(size=(500, 3))


class Recording:
    """A callback with the methods that scikit-learn asks for."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.told.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        self.told.append(("end", context.task_name, context.task_id))


def test_a_function_hears_every_iteration_and_changes_nothing() -> None:
    heard: list[Event] = []
    model = emdist.GaussianMixture(3, random_state=0).set_callbacks(heard.append)
    plain = emdist.GaussianMixture(3, random_state=0).fit(X)
    np.testing.assert_array_equal(model.fit(X).means_, plain.means_)
    iterated = [one for one in heard if isinstance(one, Iterated)]
    assert [one.record for one in iterated] == list(model.history_)
    heard.clear()
    clone(model).fit(X)
    assert len([one for one in heard if isinstance(one, Iterated)]) == len(iterated)
    heard.clear()
    model.set_callbacks().fit(X)
    assert not heard


def test_the_fits_of_a_sweep_are_heard_by_name() -> None:
    heard: list[Event] = []
    one = emdist.KMeans(random_state=0).set_callbacks(heard.append)
    emdist.Sweep(one, {"n_clusters": [2, 3]}, criterion="davies_bouldin").fit(X)
    assert {each.fit for each in heard if isinstance(each, Iterated)} == {"model 0", "model 1"}


def test_an_error_of_a_callback_ends_the_fit() -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        emdist.KMeans(2).set_callbacks(fail).fit(X)


@pytest.mark.parametrize("bad", [3, None, Recording])
def test_what_is_no_callback_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigError, match="expected a function of one event"):
        emdist.KMeans(2).set_callbacks(bad)


def test_iterations_are_tasks_of_callbacks_of_scikit_learn() -> None:
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")
    told = Recording()
    model = emdist.KMeans(4, random_state=0).set_callbacks(told).fit(X)
    each = [(what, "iteration", i) for i in range(model.n_iter_) for what in ("begin", "end")]
    assert told.told == ["setup", ("begin", "fit", 0), *each, ("end", "fit", 0), "teardown"]
    told = Recording()
    with pytest.raises(emdist.errors.StartError):
        emdist.KMeans(1000).set_callbacks(told).fit(X)
    assert told.told == ["setup", ("begin", "fit", 0), "teardown"]


def test_meta_estimators_hand_callbacks_of_scikit_learn_on() -> None:
    callbacks = pytest.importorskip(
        "sklearn.callback", reason="scikit-learn has callbacks since 1.9"
    )

    class Passed(Recording):
        max_propagation_depth = None

    told = Passed()
    assert isinstance(told, callbacks.AutoPropagatedCallback)
    search = GridSearchCV(emdist.KMeans(random_state=0), {"n_clusters": [2, 3]}, cv=2)
    search.set_callbacks(told).fit(X)
    assert told.told.count("setup") == told.told.count("teardown") == 1
    assert ("end", "iteration", 0) in told.told


def test_mlflow_logs_the_objective_of_each_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    mlflow.set_experiment("emdist")
    with mlflow.start_run() as run:
        model = emdist.KMeans(3, random_state=0).set_callbacks(emdist.MLflowCallback()).fit(X)
    found = mlflow.MlflowClient().get_metric_history(run.info.run_id, "objective")
    assert [(one.step, one.value) for one in found] == [
        (record.iteration, record.objective) for record in model.history_
    ]
