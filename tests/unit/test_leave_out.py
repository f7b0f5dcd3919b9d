"""docs/experiments/simulator/leave_out.py: a part that is left out changes what is simulated, in training only."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from livesnn.simulate import clips
from livesnn.train.datasets import gestures_sim

SPEC = replace(gestures_sim.INPUT, window=4)
CHANGING = ("texture", "light", "framing", "sensor", "noise", "trunk", "tempo")


def program() -> ModuleType:
    found = spec_from_file_location(
        "leave_out", Path(__file__).parents[2] / "docs/experiments/simulator/leave_out.py"
    )
    assert found
    assert found.loader
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the program has changed."""
    monkeypatch.setattr(gestures_sim, "clip_frames", clips.clip_frames)
    monkeypatch.setattr(gestures_sim, "_settings", gestures_sim._settings)


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("part", ["nothing", *CHANGING])
def test_a_part_that_is_left_out_is_left_out_of_training_alone(part: str) -> None:
    whole = {use: clips.clip_frames("arm_roll", 3, SPEC, use) for use in ("train", "validation")}  # type: ignore[arg-type]
    usual = gestures_sim._settings([("arm_roll", 3)], SPEC, "validation", 1)
    program().leave_out(part)
    without = {use: gestures_sim.clip_frames("arm_roll", 3, SPEC, use) for use in whole}  # type: ignore[attr-defined]
    assert np.array_equal(without["train"], whole["train"]) == (part == "nothing")
    assert np.array_equal(without["validation"], whole["validation"])
    keys = [gestures_sim._settings([("arm_roll", 3)], SPEC, use, 1) for use in ("train", "validation")]  # type: ignore[arg-type]
    assert f"without {part}" in str(keys[0])
    assert keys[1] == usual


def test_every_part_is_tried() -> None:
    assert set(program().PARTS) == {"nothing", *CHANGING}
