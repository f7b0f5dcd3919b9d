"""Asked: the part of a training's configuration that a data set needs. Not here: the configuration (config.py)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the command line needs the names of the data sets at once
    from livesnn.card import InputSpec


class Asked(Protocol):
    """What a data set is asked for; see the fields of the same names of `TrainConfig`."""

    @property
    def data(self) -> Path: ...  # noqa: D102
    @property
    def input(self) -> InputSpec: ...  # noqa: D102
    @property
    def validation(self) -> float: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def protocol(self) -> str: ...  # noqa: D102
    @property
    def windows(self) -> int | None: ...  # noqa: D102
    @property
    def only(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def people(self) -> int: ...  # noqa: D102
    @property
    def digits(self) -> int: ...  # noqa: D102
    @property
    def simulated(self) -> int: ...  # noqa: D102
    @property
    def simulated_pool(self) -> int: ...  # noqa: D102
    @property
    def mnist(self) -> Path: ...  # noqa: D102
