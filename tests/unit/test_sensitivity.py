"""Sensitivity of cameras: the law that holds a rate, on simulated sensors; what is set, saved, and what is noise."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.errors import DataError, SourceError
from livesnn.events.cameras.driver import Device
from livesnn.events.cameras.sensitivity import (
    AS_THE_DRIVER_SETS_IT,
    PRESETS,
    Abilities,
    Bias,
    Region,
    SensorSettings,
    load_settings,
    save_settings,
    with_preset,
)
from livesnn.events.cameras.sensor_control import Measured, SensorControl, hold_rate, noise_share
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import open_recording
from livesnn.outputs.lines import Row, RunOptions, decide_all
from tests.fake_source import FakeSource
from tests.simulated_sensor import DAVIS346, Light, SimulatedSensor, thresholds_of

SENSOR = Resolution(128, 128)
SOON_S = 5.0


@dataclass(frozen=True)
class Response:
    """A sensor's event rate by its threshold: signal ∝ 1 / threshold, noise by Rice's formula."""

    signal_per_s: float = 20_000.0
    threshold: float = 0.25  # at sensitivity 0; twice that at −1, half at +1
    noise: float = 0.05
    noise_per_s: float = 128 * 128 * 200.0
    sway: float = 0.0  # of the signal, to and fro 1.3 times a second

    def at(self, sensitivity: float, t_s: float) -> float:
        signal = self.signal_per_s * 2**sensitivity * (1 + self.sway * math.sin(2 * math.pi * 1.3 * t_s))
        threshold = self.threshold * 2**-sensitivity
        return signal + self.noise_per_s * math.exp(-((threshold / self.noise) ** 2) / 2)


def held(
    rate: Callable[[float, float], float], wanted: float, start: float = 0.0, noise: float = math.nan
) -> tuple[float, float]:
    """Return where the law leaves a sensor's sensitivity after 15 seconds, and when it changed it last."""
    sensitivity, step, t_s, changed_s = start, 0.0, 0.0, 0.0
    while t_s < 15:
        look_s = 0.3 if step or not t_s else 1.0
        times_s = np.arange(t_s, t_s + look_s, 0.05)
        measured = Measured(float(np.mean([rate(sensitivity, each) for each in times_s])), noise)
        t_s += look_s + 0.05
        sensitivity, step = hold_rate(measured, wanted, sensitivity, step)
        assert -1 <= sensitivity <= 1
        changed_s = t_s if step else changed_s
    return sensitivity, changed_s


def sensors(count: int) -> Iterator[tuple[Response, float, float]]:
    """Yield random sensors, a rate that each can reach, and where its sensitivity starts."""
    rng = np.random.default_rng(42)
    for _ in range(count):
        sensor = Response(
            signal_per_s=10 ** rng.uniform(3, 6),
            threshold=rng.uniform(0.15, 0.35),
            noise=rng.uniform(0.03, 0.12),
            noise_per_s=10 ** rng.uniform(5, 8.5),
            sway=rng.choice([0, 0.2]),
        )
        least, most = sensor.at(-1, 0), sensor.at(1, 0)
        yield sensor, math.exp(rng.uniform(math.log(1.1 * least), math.log(most / 1.1))), rng.uniform(-1, 1)


class TestLaw:
    def test_any_sensor_is_brought_to_the_wanted_rate_within_five_seconds_and_stays_there(self) -> None:
        for sensor, wanted, start in sensors(200):
            sensitivity, changed_s = held(sensor.at, wanted, start)
            mean = np.mean([sensor.at(sensitivity, t_s) for t_s in np.arange(0, 10 / 1.3, 0.01)])
            assert abs(math.log(mean / wanted)) < math.log(1.6), (sensor, wanted, start)
            assert changed_s <= SOON_S, (sensor, wanted, start)

    def test_a_rate_near_the_wanted_one_changes_nothing(self) -> None:
        assert held(lambda *_: 20_000, 28_000) == (0.0, 0.0)

    def test_a_rate_at_rest_is_corrected_when_it_is_far_off(self) -> None:
        assert hold_rate(Measured(20_000), 10_000, 0.5, 0.0)[0] < 0.5

    @pytest.mark.parametrize(("signal_hz", "wanted", "end"), [(2e4, 1e9, 1.0), (2e4, 1.0, -1.0), (0.0, 1e9, 1.0)])
    def test_a_rate_out_of_reach_ends_at_the_limit(self, signal_hz: float, wanted: float, end: float) -> None:
        sensitivity, changed_s = held(replace(Response(), signal_per_s=signal_hz).at, wanted)
        assert sensitivity == end
        assert changed_s <= SOON_S

    def test_noise_is_turned_down_and_a_still_scene_not_turned_into_it(self) -> None:
        assert held(lambda sensitivity, t_s: 500.0, 20_000, noise=0.9) == (0.0, 0.0)
        assert held(replace(Response(), noise=0.15).at, 20_000, noise=0.9)[0] < 0


DIM = Light(luminance=0.02, bandwidth_hz=30.0)
NOISY, VERY_NOISY = Light(noise=0.09, bandwidth_hz=400.0), Light(noise=0.12, bandwidth_hz=400.0)


@dataclass(frozen=True)
class Seen:
    """What a simulated sensor has sent, and what it was set to, by when (µs)."""

    events: Events
    settings: list[tuple[int, SensorSettings]]
    noise_share: float

    def per_s(self, from_s: float, to_s: float) -> float:
        t_s = self.events["t"] / 1e6
        return float(np.count_nonzero((t_s >= from_s) & (t_s < to_s))) / (to_s - from_s)


@cache
def seen(light: Light, wanted: float | None, gesture: str, seconds: float) -> Seen:
    sensor = SimulatedSensor(light, gesture=gesture, seconds=seconds)
    control = SensorControl()
    control.attach(sensor)
    if wanted is not None:
        control.change(SensorSettings(hold_events_per_s=wanted))
    begun_us, parts, settings = sensor.now_us, [], []
    while (events := sensor.poll()) is not None:
        parts.append(events)
        before = len(sensor.configured)
        control.follow(events, sensor.now_us)
        settings += [(sensor.now_us - begun_us, each) for each in sensor.configured[before:]]
    whole = np.concatenate(parts)
    whole["t"] -= begun_us
    return Seen(whole, settings, control.now.noise_share)


class TestSimulatedSensors:
    """A person waves at a sensor that responds as published."""

    @pytest.mark.timeout(300)
    @pytest.mark.parametrize(
        ("light", "gesture", "before", "wanted"),
        [
            (DIM, "right_hand_wave", (1_500, 4_000), 8_000.0),
            (NOISY, "right_hand_wave", (90_000, 400_000), 15_000.0),
        ],
        ids=["dim", "noisy"],
    )
    def test_the_wanted_rate_is_there_within_five_seconds_and_the_limits_are_kept(
        self, light: Light, gesture: str, before: tuple[float, float], wanted: float
    ) -> None:
        first = seen(light, None, gesture, 1.0)
        assert before[0] < first.per_s(0.3, 1.0) < before[1]
        held = seen(light, wanted, gesture, 7.0)
        assert wanted / 1.5 < held.per_s(SOON_S, 7.0) < wanted * 1.5
        assert held.settings[-1][0] <= SOON_S * 1e6
        for _, settings in held.settings:
            for bias in DAVIS346.biases:
                assert bias.least <= settings.bias_values(DAVIS346)[bias.name] <= bias.most

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    @pytest.mark.parametrize(("light", "wanted"), [(DIM, 8_000.0), (VERY_NOISY, 15_000.0)], ids=["dim", "noisy"])
    def test_the_shipped_model_recognises_the_same_person_once_the_rate_is_held(
        self, light: Light, wanted: float
    ) -> None:
        def decided(held: float | None) -> Counter[str | None]:
            events = seen(light, held, "right_hand_wave", 6.0).events
            rows = decide_all(FakeSource([events], resolution=SENSOR, live=False), RunOptions("gestures"))
            return Counter(row.decision for row in rows if isinstance(row, Row) and row.t > 3e6)

        before, after = decided(None), decided(wanted)
        assert before["right_hand_wave"] <= 0.5 * before.total()
        assert after["right_hand_wave"] >= 0.9 * after.total()

    @pytest.mark.timeout(300)
    def test_noise_is_told_from_a_person(self) -> None:
        assert seen(Light(), None, "right_hand_wave", 2.0).noise_share < 0.3
        assert seen(NOISY, None, "right_hand_wave", 1.0).noise_share > 0.8


class TestBiases:
    def test_a_dial_reaches_both_ends_and_the_middle_is_the_drivers_own(self) -> None:
        bias = Bias("diff_on", 0, -150, 200, "sensitivity", 140, -85)
        assert [bias.at(dial) for dial in (-1, -0.5, 0, 0.5, 1)] == [140, 70, 0, -42, -85]

    def test_no_dial_leaves_a_biass_limits(self) -> None:
        bias = Bias("contrast", 9, 0, 17, "sensitivity", 40, -30)
        assert [bias.at(dial) for dial in (-9, -1, 1, 9)] == [17, 17, 0, 0]

    def test_a_threshold_of_currents_follows_the_logarithm_of_their_ratio(self) -> None:
        at = [thresholds_of(SensorSettings(sensitivity=dial).bias_values(DAVIS346))[0] for dial in (-1, 0, 1)]
        assert at[1] == pytest.approx(0.249, abs=0.001)
        assert at[0] / at[1] == pytest.approx(1.8, rel=0.02)
        assert at[2] / at[1] == pytest.approx(0.45, rel=0.02)

    def test_more_sensitive_is_a_lower_threshold_all_the_way(self) -> None:
        dials = np.linspace(-1, 1, 41)
        both = [thresholds_of(SensorSettings(sensitivity=dial).bias_values(DAVIS346)) for dial in dials]
        assert np.all(np.diff(both, axis=0) <= 0)

    def test_a_persons_own_bias_is_not_moved_by_the_dials(self) -> None:
        settings = SensorSettings(sensitivity=1.0, biases={"on": 1500})
        assert settings.bias_values(DAVIS346)["on"] == 1500

    @pytest.mark.parametrize("name", PRESETS)
    def test_a_preset_sets_the_dials_and_leaves_the_rest(self, name: str) -> None:
        before = SensorSettings(region=Region(0, 0, 9, 9), hold_events_per_s=5e4, biases={"on": 1500})
        after = with_preset(before, name)
        assert (after.sensitivity, after.speed) == PRESETS[name]
        assert after.hold_events_per_s is None
        assert (after.region, after.biases) == (before.region, before.biases)


class TestSettings:
    ABLE = Abilities(DAVIS346.biases, region=True, rate_limit=True)

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            (SensorSettings(biases={"onn": 3}), "no bias 'onn'"),
            (SensorSettings(biases={"on": 9999}), "can't be 9999: give 1 to 2047"),
            (SensorSettings(region=Region(100, 0, 29, 1)), "128×128"),
            (SensorSettings(region=Region(0, 0, 0, 5)), "128×128"),
            (SensorSettings(clock="external"), "the clock 'external'"),
        ],
    )
    def test_what_a_camera_cannot_do_is_said(self, settings: SensorSettings, says: str) -> None:
        with pytest.raises(SourceError, match=says):
            settings.check(self.ABLE, SENSOR, "DAVIS346 1")

    def test_what_it_can_is_taken(self) -> None:
        settings = SensorSettings(
            sensitivity=0.5, biases={"on": 3}, region=Region(0, 0, 128, 128),
            limit_events_per_s=1e6,
        )  # fmt: skip
        settings.check(self.ABLE, SENSOR, "DAVIS346 1")

    def test_a_camera_without_abilities_takes_none(self) -> None:
        AS_THE_DRIVER_SETS_IT.check(Abilities(), SENSOR, "other")
        for settings in (
            SensorSettings(sensitivity=0.5),
            SensorSettings(hold_events_per_s=5.0),
            SensorSettings(speed=1.0),
            SensorSettings(region=Region(0, 0, 1, 1)),
            SensorSettings(limit_events_per_s=1e6),
        ):
            with pytest.raises(SourceError, match="leave it out"):
                settings.check(Abilities(), SENSOR, "other")

    def test_a_file_gives_back_what_was_saved(self, tmp_path: Path) -> None:
        settings = SensorSettings(
            sensitivity=0.25, speed=-1.0, hold_events_per_s=3e4, biases={"refr": 9}, region=Region(1, 2, 3, 4),
            limit_events_per_s=1e6, clock="output",
        )  # fmt: skip
        path = tmp_path / "new" / "camera.json"
        save_settings(path, settings, "Prophesee EVK4")
        assert load_settings(path) == settings
        assert json.loads(path.read_text())["camera"] == "Prophesee EVK4"

    def test_a_file_may_say_only_what_it_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "camera.json"
        path.write_text('{"camera": "DVXplorer", "settings": {"sensitivity": 0.5, "masked": []}}')
        assert load_settings(path) == SensorSettings(sensitivity=0.5)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            '{"camera": "x", "settings": {"sensitivity": 2}}',
            '{"camera": "x", "settings": {"region": 1}}',
            '{"camera": "x", "settings": {"sensitivty": 0.5}}',
        ],
    )
    def test_a_file_of_something_else_is_an_error_in_one_line(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "camera.json"
        path.write_text(text)
        with pytest.raises(DataError, match="not a file of camera settings") as raised:
            load_settings(path)
        assert "\n" not in str(raised.value)

    def test_no_file_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="no such file"):
            load_settings(tmp_path / "camera.json")


class TestNoise:
    def test_even_events_are_noise_however_few(self) -> None:
        for count in (500, 5_000, 100_000):
            assert np.mean([noise_share(spread(count, each, 1.0), SENSOR) for each in range(10)]) > 0.9

    def test_events_in_a_part_of_the_picture_are_signal_and_both_are_told_apart(self) -> None:
        noise, signal = spread(10_000, 0, 1.0), spread(20_000, 0, 1.0)
        for name in "xy":
            signal[name] = 30 + signal[name] // 8
        assert noise_share(signal, SENSOR) == 0
        assert noise_share(np.concatenate([noise, signal]), SENSOR) == pytest.approx(1 / 3, rel=0.1)

    def test_nothing_is_neither(self) -> None:
        assert math.isnan(noise_share(spread(0, 0, 0), SENSOR))


class Scripted:
    """A `Driver` that notes what it is set to, or refuses."""

    name = "DAVIS346 1"
    resolution = SENSOR
    abilities = Abilities(DAVIS346.biases, region=True)
    dropped = 0

    def __init__(self, *, refuses: bool = False) -> None:
        self.configured: list[SensorSettings] = []
        self._refuses = refuses

    def configure(self, settings: SensorSettings) -> None:
        if self._refuses:
            raise SourceError("refused: choose others")
        self.configured.append(settings)

    def poll(self) -> Events | None:
        return None

    def close(self) -> None:
        """Do nothing."""


class Sending(Scripted):
    """One that sends an event every 10 ms, from a Unix time on."""

    def __init__(self) -> None:
        super().__init__()
        self._next_us = 1_700_000_000_000_000

    def poll(self) -> Events | None:
        events = np.zeros(1, EVENTS_DTYPE)
        events["t"] = self._next_us
        self._next_us += 10_000
        time.sleep(0.01)
        return events


def spread(per_s: int, from_s: float, seconds: float) -> Events:
    """Return events all over the sensor, evenly in time."""
    events = np.zeros(round(per_s * seconds), EVENTS_DTYPE)
    rng = np.random.default_rng(round(from_s * 10))
    events["t"] = np.linspace(from_s * 1e6, (from_s + seconds) * 1e6, events.size, endpoint=False)
    events["x"], events["y"] = rng.integers(0, 128, (2, events.size))
    return events


class TestCommands:
    @pytest.mark.parametrize("command", ["run", "record", "serve"])
    def test_what_is_no_event_camera_takes_no_settings(
        self, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "camera.json"
        save_settings(path, SensorSettings(sensitivity=0.5), "DVXplorer")
        out = [str(tmp_path / "out.aedat4")] if command == "record" else []
        ports = ["--events", "0"] if command == "serve" else []
        assert main([command, "simulate:gestures", *out, *ports, "--bias", str(path)]) == 1
        said = f"livesnn {command}: simulate:gestures has no sensor to set up: leave --bias out"
        assert capsys.readouterr().err.startswith(said)

    @pytest.mark.parametrize("command", ["run", "gui"])
    def test_a_file_that_is_not_there_is_one_line(
        self, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([command, "camera", "--bias", str(tmp_path / "none.json")]) == 1
        assert "none.json: no such file: give the path of a file of camera settings" in capsys.readouterr().err

    def test_a_commands_camera_is_set_up_as_the_file_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        driver = Sending()
        vendor = SimpleNamespace(
            discover=lambda: [Device("camera", "camera:1", "DAVIS346", "1", SENSOR)],
            open=lambda serial: driver,
        )
        monkeypatch.setattr("livesnn.events.cameras.discovery.InivationCameras", lambda: vendor)
        path = tmp_path / "camera.json"
        save_settings(path, SensorSettings(sensitivity=0.5), "DAVIS346")
        out = tmp_path / "out.aedat4"
        assert main(["record", "camera:1", str(out), "--seconds", "0.3", "--bias", str(path)]) == 0
        assert driver.configured == [SensorSettings(sensitivity=0.5)]
        with open_recording(out) as recording:
            assert time.time_ns() // 1000 - recording.t_start < 60_000_000  # Unix time


class TestControl:
    def test_a_camera_that_nobody_sets_up_is_left_as_its_driver_sets_it(self) -> None:
        driver, control = Scripted(), SensorControl()
        control.attach(driver)
        control.follow(spread(1000, 0, 1), None)
        assert driver.configured == []

    def test_settings_reach_the_camera_in_the_thread_that_reads_it(self) -> None:
        driver, control = Scripted(), SensorControl()
        control.attach(driver)
        control.change(SensorSettings(sensitivity=0.5))
        assert driver.configured == []
        control.follow(spread(1000, 0, 0.1), None)
        assert driver.configured == [SensorSettings(sensitivity=0.5)]

    def test_what_a_camera_cannot_do_is_refused_at_once(self) -> None:
        control = SensorControl()
        control.attach(Scripted())
        with pytest.raises(SourceError, match="no bias"):
            control.change(SensorSettings(biases={"fo": 3}))
        assert control.settings == AS_THE_DRIVER_SETS_IT

    def test_a_camera_that_refuses_is_an_error_and_goes_on(self) -> None:
        control = SensorControl()
        control.attach(Scripted(refuses=True))
        control.change(SensorSettings(sensitivity=0.5))
        control.follow(spread(1000, 0, 0.1), None)
        assert control.error == "refused: choose others"

    def test_rate_and_noise_are_measured(self) -> None:
        control = SensorControl()
        control.attach(Scripted())
        for second in range(3):
            control.follow(spread(20_000, second, 1.0), None)
        assert control.now.events_per_s == pytest.approx(20_000, rel=0.05)
        assert control.now.noise_share > 0.8
        control.change(SensorSettings(sensitivity=-0.5))
        for second in range(3, 8):
            for part in range(10):
                control.follow(spread(5_000, second + part / 10, 0.1), None)
        assert control.now.events_per_s == pytest.approx(5_000, rel=0.1)

    def test_time_goes_by_in_silence(self) -> None:
        control = SensorControl()
        control.attach(Scripted())
        control.follow(spread(20_000, 0, 1.0), None)
        for tenth in range(11, 40):
            control.follow(spread(0, 0, 0), tenth * 100_000)
        assert control.now.events_per_s < 500
