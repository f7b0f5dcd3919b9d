"""My model is bad, why? An evaluation in words, worst news first. Not here: measuring it (evaluate.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from livesnn.card import ModelCard
from livesnn.train.evaluate import Evaluation
from livesnn.train.stream import StreamEvaluation

SHOWN = 5
ONE_SIDED = 0.8
"""Share of all decisions that one class of several shouldn't have."""
FAR = 2.0
"""Times more or fewer events than in training that make a model doubtful."""


def explain(measured: Evaluation, card: ModelCard, sensor: tuple[int, int] | None = None) -> Iterator[str]:
    """Yield lines for a person: each class, what is taken for what, the worst clips, and what may be the cause.

    ``sensor``: width and height of the camera of the data measured on, where it is known.
    """
    yield from _classes(measured)
    yield from _confusions(measured)
    yield from _favourite(measured)
    yield from _worst(measured)
    yield from doubts(measured, card)
    if sensor and (said := card.on_another_sensor(*sensor)):
        yield f"{said}; train with --init on such recordings"


def doubts(measured: Evaluation, card: ModelCard) -> Iterator[str]:
    """Yield what of the data or the model may be the cause of a bad result."""
    rule, window = card.input.slice, card.input.window
    long = f"{rule.delta_t_us / 1000:g} ms" if rule.delta_t_us else f"{rule.n_events} events"
    yield f"a window is {window} frames of {long}"
    if measured.empty > 0.05:
        yield f"{measured.empty:.0%} of the frames are empty: recordings that pause, or frames too short for them"
    if measured.saturated > 0.05 + FAR * (card.saturated or 0) and card.input.kind == "events":
        yield (
            f"{measured.saturated:.0%} of the pixels with events are at the model's {card.input.count_max} or above: "
            "the sensor is larger or faster than the model's, or frames are too long"
        )
    if card.mean_count and measured.mean_count:
        times = measured.mean_count / card.mean_count
        what = "light" if card.input.kind == "video" else "events"
        if not 1 / FAR < times < FAR:
            yield (
                f"a frame has {times:.2g} times the {what} of those in training: another sensor, bias or light; "
                "train with --init on such recordings"
            )
    if measured.density < 0.005:
        yield f"the network hardly fires (density {measured.density:.2%}): its input is too weak, or it hasn't learnt"
    if measured.density > 0.4:
        yield f"the network fires all the time (density {measured.density:.0%}): --rate-weight was too low"
    if measured.accuracy_carried < measured.accuracy_reset - 0.05:
        cost = measured.accuracy_reset - measured.accuracy_carried
        yield f"carrying the state costs {cost:.0%}: train with --burn-in 20"


def _classes(measured: Evaluation) -> Iterator[str]:
    for name, row in zip(measured.classes, measured.confusion, strict=True):
        if sum(row):
            share = row[measured.classes.index(name)] / sum(row)
            yield f"{name}: {share:.0%} of {sum(row)} clips"


def _favourite(measured: Evaluation) -> Iterator[str]:
    """Say so when nearly everything is taken for one class."""
    for name, decided in zip(measured.classes, zip(*measured.confusion, strict=True), strict=True):
        if sum(decided) > ONE_SIDED * measured.n and len(measured.classes) > 2:
            yield f"nearly everything is taken for {name}: the model has learnt little else; train longer"


def _confusions(measured: Evaluation) -> Iterator[str]:
    pairs = Counter({
        (true, decided): count
        for true, row in zip(measured.classes, measured.confusion, strict=True)
        for decided, count in zip(measured.classes, row, strict=True)
        if true != decided and count
    })  # fmt: skip
    for (true, decided), count in pairs.most_common(SHOWN):
        yield f"{true} taken for {decided}: {count} times"


def _worst(measured: Evaluation) -> Iterator[str]:
    """Yield the worst clip of each of a few recordings."""
    worst = {mistake.recording or mistake.clip: mistake for mistake in reversed(measured.mistakes)}
    for mistake in sorted(worst.values(), key=lambda mistake: (-mistake.confidence, mistake.clip))[:SHOWN]:
        yield f"{mistake.clip}: {mistake.decided} with {mistake.confidence:.0%}, but it is {mistake.true}"


def describe_stream(measured: StreamEvaluation) -> Iterator[str]:
    """Yield what was measured that isn't one number, in words."""
    late = measured.latency_ms
    yield (
        f"decided right {late['p50']:.0f} ms after the change to a gesture was complete (median of "
        f"{late['n']:.0f}; 90 %: {late['p90']:.0f} ms; never: {late['missed']:.1%})"
    )
    after = [f"{share:.0%} {ms} ms" for ms, share in measured.accuracy_after_ms.items()]
    yield f"right so long after the onset: {', '.join(after)}"
    rates = measured.false_decisions_a_minute.items()
    false = [f"{name} {'– (too short)' if np.isnan(rate) else f'{rate:.1f}'}" for name, rate in rates]
    yield f"false decisions a minute: {', '.join(false)}"
    if measured.unmeasured:
        short = ", ".join(f"{count} of {name}" for name, count in measured.unmeasured.items())
        yield f"no frame counts of these gestures, shorter than a window, cut off or without events: {short}"
    yield from measured.warnings
    yield "right by class: " + ", ".join(f"{name} {share:.0%}" for name, share in measured.recall.items())
