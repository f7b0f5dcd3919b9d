"""What a configuration trains on: the parts of its data set. Not here: how each set is read (its own module)."""

from __future__ import annotations

from typing import NamedTuple

from livesnn.errors import DataError
from livesnn.train.config import TrainConfig
from livesnn.train.datasets import Clips, stratified_split


class Parts(NamedTuple):
    """Clips to train on, clips to choose the epoch by, and clips of which each epoch draws ``extra_per_epoch``."""

    training: Clips
    validation: Clips
    extra: Clips | None
    extra_per_epoch: int


def load_parts(config: TrainConfig) -> Parts:
    """Read, or simulate, what ``config`` trains on.

    Raises
    ------
    DataError
        The data set isn't in its official layout.
    """
    return _gestures(config) if config.dataset == "gestures-sim" else _nmnist(config)


def _gestures(config: TrainConfig) -> Parts:
    from livesnn.train.datasets.gestures_sim import MEASURED_PEOPLE, load_gestures, load_idle

    spec, cache = config.card(()).input, config.runs / "cache"
    training = load_gestures(spec, config.people, use="train", cache=cache)
    validation = load_gestures(spec, MEASURED_PEOPLE, use="validation", cache=cache)
    idle = load_idle(spec, config.people, use="train", cache=cache)
    return Parts(training, validation, idle, len(idle))


def _nmnist(config: TrainConfig) -> Parts:
    from livesnn.train.datasets.nmnist import load_nmnist

    clips = load_nmnist(config.data, "Train", config.card(()).input)
    training, validation = stratified_split(clips.labels, config.validation, config.seed)
    extra = _simulated_digits(config, len(clips)) if config.simulated else None
    return Parts(clips.subset(training), clips.subset(validation), extra, config.simulated)


def _simulated_digits(config: TrainConfig, recordings: int) -> Clips:
    """Return the pool of simulated clips beside so many real ones."""
    from livesnn.train.datasets.nmnist_simulated import FIRST_UNSEEN, load_simulated

    if recordings > FIRST_UNSEEN:
        raise DataError(
            f"simulated digits would repeat the digits of validation recordings beyond the first {FIRST_UNSEEN}: "
            "leave --simulated out, the whole of N-MNIST doesn't need it"
        )
    return load_simulated(config.mnist, config.card(()).input, config.simulated_pool, config.runs / "cache")
