"""The command that opens the window: gui."""

from __future__ import annotations

from typing import Annotated

import tyro

from livesnn.cli.decision_flags import AS_USUAL, Decisions
from livesnn.cli.options import AS_IT_COMES, Engine, Model, Mounting, Seconds
from livesnn.console import write_json


def gui(
    source: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = None,
    /,
    *,
    model: Model = None,
    engine: Engine | None = None,
    decisions: Decisions = AS_USUAL,
    pre_roll: Seconds = None,
    mounting: Mounting = AS_IT_COMES,
) -> int:
    """Open the window.

    Each choice that you leave out is the one you last made in the window.

    Parameters
    ----------
    source
        A recording or a video; camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:gestures, or simulate:digits
        for a model of video. Default: the demo.
    model
        Name of a model, or a model folder.
    pre_roll
        Seconds from before the button press that a recording includes.
    engine
        What runs the network.
    """
    from livesnn.app.application import run_app

    summary = run_app(
        source,
        model,
        engine=engine,
        decisions=decisions.given,
        pre_roll_s=pre_roll,
        orientation=mounting.orientation,
    )
    write_json(summary)
    return 0
