"""The command that opens the window. Not here: those without one (streams.py)."""

from __future__ import annotations

from typing import Literal

import tyro

from livesnn.cli.decision_flags import AS_USUAL, Decisions
from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.console import write_json


def gui(
    source: tyro.conf.Positional[str | None] = None,
    /,
    *,
    model: str | None = None,
    engine: Literal["auto", "onnx", "spike", "torch"] | None = None,
    decisions: Decisions = AS_USUAL,
    pre_roll: float | None = None,
    turned: Turned = AS_IT_COMES,
) -> int:
    """Open the window.

    Parameters
    ----------
    source
        Recording, camera, camera:SERIAL, webcam (events are made of its pictures), tcp://HOST:PORT,
        simulate:gestures, or a video or simulate:digits for a model of video; default: the demo.
    model
        Name of a shipped model, or a model folder; default: the demo's, or the one chosen last in the window.
    engine
        What runs the network; default: what was chosen last, auto at first.
    pre_roll
        Seconds from before the button in what is recorded; default: what was chosen last, 0 at first.
    """
    from livesnn.app.application import run_app

    summary = run_app(
        source,
        model,
        engine=engine,
        decisions=decisions.given,
        pre_roll_s=pre_roll,
        orientation=turned.orientation,
    )
    write_json(summary)
    return 0
