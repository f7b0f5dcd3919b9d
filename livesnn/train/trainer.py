"""Training: a configuration in, a model folder out."""

from __future__ import annotations

import logging
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LambdaCallback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment

from livesnn.card import ModelCard
from livesnn.console import duration, on_terminal, say
from livesnn.errors import ModelError, StoppedError
from livesnn.snn import SpikingNetwork
from livesnn.subprocesses import end_with_launcher, own_commit
from livesnn.train.baselines import Baseline, Measured, measure_baseline
from livesnn.train.batches import Loaders
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Parts, Streams, check_parts
from livesnn.train.datasets.registry import data_set
from livesnn.train.datasets.split import ONE_SESSION
from livesnn.train.evaluate import Evaluation
from livesnn.train.final_weights import LastEpochs, MeasuredNorms, load_final
from livesnn.train.hybrid_method import HybridModule, class_weights
from livesnn.train.model_folder import write_model_folder
from livesnn.train.network import Network, build, with_classes
from livesnn.train.resolve import Start, read_start
from livesnn.train.run_folder import (
    BEST,
    LAST,
    AtomicCheckpointIO,
    check_run_folder,
    epochs_done,
    record_clips,
    run_folder,
)
from livesnn.train.start import freeze, say_validation, spikes_of, start_from, trained_before
from livesnn.weights import WEIGHTS, load_card

TIMED_STEPS = 5  # Steps of `plan`
MOST_NAMES = 12  # Classes or sessions that are named in a line
FEW_STEPS = 10  # Steps in an epoch below which a training hardly gets anywhere in the usual 40 epochs


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    folder: Path  # The model folder; a baseline makes no model, and this is its run folder
    validation: Evaluation | Measured
    network: Network  # With its final weights (see `load_final`), in eval mode
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()  # Classes without a validation clip
    best_epoch: int = 0  # On validation, counted from 1


def train_all(config: Configuration) -> list[Trained]:
    """Train `config.runs` times, with its seed and the following ones; see `train`."""
    configs = [config]
    if config.runs > 1:
        seeds = range(config.seed, config.seed + config.runs)
        configs = [replace(config, runs=1, seed=seed, name=f"{config.base_name}-{seed}") for seed in seeds]
        # Of several to resume, some may not have begun
        configs = [replace(one, resume=config.resume and (one.run / LAST).exists()) for one in configs]
    for one in configs:  # before the first is trained
        check_run_folder(one)
    done = [train(one) for one in configs]
    return [trained for trained in done if trained is not None]


def train(config: Configuration) -> Trained | None:
    """Train, and write a model folder into the run folder.

    Returns None on the machines and devices that share the first one's training. Raises TrainError if the run folder
    can't be used (see `run_folder`) or the loss isn't finite, StoppedError if a signal
    ends it, and DataError if the data set isn't in its official layout.
    """
    end_with_launcher()
    check_run_folder(config)
    commit = own_commit()
    start, parts, net = _prepare(config)
    loaders = Loaders(parts, config)
    module = _module(net, config, parts, config.epochs * len(loaders.batches()))
    with run_folder(config) as (run, resume_from), _quiet():
        record_clips(run, parts, resumed=resume_from is not None)
        done = resume_from is not None and epochs_done(resume_from) >= config.epochs
        norms = MeasuredNorms(parts.training, config.seed, config.zero_share)
        more = [norms] if config.measured_norms and not config.freeze else []
        trainer = _trainer(config, run, [*more, LastEpochs(run, config.averaged)])
        if trainer.is_global_zero:
            announce(parts, len(loaders.batches()), start)
            say_validation(trained_before(start, config), parts)
        try:
            trainer.fit(module, loaders, ckpt_path=resume_from, weights_only=True)
        except SystemExit as error:  # how Lightning ends on SIGINT and SIGTERM
            kept = (run / LAST).exists()
            how = "to go on, run the same command with --resume" if kept else "nothing is saved yet, so start again"
            raise StoppedError(f"stopped in epoch {trainer.current_epoch + 1}: {how}") from error
        if not trainer.is_global_zero:
            return None
        load_final(net, run, config, parts.training)
        net = with_classes(net, parts.training.classes)
        made = None
        if done:
            with suppress(ModelError):  # there is none, or it is damaged
                made = load_card(run / "model" / WEIGHTS)
        return _finish(run, config, net, parts, commit, made)


def _prepare(config: Configuration) -> tuple[Start | None, Parts, Network]:
    start = read_start(config.init) if config.init else None
    parts = data_set(config.dataset).load_parts(config, trained_before(start, config))
    check_parts(parts)
    torch.manual_seed(config.seed)
    # The kinds of movement in streams have outputs behind those of the classes
    kinds = parts.training.kinds if isinstance(parts.training, Streams) and config.kinds_weight else ()
    net = build(config, parts.training.classes + kinds)
    if start is not None:
        assert isinstance(net, SpikingNetwork)  # `resolve` refuses --init for others
        start_from(net, start)
    if config.freeze:
        assert isinstance(net, SpikingNetwork)
        assert isinstance(parts.training, Streams)
        assert config.init is not None
        freeze(net)
        parts = parts._replace(training=spikes_of(parts.training, config.init))
    return start, parts, net


@dataclass(frozen=True)
class Plan:
    """What a training would be, without its validation."""

    dataset: str
    classes: tuple[str, ...]
    input: tuple[int, int, int]  # Channels, height and width
    training: int  # Clips
    validation: int
    network: str
    weights: int
    precision: str
    steps_per_epoch: int
    epochs: int
    step_s: float  # Time of a step with spikes, after the first one
    training_s: float  # Of one run
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]


def plan(config: Configuration) -> Plan:
    """Read the data, build the network and time a few steps; writes nothing but the cache.

    Raises what `train` raises before its first epoch.
    """
    check_run_folder(config)
    start, parts, net = _prepare(config)
    steps = len(Loaders(parts, config).batches())
    announce(parts, steps, start)
    step_s = min(time_steps(net, config, parts, TIMED_STEPS))
    spec = config.input
    return Plan(
        dataset=config.dataset,
        classes=parts.training.classes,
        input=(spec.channels, spec.height, spec.width),
        training=len(parts.training) + min(len(parts.extra or ()), parts.extra_per_epoch),
        validation=len(parts.validation),
        network=config.network,
        weights=sum(weight.numel() for weight in net.parameters()),
        precision=config.precision,
        steps_per_epoch=steps,
        epochs=config.epochs,
        step_s=step_s,
        training_s=step_s * steps * config.epochs,
        skipped=parts.skipped,
        warnings=parts.validation.warnings,
    )


def time_steps(net: Network, config: Configuration, parts: Parts, steps: int) -> list[float]:
    """Train ``net`` for some steps with spikes; return the seconds of each but the first, which compiles."""
    loaders = Loaders(parts, config)
    ended_s: list[float] = []  # When each step ends; the loading of the next batch follows
    with _quiet():
        trainer = lightning.Trainer(
            max_steps=steps,
            precision=config.precision,
            callbacks=[LambdaCallback(on_train_batch_end=lambda *of: ended_s.append(time.perf_counter()))],
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        total = config.epochs * len(loaders.batches())
        trainer.fit(_module(net, replace(config, analog_epochs=0), parts, total), loaders)
    return [last_s - first_s for first_s, last_s in pairwise(ended_s)]


def describe_plan(planned: Plan) -> Iterator[str]:
    """Yield lines for a person."""
    channels, height, width = planned.input
    yield f"{planned.dataset}: {len(planned.classes)} classes: {shortened(planned.classes)}"
    yield f"{planned.network}: {planned.weights:,} weights, input {channels}×{height}×{width}, {planned.precision}"
    epoch_s = planned.step_s * planned.steps_per_epoch
    yield (
        f"{planned.steps_per_epoch:,} steps an epoch of {planned.step_s:.2f} s each: an epoch takes about "
        f"{duration(epoch_s)}, all {planned.epochs} take {duration(planned.training_s)}"
    )
    yield "compiling and validation take some more"


def describe_trained(trained: Trained, config: Configuration) -> Iterator[str]:
    """Yield lines for a person: how good the model is, where it is, and what to do next."""
    measured = trained.validation
    carried = getattr(measured, "accuracy_carried", None)
    more = f", {carried:.1%} with the state carried" if carried is not None else ""
    yield f"accuracy on {measured.n:,} validation clips: {measured.accuracy_reset:.1%} with the state reset{more}"
    mean = f"; the model has the mean weights of the last {len(config.averaged)}" if config.averaged else ""
    baseline = isinstance(trained.network, Baseline)
    rounded = "; its weights are now rounded to 8 bits" if config.weight_bits == 8 and not baseline else ""
    yield f"best epoch on validation: {trained.best_epoch} of {config.epochs}{mean}{rounded}"
    if baseline:
        yield f"an ordinary network makes no model; its run folder is {trained.folder}"
        return
    run = shlex.quote(str(trained.folder.parent))
    data = f" --data {shlex.quote(str(config.data))}" if data_set(config.dataset).TAKES is not None else ""
    test = "" if config.dataset == "folder" else " --split test"
    source = "webcam" if config.input.kind == "video" else "camera"
    yield f"the model is {trained.folder}"
    yield f"livesnn eval --model {run} --dataset {config.dataset}{data}{test}"
    yield f"livesnn gui {source} --model {run}    # or a recording in place of {source}"


def _module(net: Network, config: Configuration, parts: Parts, total_steps: int) -> HybridModule:
    mirrored = config.mirrored(parts.training.classes)
    weights = class_weights(parts, config.augmentation.mirror, mirrored) if config.balance != "none" else None
    training = parts.training
    class_of = None
    if isinstance(training, Streams) and training.class_of:
        class_of = torch.tensor(training.class_of)
    return HybridModule(net, config, total_steps, weights, class_of)


def shortened(names: Sequence[str]) -> str:
    """Return names in a row, at most `MOST_NAMES` of them."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def announce(parts: Parts, steps: int, start: Start | None) -> None:
    """Say what is trained on before the first epoch, which may take long."""
    few = " (few: a smaller batch makes more)" if steps < FEW_STEPS < len(parts.training) else ""
    groups = f" ({shortened(parts.split.groups)})" if parts.split and parts.split.groups else ""
    clips = f"{len(parts.training):,} clips to train on, {len(parts.validation):,} for validation{groups}"
    say(f"{clips}; {steps:,} steps an epoch{few}")
    if parts.split and parts.split.clips:
        say(ONE_SESSION)
    known = start.card.classes if start else parts.training.classes
    if fresh := [name for name in parts.training.classes if name not in known]:
        say(f"the model of --init doesn't know {', '.join(fresh)}: these start with random weights")


class _Best(ModelCheckpoint):
    """Keeps the best epoch, also if a training is resumed in a folder that was moved."""

    @property
    def state_key(self) -> str:
        """Return the name of its state in checkpoints: that of an ordinary ModelCheckpoint."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best epoch, under the path it has now."""
        now = str(Path(str(self.dirpath), BEST))
        paths = {"dirpath": self.dirpath, "best_model_path": now, "kth_best_model_path": now}
        super().load_state_dict(state_dict | paths | {"best_k_models": {now: state_dict["best_model_score"]}})


def _trainer(config: Configuration, run: Path, more: Sequence[Callback]) -> lightning.Trainer:
    best = _Best(run, Path(BEST).stem, monitor="score", mode="max", enable_version_counter=False)
    last = ModelCheckpoint(run, Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False)
    bar = on_terminal()
    progress = _EpochBar(console_kwargs={"stderr": True}) if bar else EpochLines()
    shared = config.devices * config.num_nodes > 1
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        # A job that SLURM starts again resumes with --resume; others would load what Lightning keeps for that.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return lightning.Trainer(
        max_epochs=config.epochs,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy="ddp" if shared else "auto",
        use_distributed_sampler=False,  # EpochBatches shares its batches itself
        precision=config.precision,
        logger=[CSVLogger(run, "log", flush_logs_every_n_steps=1), TensorBoardLogger(run, "tensorboard")],
        callbacks=[best, last, progress, *more],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=bar,
        gradient_clip_val=config.gradient_clip or None,
        enable_model_summary=False,
        default_root_dir=run,
        plugins=plugins,
    )


def _finish(
    run: Path, config: Configuration, net: Network, parts: Parts, commit: str, made: ModelCard | None
) -> Trained:
    """Write the model; if it was ``made`` before and not trained since, its commit, command and test stay."""
    net.eval()
    net.card = replace(net.card, split=parts.split)
    measured: Evaluation | Measured
    if isinstance(net, Baseline):
        folder, measured = run, measure_baseline(net, parts.validation)
    else:
        card = replace(
            net.card.trained_with(net.card.sensor or parts.validation.sensor),
            seeds=(config.seed,),
            commit=commit,
            command=shlex.join(["livesnn", *(word for word in sys.argv[1:] if word != "--resume")]),
        )
        if made is not None:
            card = replace(card, commit=made.commit, command=made.command, test=made.test)
        folder = run / "model"
        measured = write_model_folder(net, folder, card, parts.validation, run, chosen=not config.averaged)
    return Trained(
        folder,
        measured,
        net,
        parts.skipped,
        parts.validation.warnings,  # both parts were read together
        unmeasured=check_parts(parts),
        best_epoch=epochs_done(run / BEST),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    advice = (
        "num_workers|many workers|lr_scheduler.step|GPU available|exists and is not empty|LeafSpec|"
        "dirpath has changed"
    )
    try:
        logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", f"(?s).*({advice})")
            yield
    finally:
        logger.setLevel(level)


class _EpochBar(RichProgressBar):
    """Counts epochs from 1, as everything else does."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"


class EpochLines(Callback):
    """Writes one line for each epoch, for a log."""

    def __init__(self) -> None:
        self._begun_s = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._begun_s = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        known = {name: float(value) for name, value in trainer.callback_metrics.items()}
        words = [f"{label} {known[name]:{form}}" for name, label, form in _SHOWN if name in known]
        took_s = time.monotonic() - self._begun_s
        say(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {took_s:.0f} s: {', '.join(words)}")


_SHOWN = (
    ("loss", "loss", ".4f"),
    ("val_accuracy_reset", "validation with the state reset", ".1%"),
    ("val_accuracy_carried", "carried", ".1%"),
    ("val_density", "density", ".3f"),
)
"""Metrics, their names in the log, and their formats."""
