"""The dock "Sensitivity" sets a camera's sensor up, shows what comes of it, and remembers it for that camera."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.sensitivity import SensorPanel, usual_rate
from livesnn.app.settings import SettingsFile
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.cameras.driver import Device, Driver
from livesnn.events.cameras.sensitivity import Region, SensorSettings, load_settings
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.packet import Resolution
from tests.simulated_sensor import DAVIS346, Light, SimulatedSensor
from tests.synthetic import moving_bar, write_recording

from .conftest import MakeWindow

WAIT_MS = 30_000


class Sensors:
    """A `Cameras` with one simulated sensor, of this serial number."""

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.sensor = SimulatedSensor(Light(), seconds=60.0)

    def discover(self) -> list[Device]:
        return [Device("camera", f"camera:{self.serial}", "DAVIS346", self.serial, None)]

    def open(self, serial: str) -> Driver:
        return self.sensor


def play(qtbot: QtBot, window: MainWindow, serial: str = "DA1") -> SimulatedSensor:
    sensors = Sensors(serial)
    window.open(open_camera("camera", cameras=sensors))
    qtbot.waitUntil(lambda: window.player.opened is not None, timeout=WAIT_MS)
    return sensors.sensor


def opened_panel(qtbot: QtBot, window: MainWindow) -> SensorPanel:
    qtbot.waitUntil(lambda: window.commands["sensitivity"].isEnabled(), timeout=WAIT_MS)
    window.commands["sensitivity"].trigger()
    panel = window.sensitivity.panel
    assert panel is not None
    return panel


@pytest.mark.timeout(180)
def test_slider_presets_and_biases_reach_the_sensor_and_the_rate_is_shown(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window = make_window()
    sensor = play(qtbot, window)
    panel = opened_panel(qtbot, window)

    def follows(settings: SensorSettings) -> None:
        qtbot.waitUntil(lambda: sensor.settings == settings, timeout=WAIT_MS)

    assert sensor.configured == []
    qtbot.waitUntil(lambda: "kev/s" in panel.rates.text(), timeout=WAIT_MS)
    panel.sensitivity.setValue(50)
    follows(SensorSettings(sensitivity=0.5))
    panel.presets["fast"].click()
    follows(SensorSettings(sensitivity=-0.2, speed=1.0))
    assert (panel.sensitivity.value(), panel.speed.value()) == (-20, 100)
    panel.own.setChecked(True)
    panel.biases["refractory"].setValue(900)
    follows(SensorSettings(sensitivity=-0.2, speed=1.0, biases={"refractory": 900}))
    panel.reset.click()
    follows(SensorSettings())
    assert panel.biases["refractory"].value() == 3 << 8 | 225
    qtbot.waitUntil(lambda: "noise" in panel.rates.text(), timeout=WAIT_MS)


@pytest.mark.timeout(180)
def test_a_held_rate_moves_the_slider_and_what_was_found_stays_when_it_is_let_go(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window = make_window()
    sensor = play(qtbot, window)
    panel = opened_panel(qtbot, window)
    panel.held.setValue(40.0)
    panel.hold.setChecked(True)
    qtbot.waitUntil(lambda: panel.sensitivity.value() > 10, timeout=WAIT_MS)
    assert not panel.sensitivity.isEnabled()
    panel.hold.setChecked(False)
    found = panel.sensitivity.value()
    assert found > 10
    qtbot.waitUntil(lambda: sensor.settings.hold_events_per_s is None, timeout=WAIT_MS)
    assert round(100 * sensor.settings.sensitivity) == found


@pytest.mark.timeout(180)
def test_settings_are_remembered_for_the_camera_and_no_other(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    window = make_window(settings=settings)
    play(qtbot, window, "DA1")
    opened_panel(qtbot, window).presets["dim"].click()
    assert load_settings(tmp_path / "sensors" / "DA1.json") == SensorSettings(sensitivity=0.5, speed=-0.5)
    window.close()
    later = make_window(settings=settings)
    same = play(qtbot, later, "DA1")
    qtbot.waitUntil(lambda: same.settings == SensorSettings(sensitivity=0.5, speed=-0.5), timeout=WAIT_MS)
    other = play(qtbot, later, "DA2")
    qtbot.waitUntil(lambda: later.player.opened is not None, timeout=WAIT_MS)
    assert other.configured == []


def test_what_a_camera_cannot_do_is_not_offered(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    play(qtbot, window)
    panel = opened_panel(qtbot, window)
    assert panel.sensitivity.isVisible()
    for part in (panel.region, panel.limit, *panel.corners):
        assert not part.isVisible()


def test_without_a_camera_there_is_nothing_to_set(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    window.open(str(write_recording(tmp_path / "bar.npz", moving_bar(1_000_000))))
    qtbot.waitUntil(lambda: window.player.opened is not None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not window.commands["sensitivity"].isEnabled(), timeout=WAIT_MS)
    assert "Open an event camera" in window.commands["sensitivity"].toolTip()
    assert window.sensitivity.panel is None


def test_a_panel_of_everything_changes_region_and_limit(qtbot: QtBot) -> None:
    sensor = SimulatedSensor(Light(), seconds=1.0)
    sensor.abilities = replace(DAVIS346, region=True, rate_limit=True)
    control = SensorControl()
    control.attach(sensor)
    panel = SensorPanel(control, control.change)
    qtbot.addWidget(panel)
    panel.region.setChecked(True)
    panel.corners[2].setValue(100)
    panel.corners[0].setValue(28)
    assert control.settings.region == Region(28, 0, 100, 128)
    panel.corners[0].setValue(29)
    assert "keep its region" in panel.error.text()
    assert control.settings.region == Region(28, 0, 100, 128)
    assert panel.corners[0].value() == 28
    panel.region.setChecked(False)
    panel.limited.setValue(500.0)
    panel.limit.setChecked(True)
    assert (control.settings.region, control.settings.limit_events_per_s) == (None, 500_000)


@pytest.mark.parametrize(("sensor", "rate"), [((128, 128), 20_000), ((1280, 720), 150_000)])
def test_the_proposed_rate_grows_with_the_sensor(sensor: tuple[int, int], rate: float) -> None:
    assert usual_rate(Resolution(*sensor)) == rate
