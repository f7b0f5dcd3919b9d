"""Draw accuracy and speed of `gestures` by its density: docs/experiments/engine/knee.json into knee.png."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[2] / "docs" / "experiments" / "engine"


def draw() -> None:
    """Draw simulated and real people's accuracy on the left, frames a second on the right."""
    knee = json.loads((FOLDER / "knee.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(10, 4), layout="constrained", dpi=110)
    accuracy, speed = figure.subplots(1, 2)
    for name, marker in (("test", "o"), ("validation", "s")):
        of_split = [each for each in knee["weights"] if each["split"] == name]
        accuracy.plot(
            [each["density"] for each in of_split],
            [each["carried"] for each in of_split],
            marker,
            label=f"simulated people, {name}, state carried",
        )
    real = sorted((each["density"], each["real"] / knee["decisions"]) for each in knee["weights"])
    accuracy.plot(*zip(*real, strict=True), "^", label=f"{knee['decisions']} decisions on real clips")
    shipped = next(each["density"] for each in knee["weights"] if each.get("shipped"))
    accuracy.axvline(shipped, color="0.6", linestyle=":", label="shipped")
    accuracy.set(xlabel="spikes a hidden neuron and step", ylabel="right", ylim=(0.8, 1.0))
    accuracy.legend(fontsize=8, loc="lower right")
    density, ms = zip(*((each["density"], each["ms"]) for each in knee["clips"]), strict=True)
    speed.plot(density, [1000 / each for each in ms], "o-", label="spike-driven")
    speed.plot(density, [1000 / each["onnx_ms"] for each in knee["clips"]], "s-", label="ONNX Runtime")
    speed.set(xlabel="spikes a hidden neuron and step, five clips", ylabel="frames a second", ylim=0)
    speed.legend(fontsize=8)
    for axes in (accuracy, speed):
        axes.grid(alpha=0.3)
    figure.savefig(FOLDER / "knee.png")


if __name__ == "__main__":
    draw()
