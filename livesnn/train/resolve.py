"""From the flags that are given to a whole configuration: recipe, data set, model of --init, run to resume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from livesnn.card import ModelCard
from livesnn.console import say
from livesnn.errors import ModelError, TrainError
from livesnn.infer.load import model_folder
from livesnn.subprocesses import shares_another
from livesnn.train.configuration import (
    MODEL_FIELDS,
    NETWORKS,
    NO_AUGMENTATION,
    Configuration,
    Given,
    as_flags,
    fast_precision,
    flag,
    recipe,
)
from livesnn.train.datasets.registry import data_set
from livesnn.weights import WEIGHTS, Weights, load_weights

MOST_COUNTED = 15  # Side of the largest pool whose spikes fit into the 8 bits that --freeze keeps of it
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Flags(Configuration):
    """The flags of `livesnn train`: a configuration, and what doesn't change the training."""

    dry_run: bool = False
    """Don't train. Read the data, time a few steps, and show the data, the network and how long it will take."""
    json: bool = False
    """Print JSON."""


def resolve(given: Given, *, start: ModelCard | None = None, begun: Configuration | None = None) -> Configuration:
    """Return the whole configuration of a training.

    A field that isn't given has the value with which the training was ``begun``, or else that of the model it starts
    from, the data set, or the recipe for its network and data set, in this order. Raises TrainError if a value is
    out of range, or values contradict each other.

    ``start`` is the card of the model that --init names, ``begun`` belongs to the training that is resumed.
    """
    given = {name: value for name, value in given.items() if (name, value) != ("precision", "auto")}
    usual = _recipe_of(given, begun)
    values = vars(begun or usual) | given
    if isinstance(changed := given.get("augmentation", {}), Mapping):
        values["augmentation"] = replace((begun or usual).augmentation, **changed)
    kind, source = NETWORKS[values["network"]], data_set(values["dataset"])
    if values["init"] and not kind.spiking:
        raise TrainError(f"--network {values['network']} starts from scratch: leave --init out")
    if begun is None:
        values |= taken_from(start, given) if start else {}
        half = values["epochs"] // 2
        usual_epochs = 0 if values["init"] else half if values["recipe"] == "paper" else min(3, half)
        values["analog_epochs"] = given.get("analog_epochs", usual_epochs)
        values["protocol"] = values["protocol"] or source.PROTOCOLS[0]
    if values["freeze"]:
        if useless := [name for name in ("augmentation", "analog_epochs") if given.get(name)]:
            raise TrainError(f"{flag(useless[0])} has no effect with --freeze: leave one of them out")
        values["augmentation"] = NO_AUGMENTATION
    if refused := [name for name in kind.refused if name in given]:
        raise TrainError(f"{flag(refused[0])} has no effect on {values['network']}: leave it out")
    if not kind.spiking:
        values |= {"analog_epochs": 0, "burn_in": 0, "rate_weight": 0.0}
    config = Configuration(**values)
    if start:
        config = _with_frames_of(start, config)
        for fault in _differences(config, start):
            raise TrainError(fault)
    config.mirrored(())  # refuses what can't be mirrored
    for fault in _faults(config):
        raise TrainError(fault)
    return replace(config, precision=fast_precision()) if config.precision == "auto" else config


def _recipe_of(given: Given, begun: Configuration | None = None) -> Configuration:
    names = ("recipe", "network", "dataset")
    return recipe(*(given.get(name, getattr(begun or Configuration, name)) for name in names))


def taken_from(start: ModelCard, given: Given) -> dict[str, Any]:
    """Return the fields that a training takes from the model it starts from.

    They aren't given as flags, and the recipe has other values. Raises TrainError if the model has another network.
    """
    usual = _recipe_of(given)
    if start.network.kind != usual.network:
        raise TrainError(f"{start.name} isn't a {usual.network}: give --network {start.network.kind}")
    parts = (start.network, start.neuron, start)  # each of `MODEL_FIELDS` is a field of one of them
    theirs = {name: next(getattr(one, name) for one in parts if hasattr(one, name)) for name in MODEL_FIELDS}
    if "width" in given or usual.card(()).network.widths == start.network.widths:
        del theirs["widths"]
    return {name: value for name, value in theirs.items() if name not in given and value != getattr(usual, name)}


def _with_frames_of(start: ModelCard, config: Configuration) -> Configuration:
    if config.input.kind != "events":
        return config
    flicker = config.light_flicker or ("remove" if start.input.without_flicker else "keep")
    scaled = config.cell_pixels or config.input.slice.delta_t_us is None
    cell_pixels = config.cell_pixels if scaled else start.input.cell_pixels
    lift_to = config.lift_to
    if lift_to is None and config.input.slice.delta_t_us:
        lift_to = start.input.lift_to or 0.0
    theirs = start.input.width if start.input.width == start.input.height else None
    side = config.side or (theirs if theirs != config.input.width else None)
    return replace(config, side=side, cell_pixels=cell_pixels, light_flicker=flicker, lift_to=lift_to)


def _differences(config: Configuration, start: ModelCard) -> Iterator[str]:
    """Yield what keeps the network from having the weights of a model, or with --freeze from making its spikes."""
    card = config.card(())
    for part in ("network", "neuron", "input") if config.freeze else ("network",):
        ours, theirs = asdict(getattr(card, part)), asdict(getattr(start, part))
        for name in ours:
            if ours[name] == theirs[name] or name == "dropout":
                continue
            if part == "network" and name != "weight_bits":
                yield (
                    f"--init: {start.name} has {name} {theirs[name]}, not {ours[name]}: leave that out, or give a "
                    "model of the same network"
                )
            elif config.freeze:
                yield (
                    f"--freeze keeps {start.name} as it is, whose {part} has {name} {theirs[name]}, not "
                    f"{ours[name]}: give the same, or leave --freeze out"
                )
    if config.freeze:
        from livesnn.infer.spike_engine import runs  # a second

        if not runs(start) or config.final_pool > MOST_COUNTED:
            yield (
                f"--freeze needs widths that are multiples of 16 and pools of at most {MOST_COUNTED}×{MOST_COUNTED}, "
                f"which {start.name} doesn't have: leave --freeze out"
            )


def _faults(config: Configuration) -> Iterator[str]:
    source, window = data_set(config.dataset), config.input.window
    if config.dataset == "gestures-sim":
        if not NETWORKS[config.network].spiking:
            yield f"--network {config.network} has no state, but {config.dataset} is streams: give another --dataset"
        if config.burn_in >= config.stretch:
            yield (
                f"--burn-in {config.burn_in} leaves none of the {config.stretch} frames of --stretch to score: give "
                f"at most {(config.stretch - 1) // window * window}"
            )
    if config.burn_in % window:
        yield f"--burn-in {config.burn_in} isn't whole windows: give a multiple of {window}"
    if config.protocol not in source.PROTOCOLS:
        hint = f"give one of {', '.join(source.PROTOCOLS)}" if source.PROTOCOLS != ("",) else "leave it out"
        yield f"{config.dataset} has no --protocol {config.protocol!r}: {hint}"
    if config.cell_pixels and config.input.slice.delta_t_us is None:
        yield "--cell-pixels scales frames of a fixed time, not of --n-events: leave it out"
    if config.lift_to and config.input.slice.delta_t_us is None:
        yield "--lift-to scales only frames of a fixed duration, not of --n-events: leave it out"
    spiking = config.epochs - config.analog_epochs
    if config.average_epochs > spiking:
        yield f"--average-epochs {config.average_epochs} is more than the {spiking} spiking epochs: give fewer"


def configure(given: Given) -> Configuration:
    """Return the whole configuration of the flags, reading the model of --init and the run folder to resume.

    Raises TrainError like `resolve`, and if one of the two can't be read.
    """
    begun = _begun(given)
    init = given.get("init", begun.init if begun else None)
    start = read_start(init).card if init else None
    config = resolve(given, start=start, begun=begun)
    if start and begun is None and (taken := taken_from(start, given)) and not shares_another():
        say(f"as in {start.name}: {' '.join(as_flags(taken).values())}")
    return config


def _begun(given: Given) -> Configuration | None:
    names = ("dataset", "recipe", "network", "name", "seed", "out", "runs")
    named = Configuration(**{name: given[name] for name in names if name in given})
    run = named.run if named.runs == 1 else named.out / f"{named.base_name}-{named.seed}"
    if not given.get("resume") or not (run / CONFIG_FILE).exists():
        return None
    begun = recorded_config(run)
    return begun if named.runs == 1 else replace(begun, name=named.name, runs=named.runs)


class Start(NamedTuple):
    """A model that a training starts from: the file of its weights, the weights, and its card."""

    file: Path
    weights: Weights
    card: ModelCard


def read_start(model: Path) -> Start:
    """Read a model by its name or folder; raises TrainError if it isn't a whole model folder."""
    try:
        file = model_folder(model) / WEIGHTS
        return Start(file, *load_weights(file))
    except (ModelError, OSError) as error:
        raise TrainError(f"--init {model}: {error}") from error


def recorded_config(run: Path) -> Configuration:
    """Return the configuration that a training was begun with; raises TrainError where there is none."""
    try:
        fields_of_run = read_record(run / CONFIG_FILE)
        known = msgspec.convert(fields_of_run, Configuration, dec_hook=lambda kind, value: kind(value))
        return replace(known)  # with all fields: msgspec doesn't set those that it takes from the class
    except OSError as error:
        raise TrainError(f"{run} isn't a run folder, as it has no {CONFIG_FILE}: give that of a training") from error
    except msgspec.ValidationError as error:
        raise TrainError(
            f"{run / CONFIG_FILE} is from another version ({error}): start again under another --name"
        ) from error


def read_record(record: Path) -> dict[str, Any]:
    """Return the fields in a config.json; raises OSError without such a file, and TrainError if it is damaged."""
    try:
        values = msgspec.json.decode(record.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TrainError(f"{record} is damaged ({error}): start again under another --name") from error
    if values.get("analog_ceiling", 0) is None:  # JSON has no number for infinity
        values["analog_ceiling"] = inf
    return values


def as_record(config: Configuration) -> bytes:
    return msgspec.json.format(msgspec.json.encode(replace(config, resume=False), enc_hook=str), indent=2)
