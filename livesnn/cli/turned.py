"""The flags that turn a source upright, of every command that takes one. Not here: turning (orientation.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from livesnn.errors import SourceError

if TYPE_CHECKING:
    from livesnn.events.filters import Orientation


@dataclass(frozen=True)
class _Flags:
    """How the camera is mounted."""

    rotate: int | None = None
    """Turn what comes clockwise by 0, 90, 180 or 270 degrees; 180: the camera hung upside down. Default: 0; in the
    window what was chosen last with this camera or stream."""

    mirror: bool = False
    """Exchange left and right, before it is turned: the camera looked into a mirror."""

    @property
    def orientation(self) -> Orientation | None:
        """What makes the source upright; None: nobody has said."""
        from livesnn.events.filters import Orientation

        if self.rotate is None and not self.mirror:
            return None
        if (degrees := self.rotate or 0) not in (0, 90, 180, 270):
            raise SourceError(
                f"--rotate {degrees}: a source is turned by 0, 90, 180 or 270 degrees: give one of them"
            )
        return Orientation(degrees // 90, self.mirror)

    @property
    def upright(self) -> Orientation:
        """What makes the source upright; where nobody has said, nothing is done."""
        from livesnn.events.filters import Orientation

        return self.orientation or Orientation()


Turned = Annotated[_Flags, tyro.conf.arg(name="")]
AS_IT_COMES = _Flags()
