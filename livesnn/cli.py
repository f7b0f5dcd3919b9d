"""Every command, one short function each; heavy imports inside it. stdout carries results, stderr messages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tyro

from livesnn.errors import LivesnnError, SourceError
from livesnn.report import accept_any_text, discard_output, say, write

Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]


def gui(source: tyro.conf.Positional[str | None] = None, /, *, model: str = "nmnist") -> int:
    """Open the window.

    Parameters
    ----------
    source
        Recording to play; default: a shipped one.
    model
        Name of a shipped model, or a model folder.
    """
    from livesnn.app.run import run_app

    _print_json(run_app(source, model))
    return 0


def run(
    source: Source,
    /,
    *,
    model: str = "nmnist",
    engine: Literal["auto", "onnx", "spike", "torch"] = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
    json: bool = False,
) -> int:
    """Decide without a window: one line a window (or frame), then a summary.

    A decision needs more than half of the probability; "–" stands for none, with the likeliest class behind it.

    Parameters
    ----------
    source
        Recording, as fast as it can be read.
    model
        Name of a shipped model, or a model folder.
    engine
        What runs the network; auto is onnx, torch needs livesnn[train].
    state
        Carry the membranes from window to window, or reset them.
    every
        One line a window, or one a frame once the first window is full.
    json
        JSON lines.
    """
    from livesnn.infer.headless import Row, decide_all
    from livesnn.report import describe_row, describe_summary

    for row in decide_all(source, model, engine=engine, state=state, every=every):
        if not isinstance(row, Row):
            for warning in row.warnings:
                say(f"livesnn run: {warning}")
        if json:
            _print_json(row if isinstance(row, Row) else {"summary": row})
        else:
            write(describe_row(row) if isinstance(row, Row) else describe_summary(row))
    return 0


def info(file: tyro.conf.Positional[Path], /, *, json: bool = False) -> int:
    """Say what is in a recording: streams, counts, times, sums, warnings.

    Parameters
    ----------
    file
        Recording of any format that livesnn reads.
    json
        As JSON.
    """
    from livesnn.events.describe import describe
    from livesnn.report import describe_recording

    described = describe(file)
    if json:
        _print_json(described)
    else:
        write(describe_recording(described))
    return 0


def evaluate(
    *,
    model: str,
    dataset: Literal["nmnist"],
    data: Path = Path("data"),
    split: Literal["validation", "train", "test"] = "validation",
    engine: Literal["auto", "onnx", "torch"] = "auto",
    json: bool = False,
) -> int:
    """Measure a model on a data set, with the state reset a clip and carried through all clips.

    Parameters
    ----------
    model
        Name of a shipped model, or a model folder.
    dataset
        Data set whose official layout lies in ``data``.
    data
        Its folder.
    split
        "validation": the clips kept from the model's training, by the seed in its card.
    engine
        What runs the network.
    json
        As JSON.
    """
    from livesnn.infer import load_model
    from livesnn.train.datasets import load_split
    from livesnn.train.evaluate import evaluate as measure

    loaded = load_model(model, engine)
    measured = measure(loaded, load_split(dataset, data, split, loaded.card))
    if json:
        _print_json(asdict(measured))
    else:
        for name in ("n", "accuracy_reset", "accuracy_carried", "density", "seconds"):
            write(f"{name:>17}: {getattr(measured, name):.4g}")
    return 0


def train(arguments: list[str]) -> int:
    """Train a model from a data set in its official layout: livesnn train --dataset nmnist --data DIR."""
    from livesnn.train.config import RECIPES, TrainConfig  # without torch

    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--recipe", choices=RECIPES, default="best")  # the defaults of all other flags
    default = RECIPES[recipe.parse_known_args(arguments)[0].recipe]
    config = tyro.cli(TrainConfig, args=arguments, default=default, prog="livesnn train")
    try:
        from livesnn.train.trainer import train as run_training
    except ModuleNotFoundError as error:
        raise LivesnnError(f"training needs {error.name}: pip install 'livesnn[train]'") from error
    done = run_training(config)
    say(f"model written to {done.folder}")
    _print_json({"folder": str(done.folder), **asdict(done.validation)})
    return 0


def simulate(
    out: tyro.conf.Positional[Path], /, *, scene: str = "digit-3", seed: int = 0, seconds: float = 5.0
) -> int:
    """Make a recording without a camera: a drawn digit in saccades.

    Parameters
    ----------
    out
        The .aedat4 file to write.
    scene
        "digit-0" to "digit-9".
    seed
        The same seed gives the same events.
    seconds
        How long.
    """
    from livesnn.events.recorder import Aedat4Writer
    from livesnn.simulate.scenes import RESOLUTION, check_scene, simulate_scene

    if out.suffix != ".aedat4":
        raise SourceError(f"{out}: only .aedat4 can be written: name the file {out.stem}.aedat4")
    check_scene(scene, seed=seed, seconds=seconds)
    writer = Aedat4Writer(out, RESOLUTION, camera=f"simulated {scene}, seed {seed}")
    try:
        with writer:
            events = simulate_scene(scene, seed=seed, seconds=seconds)
            writer.write(events)
    except BaseException:  # such as Ctrl-C: an unfinished file would be in the way next time
        out.unlink(missing_ok=True)
        raise
    say(f"{len(events)} events of {scene} written to {out}")
    return 0


def bench(
    what: Annotated[
        tuple[Literal["decode", "slicer", "step", "latency", "startup"], ...], tyro.conf.Positional
    ] = (),
    /,
    *,
    model: str = "nmnist",
    repeats: int = 5,
) -> int:
    """Measure this machine; JSON.

    Parameters
    ----------
    what
        Which measurements; default: all.
    model
        Name of a shipped model, or a model folder.
    repeats
        Runs of each.
    """
    from livesnn.bench import measure

    _print_json(measure(what, model, repeats))
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "gui": gui,
    "run": run,
    "info": info,
    "train": train,
    "eval": evaluate,
    "simulate": simulate,
    "bench": bench,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns 0, or 1 after one line about an error. Bad usage exits with 2."""
    accept_any_text()
    arguments, debug = _take_debug(list(sys.argv[1:] if arguments is None else arguments))
    name, rest = (arguments[0], arguments[1:]) if arguments else ("gui", [])
    try:
        return _run_command(name, rest)
    except LivesnnError as error:
        if debug:
            raise
        say(f"livesnn {name}: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"livesnn {name}: stopped")
        return 130
    except BrokenPipeError:
        discard_output()
        return 0
    except Exception as error:
        if debug:
            raise
        say(
            f"livesnn {name}: unexpected {type(error).__name__}: {error} (run again with --debug and report it)"
        )
        return 1


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without a first or last --debug, "--" being the end; and whether there was one."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags, others = arguments[:end], arguments[end:]
    if flags[:1] == ["--debug"]:
        return flags[1:] + others, True
    if flags[-1:] == ["--debug"]:
        return flags[:-1] + others, True
    return arguments, False


def _run_command(name: str, arguments: list[str]) -> int:
    """Run the command of that name; bad usage of one exits with 2."""
    if name == "--version":
        from livesnn import __version__

        write(__version__)
        return 0
    if name not in COMMANDS:
        return _usage(name)
    command = COMMANDS[name]
    return train(arguments) if command is train else tyro.cli(command, args=arguments, prog=f"livesnn {name}")


def _usage(name: str) -> int:
    """Print the commands: to stdout when asked for, else to stderr."""
    asked = name in ("-h", "--help", "help")
    lines = [
        f"  {command:<8} {(function.__doc__ or '').splitlines()[0]}" for command, function in COMMANDS.items()
    ]
    text = "\n".join(
        ["usage: livesnn [COMMAND] [OPTIONS] [--debug]   (without a command: the window)", "", *lines]
    )
    if asked:
        write(text)
        return 0
    hint = f" (to open a file: livesnn gui {name})" if Path(name).exists() else ""
    say(f"livesnn: no command {name!r}{hint}")
    print(f"\n{text}", file=sys.stderr, flush=True)
    return 2


def _print_json(value: object) -> None:
    write(msgspec.json.encode(value).decode())
