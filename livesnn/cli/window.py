"""The command that opens the window. Not here: those without one (streams.py)."""

from __future__ import annotations

from typing import Literal

import tyro

from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.report import write_json


def gui(
    source: tyro.conf.Positional[str | None] = None,
    /,
    *,
    model: str | None = None,
    engine: Literal["auto", "onnx", "spike", "torch"] | None = None,
    threshold: float | None = None,
    keep: float | None = None,
    smoothing: float | None = None,
    allow: tuple[str, ...] = (),
    deny: tuple[str, ...] = (),
    pre_roll: float | None = None,
    turned: Turned = AS_IT_COMES,
) -> int:
    """Open the window.

    Parameters
    ----------
    source
        Recording, camera, camera:SERIAL, tcp://HOST:PORT, simulate:gestures, or a video or simulate:digits
        for a model of video; default: the demo.
    model
        Name of a shipped model, or a model folder; default: the demo's, or the one chosen last in the window.
    engine
        What runs the network; default: what was chosen last, auto at first.
    threshold
        Probability that a decision needs; default: what was chosen last, 0.5 at first.
    keep
        A decision stands until its probability falls below this, or another's reaches the threshold; default: 0.6 of
        the threshold, or what was chosen last with it.
    smoothing
        Share of a frame's probabilities that is those of the frame before; default: what was chosen last, 0 at first.
    allow
        Decide these classes alone, of the model that the window opens with.
    deny
        Never decide these of its classes: nothing is decided where one of them wins.
    pre_roll
        Seconds from before the button in what is recorded; default: what was chosen last, 0 at first.
    """
    from livesnn.app.playing.wanted import WantedDecisions
    from livesnn.app.run import run_app

    decisions = WantedDecisions(threshold, keep, smoothing, allow, deny)
    orientation = turned.orientation
    summary = run_app(
        source, model, engine=engine, decisions=decisions, pre_roll_s=pre_roll, orientation=orientation
    )
    write_json(summary)
    return 0
