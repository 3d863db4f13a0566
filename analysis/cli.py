"""`darkhorse …`: parses, calls, prints; no physics."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from analysis import commands
from analysis.errors import DarkhorseError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, *_NOT_A_FOLDER}

STAGES = {
    "run": "run a whole search: everything that is not already done",
    "process": "turn events into columns and histograms",
    "train": "… then train the detectors",
    "hunt": "… then select events and search the spectra for bumps",
    "validate": "… then doubt the background model: goodness of fit, bias, spurious signal, injected signals",
    "limit": "… then set upper limits",
    "figures": "… then draw every figure",
    "report": "… then write results.json and the HTML report",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 on success, 1 after an error, 2 for a command line that cannot be read."""
    options = parser().parse_args(arguments)
    _set_up_logging(verbose=options.verbose)
    try:
        options.command(options)
    except KeyboardInterrupt:
        print("\ndarkhorse: interrupted; what was finished is kept, run the same command to go on.", file=sys.stderr)
        return 130
    except Exception as error:
        return _report(error, debug=options.debug)
    return 0


def _report(error: Exception, *, debug: bool) -> int:
    """Print an error as one paragraph (with --debug the traceback too) and return the exit status."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # the reader of a pipe left: nothing more to say
        return 1
    print(f"darkhorse: {explain(error)}", file=sys.stderr)
    return 1


def explain(error: Exception) -> str:
    """Return the paragraph for an error: its own words where they are meant for the user."""
    if isinstance(error, (DarkhorseError, *commands.library_errors())):
        return str(error)
    if isinstance(error, OSError):
        return _explain_system_error(error)
    return (
        f"unexpected {type(error).__name__}: {error}. This is a fault of the program: run again with --debug and "
        "report what it prints."
    )


def _explain_system_error(error: OSError) -> str:
    if error.strerror is None:
        return str(error)  # raised by a library, in its own words
    text = error.strerror + (f": {error.filename}" if error.filename else "")
    if error.errno in _FULL:
        return f"{text}. Nothing half-written was left: free space, or choose another folder with --out or --data."
    if error.errno in _NOT_A_FOLDER and (file := _file_in_the_way(error.filename)):
        return f"{file} is a file, not a folder: name a folder, existing or new, with --out or --data."
    if error.errno in _UNWRITABLE:
        return f"{text}. Make the folder writable, or choose another one with --out or --data."
    return f"{text}. Check the path and its permissions."


def _file_in_the_way(path: object) -> Path | None:
    """Return the file that stands where a folder is needed: `path` or the nearest of its parents that exists."""
    if not isinstance(path, (str, os.PathLike)):
        return None
    existing = next((one for one in (Path(path), *Path(path).parents) if one.exists()), None)
    return existing if existing is not None and not existing.is_dir() else None


def _set_up_logging(*, verbose: bool) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", force=True)
    for package in ("analysis", "processors", "ml", "stats"):
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)
    # it takes ensembles of another shape, each compiled once, for one function that is compiled in a loop
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger().handlers[0].setLevel(logging.DEBUG if verbose else logging.WARNING)


def parser() -> argparse.ArgumentParser:
    """Return the command line of `darkhorse`."""
    top = argparse.ArgumentParser(prog="darkhorse", description="Search collider data for resonances nobody predicted.")
    top.add_argument("--version", action="version", version=f"darkhorse {metadata.version('darkhorse')}")
    subparsers = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text in STAGES.items():
        command = _command(subparsers, name, text, commands.stage)
        command.set_defaults(stage=name)
        _add_search_options(command)
        if name == "process":
            command.add_argument("--files", nargs="+", metavar="FILE", help="process these files instead of a search's")
            command.add_argument("--format", help="format of --files (default: darkhorse)")
            command.add_argument("--tree", help="tree in the ROOT files of --files")
        else:
            command.add_argument(
                "--training", choices=("in-process", "processes", "dask"),
                help="where detectors train: here, in --workers processes, or on the Dask cluster of --executor dask "
                "(default: dask with --executor dask, else in-process)",
            )  # fmt: skip
    _add_export(subparsers)
    _add_catalogue_commands(subparsers)
    check = _command(subparsers, "check", "validate a search and its data sets without running", commands.check)
    _add_search_options(check)
    return top


def _command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    function: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = subparsers.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.add_argument("--verbose", "-v", action="store_true", help="log every step")
    command.add_argument(
        "--data", type=Path, default=Path(os.environ.get("DARKHORSE_DATA", "data")), metavar="DIR",
        help="folder of generated, downloaded and processed events (default: %(default)s)",
    )  # fmt: skip
    return command


def _add_making_options(command: argparse.ArgumentParser, *, settings: str) -> None:
    """Add the options of every command that makes something."""
    command.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: %(default)s)"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help=f"change a key of the {settings}, sub-keys joined by dots; can be repeated",
    )  # fmt: skip


def _add_search_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("search", nargs="?", metavar="SEARCH.yaml", help="a search file, or the name of a ready one")
    _add_making_options(command, settings="search")
    command.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: out/<search>)")
    command.add_argument(
        "--executor", choices=("iterative", "futures", "dask"),
        help="how events are processed (default: dask with --scheduler, else futures)",
    )  # fmt: skip
    command.add_argument("--scheduler", metavar="ADDRESS", help="address of a running Dask scheduler")
    command.add_argument("--scale", metavar="NAME", help="one of the file's `scales`; small is the file as it is")
    command.add_argument("--seed", type=int, metavar="N", help="another seed than the search's")
    command.add_argument("--skip-bad-files", action="store_true", help="go on without files that cannot be read")


def _add_export(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = _command(subparsers, "export", "write results for other programs", commands.export)
    export.add_argument("what", choices=("hepdata", "histograms", "workspaces"))
    _add_search_options(export)


def _add_catalogue_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    datasets = _command(subparsers, "datasets", "list the catalogue and what of it is on disk", commands.datasets)
    generate = _command(subparsers, "generate", "generate built-in samples", commands.generate)
    fetch = _command(subparsers, "fetch", "download data sets", commands.fetch)
    for command in (datasets, generate, fetch):
        command.add_argument("--catalogue", type=Path, metavar="FILE", help="another catalogue than datasets.yaml")
    for command in (generate, fetch):
        command.add_argument("names", nargs="+", metavar="NAME", help="data sets of the catalogue")
    _add_making_options(generate, settings="recipe")
    generate.add_argument("--events", type=int, metavar="N", help="another number of events than the recipe's")
    generate.add_argument("--seed", type=int, metavar="N", help="another seed than the recipe's")
    generate.add_argument("--as", dest="alias", metavar="NAME", help="name of the generated data set")


if __name__ == "__main__":
    raise SystemExit(main())
