"""Results made on the spot: what the tests of the cards show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decision
from livesnn.infer.reason import Reason
from livesnn.infer.run import Latency, Result
from livesnn.session.results import History, ShownResult
from livesnn.simulate.motions import GESTURES

LAYERS = (
    "stem",
    *(f"block{block}.1.{part}" for block in range(1, 9) for part in ("first", "second")),
    "readout",
)
CARD = ModelCard(
    name="gestures",
    classes=GESTURES,
    input=InputSpec(width=128, height=128, slice=SliceRule(delta_t_us=29_000)),
    states=dict.fromkeys(LAYERS, (16, 8, 8)),
)


def make_history(probabilities: Sequence[Sequence[float]], *, every_us: int = 29_000) -> History:
    """Return a history of these rows [N][K], the first at 0."""
    values = np.array(probabilities, np.float32)
    return History(np.arange(len(values), dtype=np.int64) * every_us, values)


def make_result(
    probabilities: Sequence[float],
    *,
    frames: int,
    last: Decision | None = None,
    reset_by: str = "",
    carried: int | None = None,
    seed: int = 0,
    reason: Reason | None = None,
) -> ShownResult:
    """Return a result `frames` after the start, whose decision is the likeliest class, once a window is full."""
    rng = np.random.default_rng(seed)
    values = np.array(probabilities, np.float32)
    full, in_window = frames >= 10, (frames - 1) % 10 + 1
    best = int(values.argmax())
    shown = tuple(rng.poisson(0.1, (2, 128, 128)).astype(np.uint8) for _ in range(in_window))
    result = Result(
        t=29_000 * frames,
        window=(frames - 1) // 10,
        frame_in_window=in_window,
        rates=values,
        decision=GESTURES[best] if full else None,
        confidence=float(values[best]) if full else 0.0,
        probabilities=values,
        frame=Frame(0, shown[-1], 0),
        latency=Latency(0, 0, 0),
        reset=False,
        density=rng.uniform(0.02, 0.2, len(LAYERS) - 1).astype(np.float32),
        window_end=in_window == 10,
        membrane=rng.uniform(-0.3, 0.3, len(LAYERS)).astype(np.float32),
        carried=frames if carried is None else carried,
        reason=reason,
    )
    history = make_history([probabilities] * 345)
    return ShownResult(result, reset_by, last, 0, shown, history)


def even_but(index: int, share: float) -> list[float]:
    """Return probabilities of all gestures, one with this share and the rest even."""
    rest = (1 - share) / (len(GESTURES) - 1)
    return [share if place == index else rest for place in range(len(GESTURES))]
