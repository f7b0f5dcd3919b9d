"""What is remembered of a camera: how it is mounted, and how its sensor is set up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import livesnn
from livesnn.events.cameras.sensitivity import SensorSettings
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.filters import Orientation
from livesnn.session.camera_settings import CameraFiles, camera_name
from livesnn.session.session import Session
from tests.simulated_sensor import Light, SimulatedSensor
from tests.waiting import eventually


def test_a_session_decides_on_a_turned_source_as_livesnn_run_does(
    play: Callable[..., Session], model_folder: Path, recording: Path
) -> None:
    session = play(recording, speed=float("inf"), orientation=Orientation(2))
    eventually(lambda: session.control.state == "ended")
    decided = [decision.label for decision in session.take_decisions()]

    def run(orientation: Orientation) -> list[str | None]:
        results = livesnn.run(recording, model_folder, orientation=orientation)
        return [result.decision for result in results if result.window_end]

    assert decided == run(Orientation(2)) != run(Orientation())


@pytest.mark.parametrize(
    ("source", "serial", "name"),
    [
        ("camera", "DXA1", "DXA1"),
        ("camera:DXA1", "DXA1", "DXA1"),
        ("tcp://[::1]:7777", "", "tcp://[::1]:7777"),
        ("simulate:gestures", "", ""),
        ("wave.aedat4", "", ""),
        (Path("wave.aedat4"), "", ""),
    ],
)
def test_cameras_are_known_by_serial_number_and_streams_by_address(source: object, serial: str, name: str) -> None:
    assert camera_name(source, serial) == name


def sensor_control() -> SensorControl:
    control = SensorControl()
    control.attach(SimulatedSensor(Light(), seconds=0.1))
    return control


def test_a_sensor_is_set_up_as_it_was_changed_last(tmp_path: Path) -> None:
    settings = SensorSettings(sensitivity=0.5, hold_events_per_s=2e4)
    CameraFiles(tmp_path).change(sensor_control(), "DA/1", settings)
    same, other = sensor_control(), sensor_control()
    assert CameraFiles(tmp_path).set_up(same, "DA/1") == ""
    assert CameraFiles(tmp_path).set_up(other, "DA/2") == ""
    assert (same.settings, other.settings) == (settings, SensorSettings())


def test_given_settings_replace_the_remembered_ones_and_are_not_remembered(tmp_path: Path) -> None:
    CameraFiles(tmp_path).change(sensor_control(), "1", SensorSettings(sensitivity=0.5))
    given, later = sensor_control(), sensor_control()
    assert CameraFiles(tmp_path, SensorSettings(speed=1.0)).set_up(given, "1") == ""
    assert given.settings == SensorSettings(speed=1.0)
    CameraFiles(tmp_path).set_up(later, "1")
    assert later.settings == SensorSettings(sensitivity=0.5)


@pytest.mark.parametrize("text", ["{", '{"camera": "x", "settings": {"biases": {"diff_on": 3}}}'])
def test_settings_that_cannot_be_used_are_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors" / "1.json").write_text(text)
    control = sensor_control()
    said = CameraFiles(tmp_path).set_up(control, "1")
    assert said.startswith("the sensor is set up as its driver does: ")
    assert "\n" not in said
    assert control.settings == SensorSettings()


def test_where_there_is_no_folder_nothing_is_remembered() -> None:
    control = sensor_control()
    CameraFiles(None).change(control, "1", SensorSettings(sensitivity=0.5))
    assert control.settings == SensorSettings(sensitivity=0.5)
    assert CameraFiles(None).set_up(sensor_control(), "1") == ""
