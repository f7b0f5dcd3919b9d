"""The commands for models: train, eval, bench. Not here: using them (streams.py)."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro

from livesnn.errors import DataError, LivesnnError
from livesnn.report import say, write, write_json


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
    write_json({"folder": str(done.folder), **asdict(done.validation)})
    return 0


def evaluate(
    *,
    model: str,
    dataset: Literal["nmnist", "gestures-sim"],
    data: Path = Path("data"),
    split: Literal["validation", "train", "test"] = "validation",
    stream: float | None = None,
    engine: Literal["auto", "onnx", "torch"] = "auto",
    keep: bool = False,
    json: bool = False,
) -> int:
    """Measure a model on a data set, with the state reset a clip and carried through all clips.

    Parameters
    ----------
    model
        Name of a shipped model, or a model folder.
    dataset
        Data set whose official layout lies in ``data``; gestures-sim is simulated, once.
    data
        Its folder.
    split
        "validation": the clips kept from the model's training, by the seed in its card.
    stream
        Measure on so many minutes of uncut gestures instead, the state carried throughout (gestures-sim).
    engine
        What runs the network.
    keep
        Record what was measured on the test split in the model folder's card.
    json
        As JSON.
    """
    from livesnn.infer import load_model, model_folder
    from livesnn.train.datasets import data_set
    from livesnn.train.evaluate import evaluate as measure
    from livesnn.train.folder import keep_test
    from livesnn.train.stream import evaluate_stream

    loaded = load_model(model, engine)
    if stream is not None and dataset != "gestures-sim":
        raise DataError(f"{dataset} has no uncut recordings: leave --stream out")
    if keep and (split != "test" or stream is not None):
        raise DataError("--keep records a measurement on the test split: add --split test")
    if stream is None:
        clips = measure(loaded, data_set(dataset).load_split(data, split, loaded.card))
        if keep:
            keep_test(model_folder(model), clips)
        measured = asdict(clips)
    else:
        measured = asdict(evaluate_stream(loaded, stream))
    if json:
        write_json(measured)
    else:
        numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
        write("\n".join(f"{name:>24}: {value:.4g}" for name, value in numbers.items()))
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

    write_json(measure(what, model, repeats))
    return 0
