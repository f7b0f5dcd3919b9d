"""`livesnn bench`: one measurement or several, engines by turns, and every library on the same file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs livesnn[train]")

from livesnn.__main__ import main
from livesnn.bench.step import bench_startup, bench_step, by_turns, onnx_ways
from livesnn.bench.throughput import bench_decode
from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.errors import DataError, LivesnnError, ModelError
from livesnn.events.slicer import Frame
from tests.networks import outputs_on_noise, write_network


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of the command."""
    return main(["bench", *arguments]), *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slicr",), "did you mean slicer"),
        (("slicer", "slicr"), "slicr"),
        (("slicer", "--model", "nmnist"), "--model has no effect on slicer: leave it out"),
        (("decode", "slicer", "--source", "clip.raw"), "--source has no effect on decode and slicer"),
        (("step", "--engines", "onnx", "cuda"), "cuda"),
    ],
)
def test_what_cannot_be_measured_is_bad_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, _, errors = run(capsys, *arguments)
    assert code == 2
    assert words in errors


@pytest.mark.slow
def test_options_may_stand_beside_a_measurement_without_them_and_figures_are_json_with_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--repeats", "1", "--model", "nmnist", "--engines", "onnx", "--json")
    code, text, _ = run(capsys, "startup", "step", *options)
    assert code == 0
    figures = json.loads(text)
    assert list(figures) == ["machine", "startup", "step"]
    assert "spike" not in figures["step"]["engines"]


def test_no_repeats_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run(capsys, "slicer", "--repeats", "0")
    assert code == 1
    assert errors == "livesnn bench: --repeats can't be 0: give 1 or more\n"


CARD = ModelCard(
    "peers",
    tuple("abcd"),
    InputSpec(34, 34, SliceRule(n_events=500)),
    NetworkSpec(widths=(8, 8, 8, 8), sub_blocks=(1, 1, 1, 1), weight_bits=8),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("peers"), CARD)


def noise(n_frames: int, seed: int = 3) -> list[Frame]:
    random = np.random.default_rng(seed)
    return [Frame(0, data, 500) for data in random.poisson(0.6, (n_frames, 2, 34, 34)).astype(np.uint8)]


@pytest.mark.slow
def test_a_step_is_compared_with_onnx_runtime_s_faster_way(folder: Path) -> None:
    found = bench_step(str(folder), 2, n_frames=12)
    engines, ratio, spread = found["engines"], found["ratio"], found["ratio_spread"]
    assert {"onnx", "onnx_bound", "torch"} <= set(engines)  # type: ignore[arg-type]
    assert found["best"] == min(("onnx", "onnx_bound"), key=lambda name: engines[name]["ms_p50"])  # type: ignore[index]
    assert set(ratio) == {f"{name}_vs_onnx" for name in {"spike", "torch"} & set(engines)}  # type: ignore[arg-type]
    for name, times in ratio.items():  # type: ignore[attr-defined]
        assert spread[name]["min"] <= times == spread[name]["median"] <= spread[name]["max"]  # type: ignore[index]
        assert spread[name]["n"] == 2  # type: ignore[index]
    assert found["agreement"] > 0.9  # type: ignore[operator]


@pytest.mark.slow
def test_onnx_runtime_decides_the_same_in_each_of_its_ways(folder: Path) -> None:
    ways = onnx_ways(folder, threads=1)
    expected = outputs_on_noise(ways["onnx"])
    for _ in range(2):
        np.testing.assert_allclose(outputs_on_noise(ways["onnx_bound"]), expected, atol=1e-5)


@pytest.mark.slow
def test_engines_take_turns_and_each_turn_begins_at_zero_state(folder: Path) -> None:
    order: list[str] = []

    class Told:
        engine = "told"

        def __init__(self, name: str) -> None:
            self.name = name
            self.card = CARD

        def initial_state(self) -> tuple[np.ndarray, ...]:
            order.append(self.name)
            return (np.zeros(1, np.float32),)

        def step(self, frame: Frame, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
            return np.eye(4, dtype=np.float32)[int(state[0][0]) % 4], (state[0] + 1,)

    passes = by_turns({name: Told(name) for name in "ab"}, noise(5), 2)  # type: ignore[misc]
    assert "".join(order) == "ab" + "ab" + "ba"
    for of_one in passes.values():
        assert [one.winners.tolist() for one in of_one] == [[0, 1, 2, 3, 0]] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engines", "found", "ratios"),
    [(("onnx",), {"onnx", "onnx_bound"}, set()), (("torch",), {"torch"}, set())],
)
def test_the_engines_named_alone_are_timed(
    folder: Path, engines: tuple[str, ...], found: set[str], ratios: set[str]
) -> None:
    step = bench_step(str(folder), 1, n_frames=5, engines=engines)  # type: ignore[arg-type]
    assert set(step["engines"]) == found  # type: ignore[call-overload]
    assert set(step["ratio"]) == ratios  # type: ignore[call-overload]


@pytest.mark.slow
def test_an_engine_that_is_named_twice_is_one_line(folder: Path) -> None:
    with pytest.raises(LivesnnError, match="names an engine twice"):
        bench_step(str(folder), 1, engines=("onnx", "onnx"))


@pytest.mark.slow
def test_an_engine_that_cannot_run_the_model_is_left_out_unless_it_was_asked_for(tmp_path: Path) -> None:
    odd = replace(CARD, network=replace(CARD.network, widths=(10, 10, 10, 10), weight_bits=32))
    folder = str(write_network(tmp_path, odd))
    step = bench_step(folder, 1, n_frames=3)
    assert set(step["engines"]) == {"onnx", "onnx_bound", "torch"}  # type: ignore[call-overload]
    assert "engine 'spike' runs an sts_resnet with widths" in step["engines_left_out"]["spike"]  # type: ignore[index]
    with pytest.raises(ModelError, match="engine 'spike' runs an sts_resnet with widths"):
        bench_step(folder, 1, n_frames=3, engines=("onnx", "spike"))


@pytest.mark.slow
def test_a_source_without_a_frame_is_one_line(folder: Path, tmp_path: Path) -> None:
    few = {name: np.arange(20) % most for name, most in zip("txyp", (20, 20, 20, 2), strict=True)}
    np.savez(tmp_path / "few.npz", **few)
    with pytest.raises(DataError, match="shorter than one frame of peers"):
        bench_step(str(folder), 1, str(tmp_path / "few.npz"))


@pytest.mark.slow
def test_a_window_that_can_show_nothing_is_not_waited_for() -> None:
    with pytest.raises(LivesnnError, match=r"showed nothing \(.*'nosuch' not found; .*\): run livesnn gui"):
        bench_startup("nosuch", 1)


def test_the_libraries_agree_on_the_events_and_each_has_its_rates() -> None:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    found = json.loads(json.dumps(bench_decode(3, events=100_000)))
    measured = found["files"][found["ratio_file"]]
    assert measured["events"] == 100_000
    for rates in measured["mev_per_s"].values():
        assert 0 < rates["min"] <= rates["median"] <= rates["max"]
        assert rates["n"] == 3
    assert found["ratio"]["vs_dv_processing"] > 0
