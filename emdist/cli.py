"""The command line: ingest, fit, label, inspect."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markdown import Markdown

from emdist.errors import ConfigError, EmdistError
from emdist.report.display import Mode, display

EPILOG = (
    "Exit codes: 0 done, 2 wrong setting, 3 wrong data, 4 run folder in the way, 5 storage "
    "failed, 6 cluster failed, 7 component collapsed, 130 interrupted, 143 terminated."
)

app = typer.Typer(
    help="EM clustering of Zarr arrays larger than memory: exact, restartable, reproducible.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but the result.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per event, and the result.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any setting of the configuration: section.key=value."),
]


@contextmanager
def _reported(as_json: bool) -> Iterator[None]:
    """Errors of emdist as one message and their exit code; interrupts after they were saved."""
    try:
        yield
    except EmdistError as error:
        _fail(str(error), error.exit_code, as_json)
    except _Terminated:
        _fail("terminated; the same command goes on where it stopped.", 143, as_json)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped.", 130, as_json)


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"event": "error", "message": message, "exit_code": code}))
    else:
        print(f"emdist: {message}", file=sys.stderr)
    raise typer.Exit(code)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be, so that both save what is done."""


def _terminate(number: int, frame: object) -> NoReturn:
    raise _Terminated


def _mode(quiet: bool, as_json: bool) -> Mode:
    return "json" if as_json else "quiet" if quiet else "auto"


def _print_result(values: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print(json.dumps({"event": "result", **values}))
    else:
        Console().print(Markdown(text))


@app.command(epilog=EPILOG)
def ingest(
    source: Annotated[
        str,
        typer.Argument(
            help="File, folder or glob of NPY, NPZ, CSV, Parquet or images, or "
            "sklearn:china.jpg, sklearn:flower.jpg."
        ),
    ],
    target: Annotated[str, typer.Argument(help="Path or URL of the Zarr array to write.")],
    columns: Annotated[
        list[str] | None, typer.Option("--column", "-c", help="Feature to take; repeat for more.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Column of sample weights, written beside the target.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of the array; 'auto' keeps the source's.")] = "auto",
    rows_per_chunk: Annotated[int | None, typer.Option(min=1)] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an array that is there.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Bring files into one chunked, checksummed Zarr array of rows by features.

    Example: emdist ingest measurements.parquet measurements.zarr -c temp -c salinity
    """
    with _reported(as_json):
        from emdist.store.ingest import ingest as run

        def show(rows: int, total: int) -> None:
            if not quiet and not as_json and sys.stderr.isatty():
                of = f" of {total:,}" if total else ""
                print(f"\r{rows:,}{of} rows", end="", file=sys.stderr, flush=True)

        found = run(
            source,
            target,
            columns=columns,
            weight_column=weights,
            dtype=dtype,
            rows_per_chunk=rows_per_chunk,
            overwrite=overwrite,
            done=show,
        )
        values = {
            "rows": found.rows,
            "features": found.features,
            "dtype": found.dtype,
            "chunks": found.chunks,
            "bytes_read": found.bytes_read,
            "bytes_stored": found.bytes_stored,
            "target": str(found.target),
            "weights": None if found.weights is None else str(found.weights),
            "notes": list(found.notes),
        }
        lines = [
            f"**{found.target}**: {found.rows:,} rows x {found.features} {found.dtype} in "
            f"{found.chunks} chunks, {found.bytes_read / 1e6:.1f} MB read, "
            f"{found.bytes_stored / 1e6:.1f} MB stored"
        ]
        lines += [f"- weights in {found.weights}"] if found.weights else []
        lines += [f"- note: {note}" for note in found.notes]
        if not quiet:
            _print_result(values, as_json, "\n".join(lines))


@app.command(epilog=EPILOG)
def fit(
    data: Annotated[
        str | None, typer.Argument(help="Path or URL of a Zarr array (rows, features).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-f", help="YAML; options below override it.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="kmeans, or the family of a mixture: full, tied, diagonal, ..."
        ),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", help="Clusters or components.")] = None,
    init: Annotated[
        str | None, typer.Option(help="k-means++, k-means||, kmeans or random.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    n_init: Annotated[int | None, typer.Option(help="Starts, of which the best is kept.")] = None,
    max_iter: Annotated[int | None, typer.Option(help="Iterations of a start at most.")] = None,
    tol: Annotated[float | None, typer.Option(help="When an iteration was the last.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Path or URL of a 1-D Zarr array, one weight per row.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Folder of the run; the same folder resumes it.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Where labels go; default labels.zarr in the run's folder.")
    ] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Fit only.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Dask workers on this machine; default threads instead.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a running Dask scheduler, tcp://host:8786.")
    ] = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Cluster a Zarr array; interrupted, the same command goes on where it stopped.

    Examples:

      emdist fit pixels.zarr -k 16

      emdist fit profiles.zarr -m full -k 8 --run runs/profiles --workers 4

      emdist fit -f config/quickstart.yaml --set fit.seed=7
    """
    with _reported(as_json):
        from emdist.config import make_config, overridden, read_values
        from emdist.job import open_job

        given = {
            "data.path": data,
            "data.weights": weights,
            "model.name": model,
            "model.n_components": k,
            "fit.init": init,
            "fit.seed": seed,
            "fit.n_init": n_init,
            "fit.max_iter": max_iter,
            "fit.tol": tol,
            "labels.path": labels,
            "labels.write": False if no_labels else None,
            **_run_settings(run),
            **_cluster_settings(workers, scheduler),
        }
        if config is None and data is None:
            raise ConfigError("Name the data, as in `emdist fit pixels.zarr -k 16`, or a --config.")
        values = read_values(config) if config is not None else {}
        values = _laid_over(values, {key: v for key, v in given.items() if v is not None})
        checked = make_config(overridden(values, settings or []), str(config or "the command line"))
        with display(_mode(quiet, as_json)) as listen, open_job(checked, listen=listen) as job:
            if isinstance(job, dict):
                summary, text = job, f"Done already, nothing to do: **{job['run']}**"
            else:
                found = job.complete()
                summary, text = found.to_dict(), found.to_markdown()
        if not quiet or as_json:
            _print_result(summary, as_json, text)
        else:
            print(summary["run"])


def _run_settings(run: str | None) -> dict[str, Any]:
    if run is None:
        return {}
    parent, _, name = run.rstrip("/").rpartition("/")
    return {"run.folder": parent or ("/" if run.startswith("/") else "."), "run.key": name}


def _cluster_settings(workers: int | None, scheduler: str | None) -> dict[str, Any]:
    if workers is not None and scheduler is not None:
        raise ConfigError("--workers starts a cluster and --scheduler joins one; give one of them.")
    if workers is not None:
        return {"cluster.kind": "local", "cluster.n_workers": workers}
    if scheduler is not None:
        return {"cluster.kind": "address", "cluster.address": scheduler}
    return {}


def _laid_over(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    out = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for place, value in settings.items():
        section, _, key = place.partition(".")
        out.setdefault(section, {})[key] = value
    return out


@app.command(epilog=EPILOG)
def label(
    model: Annotated[str, typer.Argument(help="A saved model, or the folder of a finished run.")],
    data: Annotated[
        str, typer.Argument(help="Path or URL of a Zarr array with the same features.")
    ],
    out: Annotated[str, typer.Argument(help="Path or URL of the labels to write.")],
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", help="labels, score, responsibilities; repeat for more."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Dask workers on this machine.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace other labels that are there.")] = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label data with a fitted model; interrupted, the same command goes on.

    Example: emdist label runs/profiles new.zarr new-labels.zarr -o labels -o score
    """
    with _reported(as_json):
        from emdist.config import ClusterSection, DataSection, make_section, overridden
        from emdist.labelling import label_data
        from emdist.store.location import Location

        values = _laid_over({"data": {"path": data}}, _cluster_settings(workers, scheduler))
        values = overridden(values, settings or [])
        with display(_mode(quiet, as_json)) as listen:
            summary = label_data(
                Location(model),
                make_section(DataSection, **values["data"]),
                Location(out),
                make_section(ClusterSection, **values.get("cluster", {})),
                tuple(outputs or ["labels"]),
                overwrite,
                listen,
            )
        if not quiet or as_json:
            _print_result(summary, as_json, _table(summary))


@app.command(epilog=EPILOG)
def inspect(
    path: Annotated[str, typer.Argument(help="A run, a model, labels, or a Zarr array.")],
    array: Annotated[str, typer.Option(help="Path of an array inside a group.")] = "",
    as_json: Json = False,
) -> None:
    """Say what lies at a path: shape and blocks of an array, progress of a run, a model."""
    with _reported(as_json):
        from emdist.inspection import inspect as look
        from emdist.store.location import Location

        found = look(Location(path), array)
        if as_json:
            print(json.dumps(found))
        else:
            Console().print(Markdown(_table(found)))


def _table(values: dict[str, Any]) -> str:
    lines = ["| | |", "|---|---|"]
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"| {name}.{key} | {_cell(v)} |" for key, v in value.items()]
        elif isinstance(value, list) and value and isinstance(value[0], str):
            lines += [f"| {name if at == 0 else ''} | {_cell(v)} |" for at, v in enumerate(value)]
        else:
            lines.append(f"| {name} | {_cell(value)} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{k}={v}" for k, v in value.items() if v not in (None, {}, ""))
    return str(value).replace("|", "\\|")


def main() -> None:
    """Entry point of `emdist`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, _terminate)
    app()


if __name__ == "__main__":
    main()
