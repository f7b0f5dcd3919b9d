"""run and frames of any source; and run_frames: windows, rates, resets, latency and density."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

import livesnn
from livesnn.card import InputSpec, ModelCard, NeuronSpec, SliceRule
from livesnn.errors import FormatError, LivesnnError, ModelError, SourceError
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import Packet, Resolution
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decider, probabilities
from livesnn.infer.load import read_card
from livesnn.infer.model import State
from livesnn.infer.reason import Reason
from livesnn.infer.run import Recogniser, Result, StateMode, run_frames
from livesnn.paths import recordings_dir
from livesnn.simulate.digits import TurningDigits
from tests.fake_source import SMALL, FakeSource
from tests.synthetic import moving_bar, write_model, write_recording

WINDOW = 4
BOLD = Decider(threshold=0.0)


class Tiny:
    """A model of four LIF neurons on the ON pixels of a 2×2 sensor, then three output neurons."""

    def __init__(self, readout: Literal["spikes", "membrane"] = "membrane") -> None:
        self.card = ModelCard(
            name="tiny",
            classes=("zero", "one", "two"),
            input=InputSpec(width=2, height=2, slice=SliceRule(delta_t_us=1000), window=WINDOW),
            neuron=NeuronSpec(alpha=0.5, threshold=0.5),
            readout=readout,
            states={"hidden": (2, 2), "output": (3,)},
        )
        self.weights = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)

    def initial_state(self) -> State:
        return tuple(np.zeros(shape, np.float32) for shape in self.card.states.values())

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        hidden, output = state
        hidden = np.float32(0.5) * hidden * (hidden < 0.5) + frame.data[1] * np.float32(0.3)
        spikes = (hidden >= 0.5).astype(np.float32).ravel()
        if self.card.readout == "membrane":
            output = np.float32(0.5) * output + self.weights @ spikes
            return output, (hidden, output)
        output = np.float32(0.5) * output * (output < 0.5) + self.weights @ spikes
        return (output >= 0.5).astype(np.float32), (hidden, output)


def test_a_shipped_clip_opens_by_its_name_unless_a_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(livesnn.open_source("digit-3")) as clip:
        assert "digit-3" in clip.name
    (tmp_path / "digit-3").write_bytes(b"no recording")
    with pytest.raises(FormatError):
        livesnn.open_source("digit-3")


@pytest.mark.parametrize("name", ["../recordings/digit-3", "digit-9", "digit-3.aedat4", "digit-3\0", "d" * 300])
def test_no_other_name_stands_for_a_shipped_clip(name: str) -> None:
    with pytest.raises(SourceError):
        livesnn.open_source(name)


def make_frames(count: int, *, seed: int = 0, starts: tuple[int, ...] = (0,)) -> list[Frame]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (count, 2, 2, 2)).astype(np.uint8)
    return [Frame(1000 * (i + 1), counts[i], int(counts[i].sum()), start=i in starts) for i in range(count)]


def test_a_network_that_gives_no_numbers_is_one_line() -> None:
    model = Tiny()
    model.weights = np.full_like(model.weights, np.inf)
    with (
        pytest.raises(ModelError, match=r"tiny gives NaN or infinity at .* µs: copy the model"),
        np.errstate(all="ignore"),
    ):
        list(run_frames(make_frames(8), model))


def outputs(model: Tiny, frames: list[Frame]) -> npt.NDArray[np.float32]:
    """Return the outputs of a plain loop of steps from the zero state."""
    state = model.initial_state()
    seen = []
    for frame in frames:
        output, state = model.step(frame, state)
        seen.append(output)
    return np.array(seen)


def assert_same(one: list[Result], other: list[Result]) -> None:
    """Equal but for latency and the reset flag of the first."""
    assert len(one) == len(other)
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        np.testing.assert_array_equal(a.rates, b.rates)
        np.testing.assert_array_equal(a.density, b.density)
        assert (a.t, a.window, a.frame_in_window) == (b.t, b.window, b.frame_in_window)
        assert (a.decision, a.confidence) == (b.decision, b.confidence)
        assert i == 0 or a.reset == b.reset


class Blank(Tiny):
    """A model of an 8×8 sensor that never prefers a class."""

    def __init__(self) -> None:
        super().__init__()
        spec = replace(self.card.input, width=8, height=8)
        self.card = replace(self.card, input=spec, mean_count=1.0)

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        return np.zeros(3, np.float32), state


def test_why_no_gesture_is_named_is_known_once_a_window_is_full() -> None:
    hand = np.zeros((2, 8, 8), np.uint8)
    hand[0, 0, :2] = 2
    frames = [Frame(1000 * i, hand * (i < 9), 0, start=i in (0, 6)) for i in range(14)]
    few = Reason.FEW_EVENTS
    reasons = [result.reason for result in run_frames(frames, Blank())]
    assert reasons == [None] * 3 + [few] * 3 + [None] * 3 + [few] * 3 + [None] * 2  # until the hand is out of it
    assert {result.reason for result in run_frames(frames, Blank(), decider=BOLD)} == {None}  # one is named


def test_there_is_one_result_a_frame_in_windows_that_do_not_overlap() -> None:
    frames = make_frames(10)
    results = list(run_frames(frames, Tiny()))
    assert [result.t for result in results] == [frame.t for frame in frames]
    assert all(result.frame is frame for result, frame in zip(results, frames, strict=True))
    assert [result.window for result in results] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert [result.frame_in_window for result in results] == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]
    assert [i for i, result in enumerate(results) if result.window_end] == [3, 7]
    assert [result.window_seen for result in results] == [False] * 3 + [True] * 7


def test_rates_are_the_mean_output_of_the_last_window_of_frames_with_the_state_carried() -> None:
    model = Tiny()
    frames = make_frames(30)
    loop = outputs(model, frames)
    for i, result in enumerate(run_frames(frames, model)):
        np.testing.assert_allclose(
            result.rates, loop[max(0, i + 1 - WINDOW) : i + 1].mean(axis=0), rtol=1e-5, atol=1e-7
        )


def test_nothing_is_decided_before_the_first_window_is_full_and_something_always_after() -> None:
    results = list(run_frames(make_frames(10), Tiny(), decider=BOLD))
    assert [result.decision is None for result in results] == [True] * 3 + [False] * 7
    assert [result.confidence == 0 for result in results] == [True] * 3 + [False] * 7


def test_the_decision_is_the_deciders_on_the_rates_and_the_last_membrane() -> None:
    model = Tiny("spikes")
    frames = make_frames(40)
    state = model.initial_state()
    ties = 0
    decider = replace(BOLD, leak=0.0)
    for frame, result in zip(frames, run_frames(frames, model, decider=decider), strict=True):
        _, state = model.step(frame, state)
        if result.decision is not None:
            assert result.decision == decider.decide(result.rates, state[-1], model.card).label
            ties += int((result.rates == result.rates.max()).sum() > 1)
    assert ties > 0  # or the rule for ties was never asked


def test_with_a_leak_it_is_the_deciders_on_the_window_s_outputs_the_oldest_first() -> None:
    model, frames, decider = Tiny(), make_frames(11), replace(BOLD, leak=0.5)
    seen = outputs(model, frames)
    for count, result in enumerate(run_frames(frames, model, decider=decider), start=1):
        evidence = decider.evidence(seen[max(count - WINDOW, 0) : count])
        np.testing.assert_allclose(result.probabilities, probabilities(evidence, model.card), rtol=1e-6)
        np.testing.assert_allclose(result.rates, seen[max(count - WINDOW, 0) : count].mean(axis=0), rtol=1e-5)


def test_decider_and_mode_may_change_from_frame_to_frame() -> None:
    frames, recogniser = make_frames(20), Recogniser(Tiny())
    modes: list[StateMode] = ["carry"] * 6 + ["reset"] * 8 + ["carry"] * 6
    results = [recogniser.step(frame, state=mode, decider=BOLD) for frame, mode in zip(frames, modes, strict=True)]
    zeroed = [i for i, result in enumerate(results) if result.carried == 1]
    assert zeroed == [0, 8, 12]  # windows begin at multiples of four
    assert results[-1].decision is not None
    sure = Decider(threshold=1.0, hysteresis=1.0)
    assert recogniser.step(make_frames(1, starts=())[0], decider=sure).decision is None


@pytest.mark.parametrize("at", [1, 5, 8])
def test_a_jump_in_time_starts_afresh_and_says_so(at: int) -> None:
    frames = make_frames(20, starts=(0, at))
    results = list(run_frames(frames, Tiny(), decider=BOLD))
    assert [i for i, result in enumerate(results) if result.reset] == [at]
    assert_same(results[at:], list(run_frames(frames[at:], Tiny(), decider=BOLD)))
    assert_same(results[:at], list(run_frames(frames[:at], Tiny(), decider=BOLD)))


def test_a_reset_on_demand_starts_afresh() -> None:
    frames, recogniser = make_frames(20), Recogniser(Tiny())
    results = [recogniser.step(frame, decider=BOLD, reset=i == 6) for i, frame in enumerate(frames)]
    assert [i for i, result in enumerate(results) if result.reset] == [6]
    assert_same(results[6:], list(run_frames(frames[6:], Tiny(), decider=BOLD)))


def test_in_reset_mode_each_window_starts_from_zero_and_none_is_flagged() -> None:
    frames = make_frames(20)
    results = list(run_frames(frames, Tiny(), state="reset", decider=BOLD))
    carried = list(run_frames(frames, Tiny(), state="carry", decider=BOLD))
    for end in range(WINDOW - 1, 20, WINDOW):
        alone = list(run_frames(frames[end - WINDOW + 1 : end + 1], Tiny(), decider=BOLD))[-1]
        np.testing.assert_array_equal(results[end].rates, alone.rates)
        assert results[end].decision == alone.decision
    assert [result.window for result in results] == [result.window for result in carried]
    assert not any(result.reset for result in results)
    assert any((a.rates != b.rates).any() for a, b in zip(results, carried, strict=True))


def test_density_is_the_share_of_neurons_that_spiked_and_membrane_each_layers_mean_u() -> None:
    model = Tiny("spikes")
    frames = make_frames(12)
    state = model.initial_state()
    for frame, result in zip(frames, run_frames(frames, model), strict=True):
        _, state = model.step(frame, state)
        np.testing.assert_allclose(result.density, [(state[0] >= 0.5).mean()], rtol=1e-6)
        np.testing.assert_allclose(result.membrane, [layer.mean() for layer in state], rtol=1e-6)


def test_carried_counts_frames_since_the_state_was_zero_by_plan_or_not() -> None:
    frames = make_frames(10, starts=(0, 6))
    assert [r.carried for r in run_frames(frames, Tiny())] == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4]
    assert [r.carried for r in run_frames(frames, Tiny(), state="reset")] == [1, 2, 3, 4, 1, 2, 1, 2, 3, 4]


def test_latency_counts_from_the_arrival() -> None:
    frame = replace(make_frames(1)[0], arrived_s=time.perf_counter())
    (result,) = run_frames([frame], Tiny())
    latency = result.latency
    assert latency.slice_ms >= 0
    assert latency.network_ms > 0
    assert latency.slice_ms + latency.network_ms <= latency.total_ms < 60_000
    (unknown,) = run_frames(make_frames(1), Tiny())
    assert np.isnan([unknown.latency.slice_ms, unknown.latency.total_ms]).all()
    assert unknown.latency.network_ms > 0


def test_an_unknown_way_with_the_state_is_refused() -> None:
    with pytest.raises(ModelError, match="'carry' or 'reset'"):
        list(run_frames(make_frames(1), Tiny(), state="keep"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "columns")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("clips") / "bar.npz", moving_bar(1_000_500))


class TestRun:
    """livesnn.run and livesnn.frames, on a network of ten columns and a bar that crosses them."""

    def test_paths_their_text_and_what_is_open_give_the_same(self, clip: Path, folder: Path) -> None:
        expected = list(livesnn.run(clip, folder))
        decided = [int(result.decision or "-1") for result in expected[9::10]]
        assert decided == sorted(decided)  # the bar goes from left to right
        assert (decided[0], decided[-1]) == (0, 8)
        for source in (str(clip), open_recording(clip), livesnn.open_source(clip)):
            assert_same(list(livesnn.run(source, folder)), expected)
        for model in (str(folder), livesnn.load_model(folder)):
            assert_same(list(livesnn.run(clip, model)), expected)

    def test_a_model_is_found_by_its_name(self) -> None:
        clip = recordings_dir() / "digit-3.aedat4"
        assert next(r for r in livesnn.run(clip, "nmnist", engine="onnx") if r.window_end).decision == "3"
        assert next(livesnn.frames(clip, "nmnist")).data.shape == (2, 34, 34)

    def test_the_frames_are_those_that_the_network_gets(self, clip: Path, folder: Path) -> None:
        frames = list(livesnn.frames(clip, folder))
        results = list(livesnn.run(clip, folder))
        loaded = list(livesnn.frames(str(clip), livesnn.load_model(folder)))
        opened = list(livesnn.frames(FakeSource([moving_bar(1_000_500)], live=False), folder))
        for others in ([result.frame for result in results], loaded, opened):
            for one, other in zip(frames, others, strict=True):
                assert (one.t, one.n_events, one.start) == (other.t, other.n_events, other.start)
                np.testing.assert_array_equal(one.data, other.data)

    def test_a_live_source_is_any_other_source_of_the_command_line(self) -> None:
        model = livesnn.load_model("gestures", engine="onnx")
        results = list(livesnn.run("simulate:arm_roll", model, seconds=0.5))
        assert results
        assert all(result.latency.total_ms >= result.latency.network_ms > 0 for result in results)
        assert next(livesnn.frames("simulate:arm_roll", model)).start

    def test_a_video_gives_its_frames(self) -> None:
        spec = read_card("mnist-seq2").input
        model = livesnn.load_model("mnist-seq2", engine="onnx")
        source = TurningDigits(4, paced=False)
        results = itertools.islice(livesnn.run(source, model), 25)
        assert [result.t for result in results] == [100_000 * number for number in range(25)]
        assert next(livesnn.frames("simulate:digits", model)).data.shape == (1, spec.height, spec.width)

    def test_a_live_source_waits_for_nobody_and_a_recording_is_never_dropped(self, folder: Path) -> None:
        packets = np.array_split(moving_bar(1_000_500), 100)
        assert len(list(livesnn.run(FakeSource(packets, live=False), folder))) == 100
        old = [Packet(events, arrived_s=1e-9) for events in packets[:50]]  # waited for too long already
        in_time = [Packet(events, time.perf_counter() + 60) for events in packets[50:]]
        results = list(livesnn.run(FakeSource([*old, *in_time]), folder))
        assert [result.t for result in results] == [
            int(packets[50]["t"][0]) + 10_000 * number for number in range(1, len(results) + 1)
        ]
        assert len(results) >= 49

    @pytest.mark.parametrize("live", [True, False])
    def test_the_source_is_closed_at_the_end_and_when_nobody_wants_more(self, folder: Path, live: bool) -> None:
        source = FakeSource([moving_bar(1_000_500)], live=live)
        assert list(livesnn.run(source, folder))
        assert source.closed.is_set()
        source = FakeSource([moving_bar(1_000_500)], live=live, then="silence")
        results = livesnn.run(source, folder)
        next(results)
        results.close()  # type: ignore[attr-defined]
        assert source.closed.is_set()

    def test_an_error_of_the_source_comes_after_the_results_before_it_and_it_is_closed(self, folder: Path) -> None:
        source = FakeSource([moving_bar(300_500)], live=False, then=FormatError("packet 3 is damaged"))
        seen: list[Result] = []
        with pytest.raises(FormatError, match="packet 3 is damaged"):
            seen.extend(livesnn.run(source, folder))
        assert len(seen) == 30
        assert source.closed.is_set()

    def test_seconds_end_it_in_a_recordings_own_time(self, clip: Path, folder: Path) -> None:
        assert_same(list(livesnn.run(clip, folder, seconds=0.5)), list(livesnn.run(clip, folder))[:49])

    def test_a_turned_source_is_made_upright_and_its_noise_left_out(self, clip: Path, folder: Path) -> None:
        hung = Orientation(2)
        turned = FakeSource([orient(moving_bar(1_000_500), SMALL, hung)], live=False)
        expected = list(livesnn.run(clip, folder, denoise=True))
        assert_same(list(livesnn.run(turned, folder, orientation=hung, denoise=True)), expected)
        raw = list(livesnn.frames(clip, folder))
        assert sum(result.frame.n_events for result in expected) < sum(frame.n_events for frame in raw)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"seconds": 0.0}, "give more than 0"),
            ({"seconds": float("nan")}, "give more than 0"),
            ({"denoise": True}, "a sensor of 65000×2"),
        ],
    )
    def test_what_cannot_be_is_refused_and_the_source_closed(
        self, change: dict[str, Any], why: str, folder: Path
    ) -> None:
        source = FakeSource(resolution=Resolution(65_000, 2))
        with pytest.raises(SourceError, match=why):
            next(livesnn.run(source, folder, **change))
        assert source.closed.is_set()

    def test_a_video_is_neither_turned_nor_filtered(self) -> None:
        model = livesnn.load_model("mnist-seq2", engine="onnx")
        for change, why in (
            ({"denoise": True}, "no events"),
            ({"orientation": Orientation(2)}, "can't be rotated"),
        ):
            with pytest.raises(SourceError, match=why):
                next(livesnn.run(TurningDigits(0), model, **change))  # type: ignore[arg-type]

    def test_a_model_that_is_not_there_and_a_source_that_is_none_are_one_line(self, clip: Path, folder: Path) -> None:
        for source, model in ((clip, "nothing"), ("nowhere.aedat4", folder)):
            with pytest.raises(LivesnnError) as raised:
                next(livesnn.run(source, model))
            assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", [None, 3, b"camera", [], np.zeros(3)])
def test_what_is_no_source_or_no_model_is_one_line(what: Any) -> None:
    with pytest.raises(SourceError, match=r"isn't a source of events: it has no \w+: give what open_source"):
        list(livesnn.run(what, Tiny()))
    with pytest.raises(SourceError, match="isn't a source of events"):
        list(livesnn.frames(what, Tiny()))
    with pytest.raises(ModelError, match=r"a model can't be .*: give its name, its folder or what load_model"):
        list(livesnn.run(FakeSource(), what))
    with pytest.raises(ModelError, match="a model can't be"):
        list(livesnn.frames(FakeSource(), what))


class Yielding(FakeSource):
    """A source that yields what it is given."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what = what

    def __iter__(self) -> Iterator[Packet]:
        yield self.what


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (moving_bar(10_000), r"must yield packets, not ndarray: yield Packet\(events\)"),
        ((moving_bar(10_000), 0.0, None, 0), "must yield packets, not tuple"),
        (None, "must yield packets, not NoneType"),
        (Packet(None), "a packet must be a 1-D array with fields"),
        (Packet(moving_bar(10_000), 0.0, "soon"), "now_us can't be 'soon': give whole µs"),
    ],
)
def test_what_is_no_packet_is_one_line_and_the_source_is_closed(what: Any, message: str) -> None:
    source = Yielding(what)
    with pytest.raises(SourceError, match=message):
        list(livesnn.run(source, Tiny()))
    assert source.closed.is_set()


@pytest.mark.parametrize("resolution", [None, (34, 34), Resolution(0, 2), Resolution(2.5, 2), "34x34"])
def test_a_resolution_that_is_none_is_one_line(resolution: Any) -> None:
    source = FakeSource()
    source.resolution = resolution
    with pytest.raises(SourceError, match="a source's resolution can't be"):
        list(livesnn.run(source, Tiny()))
    assert source.closed.is_set()
