"""Machine code that several processes have cached doesn't mix up models, in a process that loads all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from tests.networks import write_network

pytest.importorskip("torch", reason="the networks are built with torch: pip install 'livesnn[train]'")

STEPS = """
import sys
import numpy as np
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.spike_engine import SpikeModel
from pathlib import Path

for folder in map(Path, sys.argv[1:]):
    onnx, spike = load_model(str(folder), "onnx"), SpikeModel.load(folder, threads=1)
    spec, random, state = spike.card.input, np.random.default_rng(0), onnx.initial_state()
    for rate in (0.1, 0.5, 2.0):
        counts = random.poisson(rate, (spec.channels, spec.height, spec.width)).clip(0, 255)
        frame = Frame(0, counts.astype(np.uint8), 0)
        _, found = spike.step(frame, state)
        _, state = onnx.step(frame, state)
        print(max(float(np.abs(one - other).max()) for one, other in zip(found, state)))
"""


def differences(code: Path, *folders: Path) -> list[float]:
    """Return how far the membranes of a few steps are from ONNX Runtime's, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", STEPS, *map(str, folders)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-500:]
    return list(map(float, ran.stdout.split()))


@pytest.mark.release  # compiles for a minute
def test_models_of_other_widths_run_on_code_that_other_processes_have_kept(tmp_path: Path) -> None:
    spec = InputSpec(34, 34, SliceRule(delta_t_us=10_000), count_max=4, scale=0.5)
    folders = []
    for name, widths in {"mixed": (16, 64, 16, 16), "narrow": (16, 16, 16, 16)}.items():
        card = ModelCard(name=name, classes=("a", "b"), input=spec, network=NetworkSpec(widths=widths))
        folder = tmp_path / card.name
        folder.mkdir()
        folders.append(write_network(folder, card, seed=0))
    for folder in folders:
        differences(tmp_path / "code", folder)
    found = differences(tmp_path / "code", *folders)
    assert len(found) == 6
    assert max(found) < 1e-5
