"""The commands for models: train, eval, data, export. Using a model is in streams.py, teaching in recordings.py."""

from __future__ import annotations

import inspect
import itertools
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from livesnn.card import ModelCard
from livesnn.cli.options import AS_USUAL, DecisionFlags, Engine, Seconds
from livesnn.cli.parser import Flag, Parser
from livesnn.console import one_line, say, write, write_json
from livesnn.errors import DataError, ModelError
from livesnn.files import cannot_write, expanded, replace_file
from livesnn.subprocesses import keep_freed_memory
from livesnn.train.datasets.request import Name as DataSetName
from livesnn.train.datasets.request import SplitName
from livesnn.train.datasets.split import ONE_SESSION

if TYPE_CHECKING:
    from livesnn.train.trainer import Trained

TRAINING_GROUPS = {  # Fields of Configuration by their group on the help page.
    "What to train": (
        "dataset", "data", "recipe", "network", "name", "out", "init", "freeze", "resume", "runs", "seed",
        "dry_run", "json",
    ),
    "Length and hardware": ("epochs", "batch", "learning_rate", "devices", "num_nodes", "precision", "compile"),
    "Data": (
        "delta_t_us", "n_events", "side", "cell_pixels", "light_flicker", "lift_to", "validation", "protocol", "only",
        "windows", "people", "movements", "stretch", "digits", "images", "simulated", "simulated_pool", "mnist",
    ),
    "Network": (
        "width", "widths", "stem_stride", "stem_pool_stride", "strides", "sub_blocks", "final_pool", "weight_bits",
        "norm", "measured_norms", "dropout",
    ),
    "Neuron": (
        "readout", "traced", "hidden", "members", "reset", "alpha", "block_alphas", "threshold", "surrogate",
        "surrogate_width", "surrogate_peak",
    ),
    "Hybrid method": ("analog_epochs", "analog_slope", "analog_ceiling"),
    "Loss and optimiser": (
        "loss", "balance", "unknown_weight", "kinds_weight", "optimizer", "gradient_clip", "average_epochs",
        "rate_target", "rate_weight",
    ),
    "Streams": ("burn_in", "from_zero"),
}  # fmt: skip


def train(**given: Any) -> int:
    """Train a model on a data set.

    --data names the folder of the data set, in its official layout: livesnn train --dataset nmnist --data DIR
    """
    from livesnn.train.resolve import configure

    json, only_shown = given.pop("json", False), given.pop("dry_run", False)
    config = configure(given)
    from livesnn.train.trainer import describe_plan, describe_trained, plan, train_all

    keep_freed_memory()
    if only_shown:
        planned = plan(config)
        _say_skipped(planned.skipped, planned.warnings)
        figures = asdict(planned) | {"skipped": len(planned.skipped)}
        write_json(figures) if json else write("\n".join(describe_plan(planned)))
        return 0
    done = train_all(config)
    for trained in done:
        _say_skipped(trained.skipped, trained.warnings)
        if trained.unmeasured:
            missing = ", ".join(trained.unmeasured)
            say(f"no validation clip shows {missing}, so the accuracy says nothing about it: add sessions")
    spread = spreads([trained.validation for trained in done]) if len(done) > 1 else {}
    if not json:
        for trained in done:
            write("\n".join(describe_trained(trained, config)))
        for name, each in spread.items():
            write(f"{name} of {each['n']} runs: {each['mean']:.4f} ± {each['sd']:.4f} (mean ± sd)")
    elif len(done) > 1:
        write_json({"runs": [_row(trained) for trained in done], **spread})
    elif done:  # none on a machine that shares another's training
        write_json(_row(done[0]))
    return 0


def training_parser(line: Sequence[str] = ()) -> Parser:
    """Return the parser of a training; its page has the defaults of a command line's recipe, network and data set."""
    from livesnn.train.configuration import NETWORKS, RECIPES, Configuration, recipe
    from livesnn.train.resolve import Flags

    values = dict(itertools.pairwise(line))
    known = {"recipe": RECIPES, "network": tuple(NETWORKS), "dataset": get_args(DataSetName)}
    chosen: dict[str, Any] = {
        name: value if (value := values.get(f"--{name}")) in choices else getattr(Configuration, name)
        for name, choices in known.items()
    }
    parser = Parser("livesnn train", inspect.getdoc(train) or "")
    parser.add_fields(Flags(**vars(recipe(*chosen.values()))), TRAINING_GROUPS)
    return parser


def given_flags(line: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a training's `Flags` that a line gives. Raises UsageError."""
    return training_parser(line).given(line)


def _row(trained: Trained) -> dict[str, object]:
    return {"folder": str(trained.folder), **asdict(trained.validation), "skipped": len(trained.skipped)}


_SPREAD = ("accuracy_reset", "accuracy_carried", "accuracy_recordings", "density")


def spreads(measured: Sequence[object]) -> dict[str, dict[str, float]]:
    """Return the mean and standard deviation of each figure over several runs."""
    known = [name for name in _SPREAD if all(getattr(run, name, None) is not None for run in measured)]
    columns = {name: [float(getattr(run, name)) for run in measured] for name in known}
    return {
        name: {"mean": statistics.mean(values), "sd": statistics.stdev(values), "n": len(values)}
        for name, values in columns.items()
    }


def _say_skipped(skipped: tuple[str, ...], warnings: tuple[str, ...]) -> None:
    for what, lines in (("skipped", skipped), ("note", warnings)):
        for line in lines[:5]:
            say(f"{what}: {line}")
        if len(lines) > 5:
            say(f"{what}: {len(lines) - 5} more, {len(lines)} in total")


def evaluate(
    *,
    model: str,
    dataset: DataSetName,
    data: Path = Path("data"),
    split: SplitName = "validation",
    stream: Annotated[float | None, Flag("MINUTES")] = None,
    decisions: DecisionFlags = AS_USUAL,
    seed: int = 0,
    engine: Engine = "onnx",
    to_card: bool = False,
    json: bool = False,
) -> int:
    """Measure a model on a data set.

    The accuracy is measured twice: with the state reset before each clip, and carried through all clips. The report
    then says where the model goes wrong.

    Parameters
    ----------
    model
        Name of a model, or a model folder.
    dataset
        The data set. gestures-sim is simulated once and cached.
    data
        Folder of the data set, in its official layout.
    split
        Part of the data set. validation is the clips that were kept out of the model's training, as its card says.
    json
        Print JSON.

    Other Parameters
    ----------------
    stream
        Measure on about this many minutes of uncut gestures, with the state carried. This works for gestures-sim,
        dvs-gesture, recordings, and a folder with tables of labels. Time between labels counts as no gesture.
    to_card
        Record the accuracy on the test split in the model's card.
    seed
        Seed for the order of the clips. With --stream, it is for the simulated person or the order of the recordings.
    engine
        What runs the network. Training also measures with onnx. auto depends on what is compiled.
    """
    from livesnn.infer.decide import Decider
    from livesnn.infer.load import load_model, model_folder
    from livesnn.train.datasets.registry import data_set, uncut_streams
    from livesnn.train.evaluate import evaluate as measure
    from livesnn.train.evaluate import explain
    from livesnn.train.evaluate_stream import describe_stream, evaluate_stream

    if seed < 0:
        raise DataError(f"--seed can't be {seed}: give 0 or more")
    decider = Decider().merge(decisions.given)
    if stream is None and decider != Decider():
        raise DataError(
            "--threshold, --hysteresis, --smoothing, --leak, --class-threshold, --allow and --deny only apply with "
            "--stream: add it, or leave them out"
        )
    loaded = load_model(model, engine)
    card = loaded.card
    decider.check(card)
    if to_card:
        if split != "test" or stream is not None or card.dataset != dataset or card.taught or card.renamed:
            raise DataError(
                f"--to-card records how a model does on clips of its own test, and {card.name} was trained on "
                f"{card.dataset or 'something else'}{' and taught since' if card.taught or card.renamed else ''}: "
                "give that --dataset and --split test without --stream, or leave --to-card out"
            )
        from livesnn.train.model_folder import record_test  # before minutes of measuring: it needs onnx
    if stream is not None:
        streams = uncut_streams(dataset, data, split, card, stream, seed)
        played = evaluate_stream(loaded, streams, decider)
        _show(asdict(played), describe_stream(played), json=json)
        return 0
    source = data_set(dataset)
    clips = source.load_split(data, split, card)
    _say_skipped(clips.skipped, clips.warnings)
    if split == "validation" and card.split and card.split.clips:
        say(ONE_SESSION)
    if dataset == "folder" and split != "test" and card.dataset != dataset:
        say(f"{card.name} was not trained on a folder: all clips are measured, whatever --split says")
    measured = measure(loaded, clips, seed=seed)
    if to_card:
        record_test(model_folder(model), measured)
    _show(
        asdict(measured) | {"skipped": len(clips.skipped)},
        explain(measured, card, clips.sensor or source.SENSOR),
        json=json,
    )
    return 0


def _show(measured: dict[str, object], words: Iterable[str], *, json: bool) -> None:
    if json:
        write_json(measured)
        return
    numbers = {name: value for name, value in measured.items() if isinstance(value, int | float)}
    write("\n".join([*(f"{name:>28}: {value:.4g}" for name, value in numbers.items()), *words]))


def data(
    action: Literal["check", "get"],
    dataset: DataSetName,
    /,
    *,
    data: Path = Path("data"),
    json: bool = False,
) -> int:
    """Download or check a data set.

    A check finds each part complete, missing or damaged. The exit code is 1 if anything is damaged.

    Parameters
    ----------
    action
        check looks at the files. get downloads them, or says what to put where.
    dataset
        The data set.
    data
        Folder of the data set, in its official layout.
    json
        Print JSON.
    """
    from livesnn.train.datasets.registry import data_set, download

    if action == "get":
        file = download(dataset, data)
        if json:
            write_json({"file": str(file) if file else None})
        else:
            say(f"{file} is ready" if file else f"{dataset} needs no files: it is simulated when it is used")
        return 0
    findings = data_set(dataset).check(data)
    if json:
        write_json([finding._asdict() for finding in findings])
    else:
        write("\n".join(f"{finding.state:>10}  {one_line(finding.what)}" for finding in findings))
        counts: Counter[str] = Counter(finding.state for finding in findings)
        states = ("complete", "incomplete", "missing", "unusable", "damaged")
        say(", ".join(f"{counts[state]} {state}" for state in states))
    return int(any(finding.state == "damaged" for finding in findings))


def export(
    model: str,
    out: Path,
    /,
    *,
    dt: Seconds = None,
    json: bool = False,
) -> int:
    """Export a model to one file for other programs and chips.

    Parameters
    ----------
    model
        Name of a model, or a model folder.
    out
        A file that doesn't exist yet. OUT.nir is the Neuromorphic Intermediate Representation, for other frameworks
        and neuromorphic chips. OUT.onnx is one step: frame and states in, output and states out.
    dt
        Time of one step in seconds, for .nir. Default: the time of one frame. Some programs need their own, such as
        0.0001 for snnTorch.
    json
        Print JSON that says what was written.
    """
    from livesnn.infer.load import model_folder

    out = expanded(out)
    nir = out.suffix.lower() == ".nir"
    if not nir and out.suffix.lower() != ".onnx":
        raise ModelError(f"{out}: unknown format: choose a name that ends in .nir or .onnx")
    if out.exists() or out.is_symlink():
        raise ModelError(f"{out} exists already: choose another name")
    if not out.parent.is_dir():
        raise ModelError(f"{out}: there is no folder {out.parent}: make it first")
    if dt is not None and not nir:
        raise ModelError("--dt is only for .nir, as .onnx holds no time step: leave it out")
    if dt is not None and not 1e-9 <= dt <= 1e6:
        raise ModelError(f"--dt can't be {dt:g}: give seconds from 1e-9 to 1e6, such as 0.0001")
    folder = model_folder(model)
    octets, card, dt = _nir(folder, dt) if nir else (*_onnx(folder), None)
    try:
        replace_file(out, octets)
    except OSError as error:
        raise cannot_write(out, error) from error
    if json:
        said = {"model": card.name, "out": str(out), "octets": len(octets), "classes": card.classes, "dt": dt}
        write_json(said)
    else:
        steps = "" if dt is None else f", a step is {dt:g} s"
        write(f"{out}: {card.name}, {len(card.states)} layers, {len(card.classes)} classes{steps}")
    return 0


def _nir(folder: Path, dt: float | None) -> tuple[bytes, ModelCard, float]:
    from livesnn.infer.nir_graph import frame_s, nir_file, nir_graph
    from livesnn.weights import load_weights

    file = folder / "model.safetensors"
    if not file.exists():
        raise ModelError(f"{file} is missing, and .nir is made from it: export to .onnx, or train the model again")
    weights, card = load_weights(file)
    dt_s = frame_s(card) if dt is None else dt
    try:
        return nir_file(nir_graph(card, weights, dt_s)), card, dt_s
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def _onnx(folder: Path) -> tuple[bytes, ModelCard]:
    from livesnn.infer.onnx_engine import OnnxModel

    file = folder / "model.onnx"
    if not file.exists():
        raise ModelError(f"{file} is missing: export to .nir, or train the model again")
    card = OnnxModel.load(file).card  # checks that it runs
    return file.read_bytes(), card
