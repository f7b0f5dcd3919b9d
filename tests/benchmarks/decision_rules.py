"""Compare rules of decision on what a network gave: python tests/benchmarks/decision_rules.py RATES.npz.

RATES.npz is what `people.py --rates` wrote of the real people. The simulated ones are played here. The
table is that of docs/experiments/real-people.md#the-decision-rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from people import Listening

from livesnn.card import ModelCard
from livesnn.console import write
from livesnn.events.slicer import frames
from livesnn.infer.decide import UNDECIDED, Decider, FloatArray
from livesnn.infer.model import Model, load_model
from livesnn.infer.run import run_frames
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets.gestures_sim import uncut

OTHER = len(GESTURES) - 1
NONE = -1
BEFORE = Decider(threshold=0.5, hysteresis=0.3, leak=0.0)
"""The rule until the leak came."""

RULES = {
    "before: the plain mean, 0.5, keep 0.3": BEFORE,
    "today's": Decider(),
    **{f"leak {leak}": replace(BEFORE, leak=leak) for leak in (0.1, 0.15, 0.2, 0.3)},
    **{f"threshold {share}": Decider(share, leak=0.0, hysteresis=0.6 * share) for share in (0.6, 0.7, 0.85)},
    **{f"smoothing {share}": replace(BEFORE, smoothing=share) for share in (0.5, 0.8)},
    **{f"today's, leak {leak}": Decider(leak=leak) for leak in (0.0, 0.15, 0.2, 0.25, 0.3)},
    **{f"today's, threshold {share}": Decider(share) for share in (0.5, 0.6, 0.65, 0.75, 0.8, 0.85)},
    **{f"today's, keep {share}": Decider(hysteresis=share) for share in (0.1, 0.15, 0.3, 0.42)},
    "today's, smoothing 0.5": Decider(smoothing=0.5),
}


class Stream(NamedTuple):
    """What a network gave, and what was shown.

    ``outputs`` float32 [N, K] and ``t_us`` [N] are of each frame; ``starts`` bool [N]: the state is reset before it.
    ``row``: of the table. ``label``: of a clip's frames that count; `NONE`: no gesture.
    ``segments``: in a stream of gestures, the label, the start and the end of each, µs.
    """

    row: str
    outputs: FloatArray
    t_us: npt.NDArray[np.int64]
    starts: npt.NDArray[np.bool_]
    label: int = NONE
    counts: npt.NDArray[np.bool_] | None = None
    segments: tuple[tuple[int, int, int], ...] = ()


def simulated(model: Model, minutes: float, seed: int) -> Iterator[Stream]:
    """Play a validation person's gestures, and then nothing, as `livesnn eval --stream` does."""
    for stream in uncut(Path(), "validation", model.card, minutes, seed):
        listening = Listening(model)
        spec = model.card.input
        results = list(run_frames(frames(stream.source, spec), listening))
        segments = tuple((model.card.classes.index(name), start, end) for name, start, end in stream.segments)
        times_us = np.array([result.t for result in results])
        starts = np.array([result.reset for result in results])
        yield Stream(f"simulated {stream.name}", np.array(listening.outputs), times_us, starts, segments=segments)


def real(path: Path, half: str) -> Iterator[Stream]:
    """Yield the real clips, all or a half: "chosen" has subjects 1 and 3, and every other clip of other data."""
    file = np.load(path)
    arrays = {name: file[name] for name in file.files}
    classes, seen = arrays["classes"].tolist(), dict.fromkeys(arrays["row"].tolist(), 0)
    bounds = zip(arrays["first"][:-1], arrays["first"][1:], strict=True)
    for place, (first, end) in enumerate(bounds):
        row, name, part = str(arrays["row"][place]), str(arrays["name"][place]), arrays["part"][place]
        seen[row] += 1
        chosen = ("_s1_" in name or "_s3_" in name) if row.startswith("utd_mhad") else seen[row] % 2 == 1
        if half != "all" and chosen != (half == "chosen"):
            continue
        label = str(arrays["label"][place])
        middle = np.abs(np.arange(end - first) - (end - first - 0.5) / 2) <= (end - first) * part / 2
        here = slice(first, end)
        yield Stream(
            row, arrays["outputs"][here], arrays["t"][here], arrays["start"][here],
            classes.index(label) if label else NONE, middle,
        )  # fmt: skip


def decided(stream: Stream, decider: Decider, card: ModelCard) -> npt.NDArray[np.int64]:
    """Return the decision after each frame, `NONE` where there is none."""
    window, before, begun = card.input.window, UNDECIDED, 0
    decisions = np.full(len(stream.outputs), NONE)
    for place, output in enumerate(stream.outputs):
        if stream.starts[place]:
            before, begun = UNDECIDED, place
        evidence = decider.evidence(stream.outputs[max(begun, place + 1 - window) : place + 1])
        before = decider.decide(evidence, output, card, before)
        full = place + 1 - begun >= window
        decisions[place] = card.classes.index(before.label) if full and before.label else NONE
        before = before if full else before._replace(label=None)
    return decisions


def figures(streams: list[Stream], decider: Decider, card: ModelCard) -> dict[str, float]:
    """Return the columns of a row of the table by name."""
    late_ms, right, changes, minutes = [], [], 0, 0.0
    shares: dict[str, list[npt.NDArray[np.float64]]] = {}
    for stream in streams:
        decisions = decided(stream, decider, card)
        for label, start_us, end_us in stream.segments:
            first, last = np.searchsorted(stream.t_us, [start_us, end_us], side="right")
            late_ms += ((stream.t_us[first:last] - start_us)[decisions[first:last] == label][:1] / 1e3).tolist()
            whole = decisions[first - 1 + card.input.window : last]
            right.append(whole == label)
            changes += int(np.count_nonzero(np.diff(whole)))
            minutes += (end_us - start_us) / 60e6
            if label == OTHER:
                shares.setdefault("simulated other", []).append(_named(whole[:: card.input.window], card))
        if stream.segments:
            continue
        if stream.label == NONE:
            ends = decisions[card.input.window - 1 :: card.input.window]
            shares.setdefault(stream.row, []).append(_named(ends, card))
        else:
            assert stream.counts is not None
            counts = stream.counts & (np.arange(len(decisions)) >= card.input.window - 1)
            shares.setdefault(stream.row, []).append((decisions[counts] == stream.label).astype(float))
    return {
        "right": float(np.concatenate(right).mean()),
        "ms, median": float(np.percentile(late_ms, 50)),
        "ms, 90 %": float(np.percentile(late_ms, 90)),
        "changes a minute": changes / minutes,
        **{row: float(np.concatenate(each).mean()) for row, each in shares.items()},
    }


def _named(ends: npt.NDArray[np.int64], card: ModelCard) -> npt.NDArray[np.float64]:
    """Return how often a minute a gesture is named at each window's end."""
    window_min = card.input.window * (card.input.slice.delta_t_us or 0) / 60e6
    named = np.asarray((ends != NONE) & (ends != OTHER), np.float64)
    return named / window_min


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rates", type=Path)
    parser.add_argument("--model", default="gestures", help="the model that gave the rates")
    parser.add_argument("--minutes", type=float, default=6.0, help="of each simulated person")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 10, 20, 30], help="simulated people")
    parser.add_argument("--half", choices=("chosen", "kept", "all"), default="chosen")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    streams = [each for seed in arguments.seeds for each in simulated(model, arguments.minutes, seed)]
    streams += real(arguments.rates, arguments.half)
    for number, (name, decider) in enumerate(RULES.items()):
        row = figures(streams, decider, model.card)
        if not number:
            write(f"| rule | {' | '.join(row)} |\n|{'---|' * (len(row) + 1)}")
        values = (
            f"{value:.3f}" if value <= 1 and "minute" not in key else f"{value:.1f}" for key, value in row.items()
        )
        write(f"| {name} | {' | '.join(values)} |")


if __name__ == "__main__":
    main()
