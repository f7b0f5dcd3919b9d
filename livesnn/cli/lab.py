"""The commands for models: train, eval, data. Not here: using them (streams.py)."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from livesnn.card import ModelCard
from livesnn.cli.deciding import AS_USUAL, Decisions
from livesnn.console import one_line, say, write, write_json
from livesnn.errors import DataError
from livesnn.train.datasets import Name as DataSetName
from livesnn.train.processes import keep_freed_memory

if TYPE_CHECKING:  # it imports torch
    from livesnn.train.baselines import Measured
    from livesnn.train.evaluate import Evaluation
    from livesnn.train.trainer import Trained


MOST_MISSING = 5
"""Classes without a file of which `data check` tells one by one."""


def train(arguments: list[str]) -> int:
    """Train a model from a data set in its official layout: livesnn train --dataset nmnist --data DIR."""
    from livesnn.train.configuration import NETWORKS  # without torch
    from livesnn.train.resolve import configure, given_flags

    config = configure(given_flags(arguments))
    from livesnn.train.trainer import train_all

    keep_freed_memory()
    done = train_all(config)
    for trained in done:
        spiking = NETWORKS[config.network].spiking
        what = "model written to" if spiking else "a baseline makes no model; its run:"
        say(f"{what} {trained.folder}")
        _say_skipped(trained.skipped, trained.warnings)
        if trained.unmeasured:
            say(f"validation has no clip of {', '.join(trained.unmeasured)}: its figures say nothing of them")
        _say_same_groups(trained.network.card)
        say(_accuracy(trained.validation))
    rows = [_row(trained) for trained in done]
    if len(rows) > 1:
        write_json({"runs": rows, **_spreads([trained.validation for trained in done])})
    elif rows:  # none on a machine that shares another's training
        write_json(rows[0])
    return 0


def _accuracy(measured: Evaluation | Measured) -> str:
    """Return how good what a training ended with is, in words."""
    carried = getattr(measured, "accuracy_carried", None)
    more = f", {carried:.1%} with it carried" if carried is not None else ""
    return f"right on {measured.accuracy_reset:.1%} of {measured.n} validation clips, the state reset{more}"


def _row(trained: Trained) -> dict[str, object]:
    return {"folder": str(trained.folder), **asdict(trained.validation), "skipped": len(trained.skipped)}


_SPREAD = ("accuracy_reset", "accuracy_carried", "accuracy_recordings", "density")


def _spreads(measured: Sequence[object]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation of what was measured in each of several runs."""
    known = [name for name in _SPREAD if all(getattr(run, name, None) is not None for run in measured)]
    columns = {name: [float(getattr(run, name)) for run in measured] for name in known}
    return {
        name: {"mean": statistics.mean(values), "sd": statistics.stdev(values), "n": len(values)}
        for name, values in columns.items()
    }


def _say_skipped(skipped: tuple[str, ...], warnings: tuple[str, ...]) -> None:
    for what, lines in (("left out", skipped), ("note", warnings)):
        for line in lines[:5]:
            say(f"{what}: {line}")
        if len(lines) > 5:
            say(f"{what}: {len(lines) - 5} more, {len(lines)} in all")


def _say_same_groups(card: ModelCard) -> None:
    if card.split and card.split.clips:
        say("where a class has one group, its last clips are kept for validation: the accuracy is too high")


def evaluate(
    *,
    model: str,
    dataset: DataSetName,
    data: Path = Path("data"),
    split: Literal["validation", "train", "test"] = "validation",
    stream: float | None = None,
    decisions: Decisions = AS_USUAL,
    seed: int = 0,
    engine: Literal["auto", "onnx", "spike", "torch"] = "onnx",
    to_card: bool = False,
    json: bool = False,
) -> int:
    """Measure a model on a data set, state reset a clip and carried through all; say in words what is wrong with it.

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
        Measure on about so many minutes of uncut gestures instead, the state carried: of gestures-sim, dvs-gesture,
        or a folder's recordings with tables of labels, where what is between two labels counts as nothing performed.
        --threshold and what else says when there is a decision is of such a stream alone.
    seed
        Of the clips' order in one stream; with --stream of the person, or of dvs-gesture's recordings' order.
    engine
        What runs the network; onnx as in a training's own measurement: what is measured must not depend on what
        happens to be compiled.
    to_card
        Record what was measured on the test split in the model folder's card.
    json
        As JSON.
    """
    from livesnn.infer.decide import Decider
    from livesnn.infer.model import load_model, model_folder
    from livesnn.train.datasets import data_set, uncut_streams
    from livesnn.train.evaluate import evaluate as measure
    from livesnn.train.evaluate import explain
    from livesnn.train.evaluate_stream import describe_stream, evaluate_stream

    if seed < 0:
        raise DataError(f"{seed} is no seed: give 0 or more")
    decider = decisions.wanted.decider(Decider())
    if stream is None and decider != Decider():
        raise DataError(
            "--threshold, --keep, --smoothing, --class-threshold, --allow and --deny need --stream: "
            "a clip is always decided"
        )
    loaded = load_model(model, engine)
    decider.check(loaded.card)
    if to_card:
        if split != "test":
            raise DataError("--to-card records a measurement on the test split: add --split test")
        if stream is not None:
            raise DataError("--to-card records the accuracy of clips: leave --stream out")
        if loaded.card.dataset != dataset:
            raise DataError(
                f"{loaded.card.name} was trained on {loaded.card.dataset or 'something else'}, and its card has that "
                f"test alone: leave --to-card out"
            )
        if loaded.card.taught:
            raise DataError(f"{loaded.card.name} was taught what no test has: leave --to-card out")
        from livesnn.train.model_folder import keep_test  # before minutes of measuring: it needs onnx
    if stream is not None:
        streams = uncut_streams(dataset, data, split, loaded.card, stream, seed)
        played = evaluate_stream(loaded, streams, decider)
        _show(asdict(played), describe_stream(played), json=json)
        return 0
    source = data_set(dataset)
    clips = source.load_split(data, split, loaded.card)
    _say_skipped(clips.skipped, clips.warnings)
    if split == "validation":
        _say_same_groups(loaded.card)
    if dataset == "folder" and split != "test" and loaded.card.dataset != dataset:
        say(f"{loaded.card.name} was not trained on a folder: all its clips are measured, whatever --split")
    measured = measure(loaded, clips, seed=seed)
    if to_card:
        keep_test(model_folder(model), measured)
    _show(
        asdict(measured) | {"skipped": len(clips.skipped)},
        explain(measured, loaded.card, clips.sensor or source.SENSOR),
        json=json,
    )
    return 0


def _show(measured: dict[str, object], words: Iterable[str], *, json: bool) -> None:
    """Write a measurement as JSON, or its numbers and then the words."""
    if json:
        write_json(measured)
        return
    numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
    write("\n".join([*(f"{name:>24}: {value:.4g}" for name, value in numbers.items()), *words]))


def data(
    action: Annotated[Literal["check", "get"], tyro.conf.Positional],
    dataset: Annotated[DataSetName, tyro.conf.Positional],
    /,
    *,
    data: Path = Path("data"),
    json: bool = False,
) -> int:
    """Check a data set: complete, missing or damaged (exit code 1 if anything is damaged); or get it.

    Parameters
    ----------
    action
        check; or get: download it, or say what to put where.
    dataset
        Which data set.
    data
        Its folder, in its official layout.
    json
        As JSON.
    """
    return _get(dataset, data, json=json) if action == "get" else _check(dataset, data, json=json)


def _get(dataset: DataSetName, data: Path, *, json: bool) -> int:
    from livesnn.train.datasets.download import download

    file = download(dataset, data)
    if json:
        write_json({"file": str(file) if file else None})
    else:
        say(f"{file} is there" if file else f"{dataset} takes no files: it is made on the spot")
    return 0


def _check(dataset: DataSetName, data: Path, *, json: bool) -> int:
    from livesnn.train.datasets import data_set

    findings = data_set(dataset).check(data)
    if json:
        write_json([finding._asdict() for finding in findings])
    else:
        missing = [finding for finding in findings if finding.state == "missing"]
        unsaid = set(missing[MOST_MISSING:])
        write(
            "\n".join(
                f"{finding.state:>10}  {one_line(finding.what)}"
                for finding in findings
                if finding not in unsaid
            )
        )
        if unsaid:
            say(f"{len(unsaid)} more are missing: --json lists them")
        counts = Counter(finding.state for finding in findings)
        say(
            ", ".join(
                f"{counts[state]} {state}"
                for state in ("complete", "incomplete", "missing", "unusable", "damaged")
            )
        )
    return int(any(finding.state == "damaged" for finding in findings))
