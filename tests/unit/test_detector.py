"""When a taught gesture is named: moments and how they are compared, and rows of a read-out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.teach.detector import (
    AGAINST,
    FADED_FRAMES,
    Embedding,
    compared,
    faded,
    fit_row,
    likeness,
    probability,
    rest_before,
    simulated_negatives,
    windows_of,
)
from livesnn.teach.lesson import Clip, Take
from livesnn.teach.model import EMBEDDING, rows_of
from livesnn.weights import Weights, load_weights
from tests.lessons import CARD, LEFT, RIGHT, clip, lesson, write_remembering
from tests.networks import write_network

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="its networks are made with torch")


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_remembering(tmp_path_factory.mktemp("remembering"))


Network = tuple[Model, Weights, Embedding]


@pytest.fixture(scope="module")
def network(remembering: Path) -> Network:
    weights, card = load_weights(remembering / "model.safetensors")
    embedding = Embedding.of(remembering, weights, card)
    assert embedding is not None
    return load_model(remembering, "onnx"), weights, embedding


def test_what_remains_of_a_gesture_counts_against_its_class(network: Network) -> None:
    embedding = network[2]
    moments = windows_of(clip(RIGHT), *network).moments[20:]
    others, shares = compared(moments, 45, embedding)
    assert others.shape == (45, embedding.size)
    assert shares[:36].sum() == pytest.approx(1)
    assert shares[36:].sum() == pytest.approx(-AGAINST)
    remains = faded(moments, embedding)
    assert likeness(remains, others, shares).mean() < likeness(remains, others, np.maximum(shares, 0)).mean()
    assert likeness(moments, others, shares).mean() > 0.2
    few, shares = compared(moments, 3, embedding)
    assert few.shape == (3, embedding.size)
    assert shares.sum() == pytest.approx(1)


STILL = clip(LEFT, frames=30) // 4  # hardly anything happens


@pytest.mark.parametrize(
    ("before", "settled"),
    [
        (STILL, slice(10, 30)),
        (np.concatenate([STILL[:20], clip(RIGHT, frames=10)]), slice(10, 20)),
        (STILL[:19], None),
        (clip(RIGHT, seed=1, frames=30), None),
        (STILL[:0], None),
    ],
)
def test_a_performance_begins_from_how_the_person_stood_before(
    network: Network, before: Clip, settled: slice | None
) -> None:
    embedding = network[2]
    stood = embedding.rest if settled is None else windows_of(STILL, *network).currents[settled].mean(0)
    np.testing.assert_allclose(rest_before(Take(clip(RIGHT), before), *network), stood, atol=1e-6)


def test_faded_moments_are_what_traces_become(network: Network) -> None:
    embedding = network[2]
    shape = (len(embedding.alphas), len(embedding.bias))
    traces = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    mixed = (embedding.mix @ traces).ravel()
    traces = (traces - np.linalg.solve(embedding.mix, np.full_like(traces, mixed.mean()))) / mixed.std()  # variance 1
    moment = (embedding.mix @ traces).ravel() / np.sqrt(embedding.size)
    for _ in range(FADED_FRAMES[0]):
        found, traces = embedding.moment(embedding.bias, traces)
    np.testing.assert_allclose(faded(moment[None], embedding)[0], found, atol=1e-5)


def test_an_embedding_of_another_network_is_refused(remembering: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(remembering, tmp_path / "copy")
    save_file({"project.weight": np.zeros((3, 3), np.float16)}, folder / EMBEDDING)
    with pytest.raises(ModelError, match=r"teach.safetensors can't be read .*: copy the model again"):
        lesson(folder, tmp_path / "taught")
    zeros = {"project.weight": (3, 3), "project.bias": (32,), "mix": (2, 2), "rest": (32,)}
    save_file({name: np.zeros(shape, np.float32) for name, shape in zeros.items()}, folder / EMBEDDING)
    with pytest.raises(ModelError, match=r"teach.safetensors belongs to another network: copy the model again"):
        lesson(folder, tmp_path / "taught")


@pytest.mark.parametrize("reads", ["membrane", "traces"])
def test_a_windows_mean_output_is_its_units_times_the_rows(reads: str, tmp_path: Path, remembering: Path) -> None:
    folder = write_network(tmp_path, CARD) if reads == "membrane" else remembering
    model, shown = load_model(folder, "onnx"), clip(LEFT, frames=40)
    state, outputs = model.initial_state(), []
    for data in shown:
        output, state = model.step(Frame(0, data, 1), state)
        outputs.append(output)
    means = np.array(outputs).reshape(4, 10, -1).mean(1)
    weights, _ = load_weights(folder / "model.safetensors")
    found = windows_of(shown, model, weights).units @ rows_of(weights, model.card).T
    np.testing.assert_allclose(found, means, atol=1e-4)


def test_a_row_is_where_its_loss_is_least() -> None:
    random = np.random.default_rng(0)
    known = random.normal(0, 1, (60, 5)).astype(np.float32)
    taught = random.normal(0.7, 1, (20, 5)).astype(np.float32)
    rows = random.normal(0, 1, (3, 5)).astype(np.float32)
    row = fit_row(taught, known, rows, 1.5)

    def loss(row: np.ndarray) -> float:
        right = np.log(probability(taught @ row, taught, rows, 1.5)).mean() * 60 / 3
        return float(
            0.5 * (row / 1.5) @ (row / 1.5) - right - np.log1p(-probability(known @ row, known, rows, 1.5)).sum()
        )

    for direction in np.eye(5, dtype=np.float32):
        assert min(loss(row + 0.1 * direction), loss(row - 0.1 * direction)) > loss(row)


def test_what_is_known_is_simulated_once_and_again_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path / "cache"))
    (folder := tmp_path / "base").mkdir()
    write_network(folder, CARD)
    weights, _ = load_weights(folder / "model.safetensors")
    model, shares = load_model(folder, "onnx"), []
    made = simulated_negatives(model, weights, shares.append, 2, 1)
    assert (len(made.learned), len(made.kept_aside)) == (2 * 12 * 2, 12 * 2)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    (file,) = (tmp_path / "cache").glob("known-*.npz")
    shares.clear()
    again = simulated_negatives(model, weights, shares.append, 2, 1)
    assert not shares
    np.testing.assert_allclose(again.learned, made.learned, rtol=1e-3, atol=1e-3)
    file.write_bytes(file.read_bytes()[:1000])
    assert len(simulated_negatives(model, weights, shares.append, 2, 1).learned) == len(made.learned)
    assert shares
