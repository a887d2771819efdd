"""The house rules that a machine can check: imports, sizes, names."""

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure

import emdist
from tests.support.paths import ROOT

MODULES = sorted(
    path for folder in ("emdist", "flows", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
HEAVY = ["dask", "distributed", "zarr", "prefect", "sklearn", "numba", "numpy", "pydantic"]
MAX_LINES, MAX_FUNCTION_LINES = 300, 70
BANNED = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_import_contracts_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    configure()
    held = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None, no_logo=True)
    assert held, capsys.readouterr().out


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after `code`, in a fresh interpreter."""
    show = "import sys; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    return set(done.stdout.split())


def test_import_emdist_loads_nothing_heavy() -> None:
    assert not loaded_by("import emdist").intersection(HEAVY)


@pytest.mark.parametrize("name", sorted(set(emdist.__all__) - {"commit_labels"}))
def test_what_users_import_loads_nothing_that_only_a_fit_needs(name: str) -> None:
    heavy = {"dask", "distributed", "numba", "prefect", "pydantic", "zarr"}
    assert not loaded_by(f"from emdist import {name}").intersection(heavy)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("emdist.composition.make", {"dask", "distributed", "prefect", "sklearn"}),
        ("emdist.fit.loop", {"dask", "distributed", "prefect", "sklearn"}),
        ("emdist.models.mixture", {"dask", "distributed", "prefect", "sklearn", "zarr"}),
        # A worker's: dask.array would bring pandas and xarray where they are installed, 100 MB.
        ("emdist.engines.dask.engine", {"prefect", "sklearn", "pandas", "xarray", "pyarrow"}),
        ("emdist.interfaces", {"dask", "distributed", "prefect", "sklearn", "zarr", "numba"}),
    ],
)
def test_inner_modules_load_only_what_they_are_for(module: str, absent: set[str]) -> None:
    assert not loaded_by(f"import {module}").intersection(absent)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = len(text.splitlines()) - sum(docstring_lines(node) for node in ast.walk(tree))
    assert lines <= MAX_LINES, f"{lines} lines without docstrings; split it at a seam"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    sizes = {
        node.name: (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: n for name, n in sizes.items() if n > MAX_FUNCTION_LINES} == {}


def docstring_lines(node: ast.AST) -> int:
    """Lines of the docstring of a module, class or function; 0 for anything else."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if not isinstance(node, documented) or ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_what_is_inside(path: Path) -> None:
    assert not BANNED.intersection((path.stem, *path.relative_to(ROOT).parent.parts))


def test_the_modules_were_found() -> None:
    assert len(MODULES) > 50


def test_emdist_is_the_only_package_that_is_installed() -> None:
    """`flows/` of a clone, as a top-level package, would take that name from everyone else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    wanted = settings["packages"]["find"]["include"]
    assert {name for name in packages if any(fnmatch(name, p) for p in wanted)} == {"emdist"}
    assert {"emdist", "flows"} <= packages


@pytest.mark.parametrize("path", sorted((ROOT / "flows").glob("[a-z]*.py")), ids=name_of)
def test_entry_points_of_a_clone_hold_no_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert "from emdist.cli.flow import script" in path.read_text()


def test_the_table_of_tests_is_complete() -> None:
    _, page = (ROOT / "CONTRIBUTING.md").read_text().split("## Where the tests are")
    first = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    listed = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    packages = {path.parent.name for path in ROOT.glob("emdist/*/*.*")} - {"__pycache__"}
    assert listed == packages
    named = set(re.findall(r"`(tests/[\w/.]+)`", page))
    assert all((ROOT / path).exists() for path in named)
    parts = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/*/__init__.py")}
    assert parts <= {"/".join(path.split("/")[:2]) for path in named}


def test_no_two_classes_have_one_name() -> None:
    """People search for a class by its name. Private classes of one module are exempt."""
    where: dict[str, list[str]] = {}
    for path in (path for path in MODULES if path.is_relative_to(ROOT / "emdist")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(path.as_posix())
    twice = {name: paths for name, paths in where.items() if len(paths) > 1}
    assert twice == {}
