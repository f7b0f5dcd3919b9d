"""The network of a training: as it begins, with all but its read-out frozen, at the end, and as a teacher.

Sources: stochastic weight averaging (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better
Generalization"); precise batch norm (Wu & Johnson 2021, "Rethinking Batch in BatchNorm").
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from livesnn.card import BY_TABLE, ModelCard
from livesnn.console import say
from livesnn.errors import ModelError, TrainError
from livesnn.events.slicer import Frame
from livesnn.infer.model import load_model, model_folder, pooled_spikes
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import weights_of, with_weights
from livesnn.snn.lif import EAGER, Surrogate, compiled_kernels
from livesnn.snn.network import State, eval_mode
from livesnn.train.baselines import BASELINES, Baseline
from livesnn.train.batches import AT_ONCE
from livesnn.train.configuration import NETWORKS, Configuration
from livesnn.train.datasets import Parts, Samples
from livesnn.train.datasets.clips import Frames, Stack, Streams, made_in_parts
from livesnn.train.resolve import Start, recorded_config
from livesnn.train.run_folder import (
    BEST,
    LAST,
    epoch_file,
    epochs_done,
    has_clips,
    load_checkpoint,
    load_weights_of_run,
)
from livesnn.train.spike_conv import convolve_spikes
from livesnn.weights import WEIGHTS, Weights, load_weights

Network = SpikingNetwork | Baseline  # What `HybridModule` trains

HEAD = "classify."  # Prefix of the names of the last layer's tensors, whose first axis is the classes

READ_OUT = ("read_out.", HEAD)  # Prefixes of the names of a read-out's tensors

SPIKES_AT_ONCE = 20  # Streams in a cache file

MEASURED_CLIPS = 500  # Largest number of training clips on which batch norms are measured


def build(config: Configuration, classes: tuple[str, ...]) -> Network:
    """Build the configured network with random weights; raises TrainError if it doesn't fit its input."""
    card = config.card(classes)
    if not NETWORKS[config.network].spiking:
        return BASELINES[config.network](card)
    try:
        net = build_network(card)
    except ModelError as error:
        raise TrainError(f"--strides or --final-pool is too large for this input: {error}") from error
    net.analog_slope, net.analog_ceiling = config.analog_slope, config.analog_ceiling
    if config.compile:
        convolve_spikes(net)
        if torch.cuda.is_available() or shutil.which("c++") is not None:
            net.kernels = compiled_kernels()
    net.surrogate = Surrogate(config.surrogate, config.surrogate_width, config.surrogate_peak)
    return net


def start_from(net: SpikingNetwork, start: Start) -> None:
    """Load a model's weights into a network to train; the rows of classes it doesn't know stay random.

    If only one of the two has a read-out of traces, the whole read-out stays random. Raises TrainError if the model
    has another network.
    """
    weights, fresh = start.weights, weights_of(net)
    if "traces" in (kinds := {start.card.readout, net.card.readout}) and len(kinds) > 1:
        weights = {name: array for name, array in weights.items() if not name.startswith(READ_OUT)}
        weights |= {name: array for name, array in fresh.items() if name.startswith(READ_OUT)}
    elif start.card.classes != net.card.classes:
        weights = weights | _head(weights, start.card.classes, fresh, net.card.classes)
    try:
        with_weights(net, weights, where=str(start.file)).train()
    except ModelError as error:
        raise TrainError(f"--init: {error}: give a model of the same network and input") from error


def _head(theirs: Weights, known: Sequence[str], fresh: Weights, classes: Sequence[str]) -> Weights:
    head = {name: array.copy() for name, array in fresh.items() if name.startswith(HEAD)}
    for name, rows in head.items():
        if name not in theirs or theirs[name].shape[1:] != rows.shape[1:]:
            return {}  # another network or input, which is refused
        for row, label in enumerate(classes):
            if label in known:
                rows[row] = theirs[name][known.index(label)]
    return head


def freeze(net: SpikingNetwork) -> None:
    """Let only the read-out be trained."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad = name.startswith(READ_OUT)


def spikes_of(streams: Streams, model: Path) -> Streams:
    """Return streams of pooled spike counts, uint8 [N, F, P, 1, 1], in place of frames, for a read-out of traces.

    The spikes are those of the spike-driven engine, as the finished model has them. They are kept in the cache.
    """
    folder = model_folder(model)
    weights, card = load_weights(folder / WEIGHTS)
    digest = hashlib.blake2b()
    for name, array in sorted(weights.items()):
        if not name.startswith(READ_OUT):
            digest.update(name.encode() + array.tobytes())
    settings = (digest.hexdigest(), card.network, card.neuron, card.input)
    spikes = made_in_parts(
        "spikes",
        [slice(first, first + SPIKES_AT_ONCE) for first in range(0, len(streams.frames), SPIKES_AT_ONCE)],
        lambda part: (*settings, hashlib.blake2b(streams.frames[part].data).hexdigest()),
        partial(_spikes, streams.frames, folder),
        "computing spikes, in parts",
    )
    return replace(streams, frames=spikes)


def _spikes(streams: Stack, folder: Path, part: slice) -> Frames:
    model, frames = load_model(folder, "spike", threads=1), streams[part]
    # The read-out may be another one: only the layers that a read-out of traces gets are asked for.
    card = replace(model.card, readout="traces")
    made = []
    for stream in frames:
        state = model.initial_state()
        for data in stream:
            _, state = model.step(Frame(0, data, 0), state)
            made.append(np.rint(pooled_spikes(card, state) * card.network.final_pool**2).astype(np.uint8))
    return np.array(made).reshape(*frames.shape[:2], -1, 1, 1)


def with_classes(net: Network, classes: tuple[str, ...]) -> Network:
    """Return the network without the outputs behind those of its first ``classes``, which only training needs."""
    if net.card.classes == classes:
        return net
    assert isinstance(net, SpikingNetwork)  # baselines have no others
    weights = weights_of(net)
    head = {name: array[: len(classes)] for name, array in weights.items() if name.startswith(HEAD)}
    return with_weights(build_network(replace(net.card, classes=classes)), weights | head, where=net.card.name)


def trained_before(start: Start | None, config: Configuration) -> ModelCard | None:
    """Return the model's card if it was trained on the same data set: then its validation clips stay validation.

    Raises TrainError if that was on another published split: it has learned what would be validation or test here.
    """
    if start is None:
        return None
    names = {start.card.dataset, config.dataset}
    same_digits = all(name.startswith("mnist-") for name in names)
    if len(names) > 1 and not same_digits:
        return None
    theirs = start.card.split.protocol if start.card.split else config.protocol
    if theirs not in (config.protocol, BY_TABLE):
        raise TrainError(
            f"{start.card.name} was trained on --protocol {theirs}, which includes validation and test clips of "
            f"this one: give --protocol {theirs}"
        )
    return start.card


def say_validation(before: ModelCard | None, parts: Parts) -> None:
    """Say where validation isn't drawn by --seed and --validation, and where the model may have seen it."""
    if before is None or parts.split is None:
        return
    theirs = before.split
    if theirs is None or BY_TABLE in (theirs.protocol, parts.split.protocol):
        say(
            f"{before.name} doesn't record its validation clips. It may have been trained on some of these, so the "
            "accuracy may be too high"
        )
        return
    kept, ours = {*theirs.groups, *theirs.clips}, {*parts.split.groups, *parts.split.clips}
    if kept and not kept & ours:
        say(f"none of the validation clips of {before.name} are here, so these count as other recordings")
    else:
        say(f"validation keeps the clips that it had for {before.name}")


class LastEpochs(Callback):
    """Keeps the weights of each of the last epochs in the run folder, as epoch-N.ckpt."""

    def __init__(self, run: Path, epochs: range) -> None:
        self._run, self._epochs = run, epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep this epoch's weights before the checkpoint is written that a training resumes from."""
        epoch = trainer.current_epoch + 1
        if epoch in self._epochs:
            # Logged values are summed over all processes when they are first asked for. Where only the first process
            # shows progress, it asked while the others waited for it at the checkpoint (Lightning 2.6).
            _ = trainer.callback_metrics
            trainer.save_checkpoint(epoch_file(self._run, epoch), weights_only=True)


def load_final(net: Network, run: Path, config: Configuration, training: Samples) -> None:
    """Load the final weights of a finished training into a network on the processor; it can't be trained further.

    Batch norms of mean weights are measured on some clips of ``training``. Raises TrainError if a checkpoint is
    missing, damaged or of another network.
    """
    if isinstance(net, SpikingNetwork):
        net.analog, net.kernels = False, EAGER  # compiled ones may be for another device
    kept = [epoch_file(run, epoch) for epoch in config.averaged] or [run / BEST]
    load_weights_of_run(net, mean_of(kept), kept[-1])
    if config.averaged and not config.freeze:
        norms = MeasuredNorms(training, config.seed, config.zero_share)
        norms.measure(net, config.epochs - 1, torch.device("cpu"))


def mean_of(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean weights of checkpoints by name; of integers, which count batches, the last one's.

    Raises TrainError if a checkpoint is missing, damaged, or of another network than the first.
    """
    mean = load_checkpoint(checkpoints[0])
    for number, path in enumerate(checkpoints[1:], 2):
        try:
            for name, tensor in load_checkpoint(path).items():
                part = (tensor - mean[name]) / number if tensor.is_floating_point() else tensor - mean[name]
                mean[name] = mean[name] + part
        except (KeyError, RuntimeError) as error:  # other names or shapes
            raise TrainError(f"{path} belongs to another network: start again under another --name") from error
    return mean


class MeasuredNorms(Callback):
    """Measures the mean and variance of every batch norm on unaugmented training clips, before each validation.

    Training only leaves moving averages over its last batches. These are of augmented clips, of weights that still
    moved, and of few clips if batches are small.
    """

    def __init__(self, samples: Samples, seed: int, from_zero: float) -> None:
        random = np.random.default_rng([*b"norms", seed])
        self._samples, self._from_zero = samples, from_zero
        self._chosen = random.permutation(len(samples))[:MEASURED_CLIPS]

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        net = pl_module.net
        assert isinstance(net, Network)
        self.measure(net, trainer.current_epoch, pl_module.device)

    def measure(self, net: Network, epoch: int, device: torch.device) -> None:
        """Measure in float32, as the exported model runs; ``epoch`` matters to clips that are made anew in each."""
        parts = np.array_split(self._chosen, -(-len(self._chosen) // AT_ONCE))
        clips = [torch.from_numpy(self._samples.take(part, epoch)[0]).to(device) for part in parts]
        with torch.autocast(device.type, enabled=False):
            measure_norms(net, clips, self._from_zero)


@torch.no_grad()
def measure_norms(net: Network, clips: list[Tensor], from_zero: float) -> None:
    """Set the running statistics of the batch norms of ``net`` to those of clips uint8 [B, T, C, H, W].

    In every part a share ``from_zero`` of the clips starts from zero state, the rest from the state that the part
    before left; the first part starts from zero. All layers are measured at once: each on what the layer before lets
    through with the batch's own statistics.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]
    if not norms:
        return
    with eval_mode(net):
        state = net.initial_state(len(clips[0]))
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # an average over all batches
            norm.train()
        for some in clips:
            carried = torch.arange(len(some), device=some.device) >= from_zero * len(some)
            state = only(tuple(u[: len(some)] for u in state), carried)
            for window in some.split(net.card.input.window, dim=1):
                _, state = net(window.transpose(0, 1), state)
    for norm in norms:
        norm.momentum = 0.1


def only(state: State, chosen: Tensor) -> State:
    """Return the state with zeros where ``chosen`` bool [B] is false."""
    return tuple(u * chosen.to(u).view(-1, *[1] * (u.ndim - 1)) for u in state)


class Teacher:
    """The final network of a finished training (see `load_final`), which may be of another kind than its pupil.

    It teaches probabilities at temperature 1. It is no nn.Module, since checkpoints, the optimiser and DDP must not
    see it. Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network".

    ``card`` and ``parts`` are the pupil's. Raises TrainError like `read_teacher`, and if the teacher was trained on
    other clips, since it may have seen the pupil's validation clips.
    """

    def __init__(self, run: Path, card: ModelCard, parts: Parts) -> None:
        config = read_teacher(run)
        with _naming(run):
            # Not compiled: that takes a minute, and the teacher only runs forward.
            self._net: Network = build(replace(config, compile=False), card.classes)
            # The network doesn't know how its counts were scaled, lifted or freed of flicker; `has_clips` does.
            theirs, ours = (
                replace(of.input, cell_pixels=None, without_flicker=False, lift_to=None)
                for of in (self._net.card, card)
            )
            if theirs != ours or not has_clips(run, parts):
                raise TrainError("it was trained on other clips: give both trainings the same data, seed and frames")
            load_final(self._net, run, config, parts.training)
            if not all(tensor.isfinite().all() for tensor in self._net.state_dict().values()):
                raise TrainError("its weights hold NaN or infinity: train it again")
        self._net.requires_grad_(False).eval()

    @torch.no_grad()
    def outputs(self, frames: Tensor) -> Tensor:
        """Return the mean outputs float32 [B, K] for clips uint8 [B, T, C, H, W], each from zero state."""
        net = self._net.to(frames.device)
        outputs, _ = net(frames.transpose(0, 1), net.initial_state(len(frames)))
        return outputs.mean(0)


def read_teacher(run: Path, balance: str = "weights") -> Configuration:
    """Return the configuration of a training that can teach a pupil with this ``balance``.

    Raises TrainError if it isn't finished, or its outputs aren't made for the softmax or for ``balance``. A pupil
    that adds the classes' shares to its outputs needs a teacher whose classes counted alike.
    """
    with _naming(run):
        config = recorded_config(run)
        if epochs_done(run / LAST) < config.epochs:
            raise TrainError("it isn't finished: run its command with --resume first")
        if config.loss != "cross-entropy":
            raise TrainError(f"it was trained with --loss {config.loss}: choose one with --loss cross-entropy")
        if balance == "logits" and config.balance == "none":
            raise TrainError("it was trained with --balance none: give --balance weights or none here too")
    return config


@contextmanager
def _naming(run: Path) -> Iterator[None]:
    try:
        yield
    except (TrainError, OSError) as error:
        reason = str(error).replace("start again under another --name", "train it again, or give another")
        raise TrainError(f"--teacher {run}: {reason}") from error
