"""Options that several commands share, and the configuration settings that they set."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from emdist.errors import ConfigError
from emdist.parameters.choices import OutputName
from emdist.parameters.configuration import CONFIGURATION, help_of
from emdist.wording import OPTIONS

EPILOG = (
    "Exit codes: 0 done, 1 other error, 2 wrong setting, 3 wrong data, 4 run folder cannot be "
    "used, 5 storage failed, 6 cluster failed, 7 component collapsed, 8 data drifted, "
    "130 interrupted (Ctrl-C), 143 terminated (SIGTERM)."
)


def completed(*names: str) -> Callable[[str], list[str]]:
    """Return a function that completes one of `names` in a shell."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def choices_of(key: str) -> Callable[[str], list[str]]:
    """Return a function that completes a choice of a configuration key in a shell."""
    return completed(*CONFIGURATION[key].choices)


#: Sections of the help of commands with many options.
FITTING, RUN, WHERE = "Model and fit", "Run and labels", "Where to compute"

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="Print only the location of the result.")
]
Json = Annotated[
    bool,
    typer.Option("--json", metavar="", help="Print JSON lines: one per event, the result last."),
]
Overwrite = typer.Option("--overwrite", metavar="", help="Replace the output if it exists.")
ChosenComponents = typer.Option(
    "--component",
    metavar="N",
    help="Component of the output probability, -1 for noise. Repeatable. (default: all)",
)
#: The help of the option for outputs.
OUTPUTS_HELP = f"What to write: {', '.join(get_args(OutputName))}. Repeatable. (default: labels)"
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=WHERE,
        help="Number of Dask workers to start on this machine. (default: use threads)",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=WHERE,
        help="Address of a running Dask scheduler, such as tcp://host:8786. (default: none)",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any key of the configuration, as in fit.seed=7. Repeatable.",
    ),
]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend",
        metavar="",
        rich_help_panel=RUN,
        help="Continue the run in --run with another --max-iter or --tol.",
    ),
]
NoLabels = Annotated[
    bool,
    typer.Option("--no-labels", metavar="", rich_help_panel=RUN, help="Do not write labels."),
]
Repeat = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        rich_help_panel=RUN,
        help="Fit the finished run in this folder again, and compare the results.",
    ),
]


class Command(TyperCommand):
    """A command that suggests only options that are spelled like a wrong one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # The class of this error is Click's or that of Typer's own copy of Click.
            if hasattr(error, "possibilities") and hasattr(error, "option_name"):
                known = [name for one in self.get_params(ctx) for name in one.opts]
                near = get_close_matches(str(error.option_name), known, n=2, cutoff=0.75)
                error.possibilities = near
            raise


def help_text(command: Callable[..., object]) -> str:
    """Return the docstring of a command as its help, with a line for each paragraph and example.

    Typer keeps the line breaks of all paragraphs but the first. On a narrow terminal, lines of a
    docstring would be broken twice.
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(
        one if one.startswith("Examples:") else one.replace("\n", " ") for one in paragraphs
    )


def command_group(completion: bool = False) -> typer.Typer:
    """Return an empty group of commands, each with -h and --help.

    The outermost group has options for `completion`.
    """
    return typer.Typer(
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def check_data(data: str | None, command: str) -> None:
    """Raise ConfigError if `data` is the path of a configuration file."""
    if data and data.lower().endswith((".yaml", ".yml")) and not Path(data).is_dir():
        raise ConfigError(
            f"{data} is a configuration, expected data. Pass it with -f: `emdist {command} -f "
            f"{data}`."
        )


#: Setting of a configuration -> the option of commands that sets it.
_OPTIONS = {
    **OPTIONS,
    "data.path": "the data",
    "run.key": "--run",
    "run.folder": "--run",
}


def named(given: Mapping[str, Any], settings: Sequence[str] | None) -> dict[str, str]:
    """Return the option that set each setting, unless ``--set`` changed it later.

    Messages name these settings by their options.
    """
    later = {text.partition("=")[0].strip() for text in settings or ()}
    return {
        place: option
        for place, option in _OPTIONS.items()
        if given.get(place) is not None and place not in later
    }


def whole_number(text: str) -> int:
    """Return the number of ``-k``; raise BadParameter for a range, which only a sweep accepts."""
    try:
        return int(text)
    except ValueError:
        several = re.fullmatch(r"(\d+)\s*(?:-|:|\.\.)\s*(\d+)", text)
        why = f"{text[:40]!r} is not a whole number."
        if several:
            why = (
                f"{text!r} is a range, expected one number. To fit several models, use: emdist "
                f"sweep DATA -k {several[1]}..{several[2]}"
            )
        raise typer.BadParameter(why) from None


def run_settings(run: str | None) -> dict[str, Any]:
    """Return the settings that ``--run`` stands for: the folder and the key of the run."""
    if run is None:
        return {}
    parent, _, name = run.rstrip("/").rpartition("/")
    return {"run.folder": parent or ("/" if run.startswith("/") else "."), "run.key": name}


def cluster_settings(workers: int | None, scheduler: str | None) -> dict[str, Any]:
    """Return the settings that ``--workers`` or ``--scheduler`` stands for.

    Raises
    ------
    ConfigError
        If both are given.
    """
    if workers is not None and scheduler is not None:
        raise ConfigError(
            "--workers starts a Dask cluster, and --scheduler joins one. Pass only one of them."
        )
    if workers is not None:
        return {"cluster.kind": "local", "cluster.n_workers": workers}
    if scheduler is not None:
        return {"cluster.kind": "address", "cluster.address": scheduler}
    return {}


def with_steps(values: dict[str, Any], texts: Sequence[str] | None) -> dict[str, Any]:
    """Return the configuration `values` with the steps of ``--prepare``, if there are any."""
    if not texts:
        return values
    from emdist.prepare.making import step_of_text

    return {**values, "prepare": [step_of_text(text) for text in texts]}


def laid_over(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration `values`, changed by `settings`.

    Parameters
    ----------
    values
        A configuration, by section.
    settings
        New values, by ``section.key``. None leaves a value unchanged.
    """
    out = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for place, value in settings.items():
        if value is None:
            continue
        section, _, key = place.partition(".")
        inner = out.get(section) or {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{section} is {inner!r}; expected a section, {{{key}: ...}}.")
        out[section] = {**inner, key: value}
    return out


Data = Annotated[str | None, typer.Argument(help=help_of("data.path"))]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-f",
        metavar="FILE",
        help="YAML file with the configuration. Other options override it.",
    ),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", rich_help_panel=FITTING, help=help_of("fit.seed"))
]
Starts = Annotated[
    int | None, typer.Option(metavar="N", rich_help_panel=FITTING, help=help_of("fit.n_init"))
]
MaxIter = Annotated[
    int | None, typer.Option(metavar="N", rich_help_panel=FITTING, help=help_of("fit.max_iter"))
]
Tol = Annotated[
    float | None, typer.Option(metavar="X", rich_help_panel=FITTING, help=help_of("fit.tol"))
]
RunFolder = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        rich_help_panel=RUN,
        help="Folder of the run. The same folder resumes it. (default: a folder in runs/ that "
        "depends on the settings)",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        rich_help_panel=FITTING,
        help=help_of("model.name"),
        autocompletion=choices_of("model.name"),
    ),
]
Components = Annotated[
    int | None,
    typer.Option(
        "-k",
        parser=whole_number,
        metavar="N",
        rich_help_panel=FITTING,
        help=help_of("model.n_components"),
    ),
]
Prepare = Annotated[
    list[str] | None,
    typer.Option(
        "--prepare",
        metavar="STEP",
        rich_help_panel=FITTING,
        help="Prepare rows by a step: log1p, normalise=l2, clip=0,10, standardise, pca=8 or "
        "pca=components:8,whiten:true. Repeatable; steps are applied in their order.",
        autocompletion=completed("clip", "log1p", "normalise", "pca", "standardise"),
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        rich_help_panel=FITTING,
        help=help_of("fit.init"),
        autocompletion=choices_of("fit.init"),
    ),
]
Origin = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="RUN, MODEL or latest", rich_help_panel=FITTING, help=help_of("fit.from")
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="PATH or NAME", rich_help_panel=FITTING, help=help_of("data.weights")),
]
LabelsPath = Annotated[
    str | None,
    typer.Option(metavar="PATH", rich_help_panel=RUN, help=help_of("labels.path")),
]
