"""Options that several commands share, and the configuration settings that they set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from emdist.errors import ConfigError
from emdist.parameters.configuration import help_of
from emdist.wording import OPTIONS

EPILOG = (
    "Exit codes: 0 done, 2 wrong setting, 3 wrong data, 4 run folder in the way, 5 storage "
    "failed, 6 cluster failed, 7 component collapsed, 130 interrupted, 143 terminated, 1 else."
)

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the location of the result.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON lines: one per event, the result last.")
]
Overwrite = typer.Option("--overwrite", help="Replace what is already there.")
Workers = Annotated[
    int | None,
    typer.Option(help="Number of Dask workers to start on this machine. (default: threads)"),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a running Dask scheduler, such as tcp://host:8786.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set any key of the configuration: section.key=value. Repeatable."),
]
Extend = Annotated[
    bool,
    typer.Option("--extend", help="Continue the run in --run with another --max-iter or --tol."),
]
Repeat = Annotated[
    str | None,
    typer.Option(help="Folder of a finished run: run it again and compare the results."),
]


def command_group(completion: bool = False) -> typer.Typer:
    """An empty group of commands, each with -h and --help; the outermost has `completion`."""
    return typer.Typer(
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def check_data(data: str | None, command: str) -> None:
    """ConfigError if a configuration file was given where the data belongs."""
    if data and data.lower().endswith((".yaml", ".yml")) and not Path(data).is_dir():
        raise ConfigError(
            f"{data} is a configuration, not data. Give it with -f: `emdist {command} -f {data}`."
        )


#: Setting of a configuration -> the option of commands that sets it.
_OPTIONS = {
    **OPTIONS,
    "data.path": "the data",
    "run.key": "--run",
    "run.folder": "--run",
}


def named(given: Mapping[str, Any], settings: Sequence[str] | None) -> dict[str, str]:
    """How messages name the settings that options gave, and that no ``--set`` changed."""
    later = {text.partition("=")[0].strip() for text in settings or ()}
    return {
        place: option
        for place, option in _OPTIONS.items()
        if given.get(place) is not None and place not in later
    }


def whole_number(text: str) -> int:
    """The number of ``-k``; BadParameter for a range, which a sweep takes."""
    try:
        return int(text)
    except ValueError:
        several = re.fullmatch(r"(\d+)\s*(?:-|:|\.\.)\s*(\d+)", text)
        why = f"{text[:40]!r} is no whole number."
        if several:
            why = (
                f"{text!r} is a range, and one number is wanted. For several models: emdist sweep "
            )
            why += f"DATA -k {several[1]}..{several[2]}"
        raise typer.BadParameter(why) from None


def run_settings(run: str | None) -> dict[str, Any]:
    """The sections of ``--run``: its folder and key."""
    if run is None:
        return {}
    parent, _, name = run.rstrip("/").rpartition("/")
    return {"run.folder": parent or ("/" if run.startswith("/") else "."), "run.key": name}


def cluster_settings(workers: int | None, scheduler: str | None) -> dict[str, Any]:
    """The section of ``--workers`` or ``--scheduler``; ConfigError for both."""
    if workers is not None and scheduler is not None:
        raise ConfigError("--workers starts a cluster and --scheduler joins one; give one of them.")
    if workers is not None:
        return {"cluster.kind": "local", "cluster.n_workers": workers}
    if scheduler is not None:
        return {"cluster.kind": "address", "cluster.address": scheduler}
    return {}


def laid_over(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """`values` with `settings`, section.key to value, laid over them; None is no setting."""
    out = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for place, value in settings.items():
        if value is None:
            continue
        section, _, key = place.partition(".")
        inner = out.get(section) or {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{section} is {inner!r}; wanted a section, {{{key}: ...}}.")
        out[section] = {**inner, key: value}
    return out


Data = Annotated[str | None, typer.Argument(help=help_of("data.path"))]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-f", help="YAML file with the configuration. Other options override it."
    ),
]
Seed = Annotated[int | None, typer.Option(help=help_of("fit.seed"))]
Starts = Annotated[int | None, typer.Option(help=help_of("fit.n_init"))]
MaxIter = Annotated[int | None, typer.Option(help=help_of("fit.max_iter"))]
Tol = Annotated[float | None, typer.Option(help=help_of("fit.tol"))]
RunFolder = Annotated[
    str | None, typer.Option(help="Folder of the run. The same folder resumes it.")
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help=help_of("model.name")),
]
Components = Annotated[
    int | None,
    typer.Option("-k", parser=whole_number, metavar="<int>", help=help_of("model.n_components")),
]
Init = Annotated[str | None, typer.Option(help=help_of("fit.init"))]
