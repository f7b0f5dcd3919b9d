"""What several commands take: a source, a model, an engine, a duration, and how the camera is mounted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from livesnn.errors import SourceError

if TYPE_CHECKING:
    from livesnn.events.filters import Orientation

Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
Out = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
Model = Annotated[str | None, tyro.conf.arg(metavar="MODEL")]
Engine = Literal["auto", "onnx", "spike", "torch"]
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS")]
Port = Annotated[int | None, tyro.conf.arg(metavar="PORT")]


@dataclass(frozen=True)
class _Mounting:
    """Camera mounting."""

    rotate: Annotated[int | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Rotate the picture clockwise by 0, 90, 180 or 270 degrees; 180 is for a camera that hangs upside down."""

    mirror: bool = False
    """Swap left and right before rotating, for a camera that looks into a mirror."""

    @property
    def orientation(self) -> Orientation | None:
        """The orientation that the flags describe; None if no flag is given."""
        from livesnn.events.filters import Orientation

        if self.rotate is None and not self.mirror:
            return None
        if (degrees := self.rotate or 0) not in (0, 90, 180, 270):
            raise SourceError(f"--rotate can't be {degrees}: give 0, 90, 180 or 270 degrees")
        return Orientation(degrees // 90, self.mirror)

    @property
    def upright(self) -> Orientation:
        """The orientation that the flags describe; unchanged if no flag is given."""
        from livesnn.events.filters import Orientation

        return self.orientation or Orientation()


Mounting = Annotated[_Mounting, tyro.conf.arg(name="")]
AS_IT_COMES = _Mounting()
