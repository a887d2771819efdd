"""`emdist warmup` compiles kernels ahead of time."""

from __future__ import annotations

from tests.cli.conftest import Command


def test_each_model_and_type_is_told(emdist: Command) -> None:
    answer = emdist("warmup", "-m", "kmeans", "--model", "diagonal", "--dtype", "float64")
    assert answer.code == 0
    told = [line.rpartition(":") for line in answer.out.splitlines()]
    assert [what for what, _, _ in told] == ["kmeans, float64", "diagonal, float64"]
    assert all(took.endswith(" s") for _, _, took in told)


def test_chains_are_a_model_of_their_own(emdist: Command) -> None:
    answer = emdist("warmup", "-m", "hmm", "--dtype", "float64")
    assert answer.code == 0
    assert answer.out.startswith("hmm, float64: ")
    assert answer.out.endswith(" s\n")


def test_what_is_not_known_is_refused(emdist: Command) -> None:
    answer = emdist("warmup", "-m", "gmm")
    assert answer.code == 2
    assert "--model is 'gmm', expected one of kmeans, " in answer.err
    answer = emdist("warmup", "--dtype", "float33")
    assert answer.code == 2
    assert "--dtype is 'float33', expected a type such as float32" in answer.err
