"""Every command, one short function each; heavy imports inside it. stdout carries results, stderr messages."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tyro

from livesnn.errors import DataError, LivesnnError, SourceError
from livesnn.report import say, write

Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]


def gui(
    source: tyro.conf.Positional[str | None] = None,
    /,
    *,
    model: str | None = None,
    engine: Literal["auto", "onnx", "spike", "torch"] | None = None,
) -> int:
    """Open the window.

    Parameters
    ----------
    source
        Recording, camera, camera:SERIAL, tcp://HOST:PORT or simulate:gestures; default: the demo.
    model
        Name of a shipped model, or a model folder; default: the demo's, or the one used last.
    engine
        What runs the network; default: what was chosen last, auto at first.
    """
    from livesnn.app.run import run_app

    _print_json(run_app(source, model, engine=engine))
    return 0


def run(
    source: Source,
    /,
    *,
    model: str = "gestures",
    engine: Literal["auto", "onnx", "spike", "torch"] = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
    seconds: float | None = None,
    json: bool = False,
) -> int:
    """Decide without a window: one line a window (or frame), then a summary.

    A decision needs more than half of the probability; "–" stands for none, with the likeliest class behind it.

    Parameters
    ----------
    source
        Recording, as fast as it can be read; or camera, camera:SERIAL, tcp://HOST:PORT, simulate:gestures, until
        Ctrl-C.
    model
        Name of a shipped model, or a model folder.
    engine
        What runs the network; auto is onnx, torch needs livesnn[train].
    state
        Carry the membranes from window to window, or reset them.
    every
        One line a window, or one a frame once the first window is full.
    seconds
        End after so long: in a recording's own time, or in real time.
    json
        JSON lines.
    """
    from livesnn.infer.headless import Row, decide_all
    from livesnn.report import describe_row, describe_summary

    rows = decide_all(
        source, model, engine=engine, state=state, every=every, seconds=seconds, notify=_notice("run")
    )
    for row in rows:
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
    dataset: Literal["nmnist", "gestures-sim"],
    data: Path = Path("data"),
    split: Literal["validation", "train", "test"] = "validation",
    stream: float | None = None,
    engine: Literal["auto", "onnx", "torch"] = "auto",
    json: bool = False,
) -> int:
    """Measure a model on a data set, with the state reset a clip and carried through all clips.

    Parameters
    ----------
    model
        Name of a shipped model, or a model folder.
    dataset
        Data set whose official layout lies in ``data``; gestures-sim is made there, if it isn't there yet.
    data
        Its folder.
    split
        "validation": the clips kept from the model's training, by the seed in its card.
    stream
        Measure on so many minutes of uncut gestures instead, the state carried throughout (gestures-sim).
    engine
        What runs the network.
    json
        As JSON.
    """
    from livesnn.infer import load_model
    from livesnn.train.datasets import load_split
    from livesnn.train.evaluate import evaluate as measure
    from livesnn.train.stream import evaluate_stream

    loaded = load_model(model, engine)
    if stream is not None and dataset != "gestures-sim":
        raise DataError(f"{dataset} has no uncut recordings: leave --stream out")
    if stream is None:
        measured = asdict(measure(loaded, load_split(dataset, data, split, loaded.card)))
    else:
        measured = asdict(evaluate_stream(loaded, stream))
    if json:
        _print_json(measured)
    else:
        numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
        write("\n".join(f"{name:>24}: {value:.4g}" for name, value in numbers.items()))
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


def record(source: Source, out: tyro.conf.Positional[Path], /, *, seconds: float | None = None) -> int:
    """Write a camera, a stream or another recording to an .aedat4 file, until Ctrl-C or for so long.

    Parameters
    ----------
    source
        camera, camera:SERIAL, tcp://HOST:PORT, simulate:gestures, or a recording.
    out
        The .aedat4 file to write; never one that exists.
    seconds
        Of a live source, by the clock; of a recording, of its own time.
    """
    from livesnn.events.capture import record as capture
    from livesnn.sources import open_source

    done = capture(open_source(source, notify=_notice("record")), out, seconds=seconds)
    say(f"{done.events:,} events in {done.seconds:.1f} s written to {done.path}, {done.dropped:,} dropped")
    return 0


def devices(*, json: bool = False) -> int:
    """List the cameras that are plugged in.

    Parameters
    ----------
    json
        As JSON.
    """
    from livesnn.events.cameras import discover

    found = discover()
    if json:
        _print_json([asdict(device) for device in found])
    elif not found:
        say("livesnn devices: no camera found: plug one in, and check its cable and USB permissions")
    else:
        write("\n".join(f"{device.uri:<24} {device.name}" for device in found))
    return 0


def simulate(
    out: tyro.conf.Positional[Path], /, *, scene: str = "gestures", seed: int = 0, seconds: float = 5.0
) -> int:
    """Make a recording without a camera: a drawn person's gestures, or a drawn digit in saccades.

    Parameters
    ----------
    out
        The .aedat4 file to write.
    scene
        "gestures" (one after another), one of them, such as "hand_clapping", "idle", or "digit-0" to "digit-9".
    seed
        The same seed gives the same events.
    seconds
        How long.
    """
    from livesnn.events.recorder import Aedat4Writer
    from livesnn.simulate.scenes import check_scene, scene_resolution, simulate_scene

    if out.suffix != ".aedat4":
        raise SourceError(f"{out}: only .aedat4 can be written: name the file {out.stem}.aedat4")
    check_scene(scene, seed=seed, seconds=seconds)
    writer = Aedat4Writer(out, scene_resolution(scene), camera=f"simulated {scene}, seed {seed}")
    count = 0
    try:
        with writer:
            for events in simulate_scene(scene, seed=seed, seconds=seconds):
                writer.write(events)
                count += len(events)
    except BaseException:  # such as Ctrl-C: an unfinished file would be in the way next time
        out.unlink(missing_ok=True)
        raise
    say(f"{count} events of {scene} written to {out}")
    return 0


def bench(
    what: Annotated[
        tuple[Literal["decode", "slicer", "step", "latency", "startup", "simulate"], ...],
        tyro.conf.Positional,
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
    "record": record,
    "devices": devices,
    "info": info,
    "train": train,
    "eval": evaluate,
    "simulate": simulate,
    "bench": bench,
}


def _print_json(value: object) -> None:
    write(msgspec.json.encode(value).decode())


def _notice(command: str) -> Callable[[str], None]:
    """Return what tells a person that a live source is lost, or back."""
    return lambda line: say(f"livesnn {command}: {line}") if line else None
