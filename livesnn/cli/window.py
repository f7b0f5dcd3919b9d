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

    An option that you leave out keeps the value that you last chose in the window.

    Parameters
    ----------
    source
        A recording, a video, camera, camera:SERIAL, webcam, tcp://HOST:PORT or simulate:gestures. simulate:digits is
        for a model that reads videos. Default: the demo.
    model
        Name of a model, or a model folder.
    pre_roll
        How many seconds before the press of the record button a recording begins.
    engine
        What runs the network. torch needs livesnn[train].
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
