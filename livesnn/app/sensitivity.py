"""The dock "Sensitivity": how an event camera's sensor is set up, and what comes of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDockWidget,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.widgets.basics import (
    NOTHING,
    STRETCH,
    button,
    fill,
    help_button,
    label,
    note,
    number_box,
    scrolled,
)
from livesnn.app.window_layout import WindowLayout
from livesnn.errors import SourceError
from livesnn.events.cameras.sensitivity import PRESETS, Region, SensorSettings, with_preset
from livesnn.events.cameras.sensor_control import Measured, SensorControl
from livesnn.events.packet import Resolution

WIDTH = 320  # pixels
SHOWN_S = 0.2  # between two numbers, so that people can read them
WHOLE = 100  # steps of a slider to each side
NO_CAMERA = "Open an event camera (Ctrl+K) whose driver can change its sensor's settings"
SET_UP = "Set up the camera's sensor"
_HOLD_TIP = "Adjusts the sensitivity to keep this event rate. It isn't raised while four in five events are noise."
_REGION_TIP = "Only this part of the sensor sends events. Left, top, width and height, in the sensor's own pixels."


class SensitivityDock(QDockWidget):
    """The dock, empty until a camera is open; `poll` follows it."""

    def __init__(self, window: WindowLayout) -> None:
        super().__init__("Sensitivity", window)
        self.setObjectName("sensitivity")  # by which Qt remembers where it was
        self._window, self._player = window, window.player
        self.panel: SensorPanel | None = None  # of the camera that is open
        self._sensor: SensorControl | None = None
        self._shown_s = 0.0
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self)
        self.hide()

    def poll(self) -> None:
        opened = self._player.opened
        if opened is None:  # the same camera may come again, turned otherwise
            return
        sensor = self._settable()
        self._window.commands["sensitivity"].setChecked(self.isVisible())
        if sensor is None:
            self.hide()
        if sensor is not self._sensor:
            self._follow(sensor, opened.playback.serial)
        now_s = time.perf_counter()
        if self.panel is not None and self.isVisible() and now_s - self._shown_s >= SHOWN_S:
            self._shown_s = now_s
            self.panel.follow()

    def why_not(self) -> str:
        """Say why no sensor can be set up now; "": one can."""
        return NO_CAMERA if self._settable() is None else ""

    def _settable(self) -> SensorControl | None:
        sensor = None if self._player.opened is None else self._player.opened.playback.sensor
        return sensor if sensor is not None and sensor.abilities.biases else None

    def _follow(self, sensor: SensorControl | None, serial: str) -> None:
        self._sensor, self.panel = sensor, None
        if sensor is None:
            self.setWidget(QWidget())
            return
        self.panel = SensorPanel(sensor, partial(self._player.camera_files.change, sensor, serial))
        area = scrolled(self.panel, down_only=True)
        area.setMinimumWidth(WIDTH)
        self.setWidget(area)


class SensorPanel(QWidget):
    """What can be set of one camera; ``change_to`` does it, and raises SourceError where it can't be."""

    def __init__(self, sensor: SensorControl, change_to: Callable[[SensorSettings], None]) -> None:
        super().__init__()
        self._sensor, self._change_to = sensor, change_to
        able, size = sensor.abilities, sensor.resolution
        self.presets = {name: button(name.capitalize(), height=30, name="narrow") for name in PRESETS}
        self.sensitivity = _slider("Sensitivity", "a lower threshold, with more events and more noise")
        self.speed = _slider("Speed", "faster pixels, with less delay and more noise")
        self.hold = QCheckBox("Hold the rate")
        self.hold.setToolTip(_HOLD_TIP)
        self.held = _rate("Rate that is held")
        self.held.setValue(usual_rate(size) / 1e3)
        self.rates = label("", style.text_font(13))
        self.region = QCheckBox("Only a region")
        self.region.setToolTip(_REGION_TIP)
        corners = {"Left": size.width - 1, "Top": size.height - 1, "Width": size.width, "Height": size.height}
        self.corners = [_number(name, 0, most) for name, most in corners.items()]
        self.limit = QCheckBox("Limit the rate")
        self.limit.setToolTip("The sensor itself drops what is beyond this rate")
        self.limited = _rate("Rate limit")
        self.limited.setValue(1000.0)
        self.own = QCheckBox("The driver's own biases")
        self.biases = {bias.name: _number(bias.name, bias.least, bias.most) for bias in able.biases}
        self.reset = button("Defaults", height=30, do=lambda: self.change(SensorSettings()))
        self.error = label("", style.text_font(13), "danger", wrap=True)
        for box in (self.hold, self.region, self.limit, self.own):
            box.setFont(style.text_font(14))
        self._lay_out()
        self._connect()
        self._show_settings()

    def _lay_out(self) -> None:
        able = self._sensor.abilities
        sliders = QFormLayout()
        for name, slider in (("Sensitivity", self.sensitivity), ("Speed", self.speed)):
            sliders.addRow(label(name, style.text_font(14)), slider)
        sliders.setRowVisible(self.speed, able.has("speed"))
        own = QFormLayout()
        for name, box in self.biases.items():
            own.addRow(label(name.replace("_", " "), style.text_font(13)), box)
        self._own = QWidget()
        self._own.setLayout(own)
        self._own.hide()
        title = label(self._sensor.camera, style.bold_font(15), wrap=True)
        fill(
            QVBoxLayout(self),
            fill(QHBoxLayout(), (title, 1), help_button("cameras.md#sensitivity", "Sensitivity"), spacing=8),
            fill(QHBoxLayout(), *self.presets.values(), spacing=6),
            sliders,
            fill(QHBoxLayout(), (self.hold, 1), self.held, spacing=6),
            self.rates,
            fill(QHBoxLayout(), (self.limit, 1), self.limited, spacing=6),
            self.region,
            fill(QHBoxLayout(), *self.corners, spacing=6),
            self.own,
            self._own,
            self.reset,
            self.error,
            note("Saved for this camera, by its serial number."),
            STRETCH,
            spacing=10,
            margins=(4, 8, 12, 8),
        )
        for widgets, shown in (
            ([*self.presets.values(), self.hold, self.held, self.sensitivity], able.has("sensitivity")),
            ([self.limit, self.limited], able.rate_limit),
            ([self.region, *self.corners], able.region),
        ):
            for widget in widgets:
                widget.setVisible(shown)

    def _connect(self) -> None:
        for name, preset in self.presets.items():
            preset.clicked.connect(lambda _=False, name=name: self.change(with_preset(self._sensor.settings, name)))
        self.sensitivity.valueChanged.connect(
            lambda value: self._set(sensitivity=value / WHOLE, hold_events_per_s=None)
        )
        self.speed.valueChanged.connect(lambda value: self._set(speed=value / WHOLE))
        for changed in (self.hold.toggled, self.held.valueChanged):
            changed.connect(lambda _: self._change_hold())
        corners = (corner.valueChanged for corner in self.corners)
        for changed in (self.limit.toggled, self.limited.valueChanged, self.region.toggled, *corners):
            changed.connect(lambda _: self._change_limits())
        self.own.toggled.connect(self._own.setVisible)
        for name, box in self.biases.items():
            box.valueChanged.connect(
                lambda value, name=name: self._set(biases={**self._sensor.settings.biases, name: value})
            )

    def change(self, settings: SensorSettings) -> None:
        """Set the sensor up this way, and show that; where it can't be, say why."""
        refused = ""
        try:
            self._change_to(settings)
        except SourceError as error:
            refused = str(error)
        self.error.setText(refused)
        self._show_settings()

    def _set(self, **fields: Any) -> None:
        self.change(replace(self._sensor.settings, **fields))

    def _change_hold(self) -> None:
        held = self.hold.isChecked()
        if held or self._sensor.settings.hold_events_per_s is not None:
            wanted = self.held.value() * 1e3 if held else None
            # The sensitivity stays where it is: a search begins there, or what was found is kept.
            self._set(sensitivity=self._sensor.sensitivity, hold_events_per_s=wanted)

    def _change_limits(self) -> None:
        limited = self.limited.value() * 1e3 if self.limit.isChecked() else None
        region = Region(*(corner.value() for corner in self.corners)) if self.region.isChecked() else None
        settings = replace(self._sensor.settings, limit_events_per_s=limited, region=region)
        if settings != self._sensor.settings:
            self.change(settings)

    def _show_settings(self) -> None:
        settings = self._sensor.settings
        values = settings.bias_values(self._sensor.abilities)
        shown: dict[QSlider | QSpinBox, int] = {
            self.speed: round(settings.speed * WHOLE),
            **{box: values[name] for name, box in self.biases.items()},
        }
        region = settings.region or Region(0, 0, *self._sensor.resolution)
        shown |= dict(zip(self.corners, region, strict=True))
        _show(shown)
        for box, rate, value in (
            (self.hold, self.held, settings.hold_events_per_s),
            (self.limit, self.limited, settings.limit_events_per_s),
        ):
            with QSignalBlocker(box), QSignalBlocker(rate):
                box.setChecked(value is not None)
                if value is not None:
                    rate.setValue(value / 1e3)
        with QSignalBlocker(self.region):
            self.region.setChecked(settings.region is not None)
        for corner in self.corners:
            corner.setEnabled(settings.region is not None)
        self.follow()

    def follow(self) -> None:
        sensor = self._sensor
        _show({self.sensitivity: round(sensor.sensitivity * WHOLE)})
        self.sensitivity.setEnabled(sensor.settings.hold_events_per_s is None)
        self.rates.setText(f"Now: {in_words(sensor.now)}")
        if sensor.error:
            self.error.setText(sensor.error)
        self.error.setVisible(bool(self.error.text()))


def usual_rate(sensor: Resolution) -> float:
    """Return the events a second that a gesture usually has on a sensor: its edges grow as the sensor's side."""
    return round(20_000 * math.sqrt(sensor.width * sensor.height) / 128, -3)


def in_words(measured: Measured) -> str:
    if math.isnan(measured.events_per_s):
        return NOTHING
    noise = "" if math.isnan(measured.noise_share) else f", of which {measured.noise_share:.0%} noise"
    return f"{measured.events_per_s / 1e3:,.1f} kev/s{noise}"


def _show(values: Mapping[QSlider | QSpinBox, int]) -> None:
    """Show values without a signal, except where a person is moving the slider."""
    for widget, value in values.items():
        if not (isinstance(widget, QSlider) and widget.isSliderDown()):
            with QSignalBlocker(widget):
                widget.setValue(value)


def _slider(name: str, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(-WHOLE, WHOLE)
    slider.setTickInterval(WHOLE)
    slider.setTickPosition(QSlider.TickPosition.TicksBelow)
    slider.setAccessibleName(name)
    slider.setToolTip(f"To the right: {tip}")
    return slider


def _number(name: str, least: int, most: int) -> QSpinBox:
    box = number_box(QSpinBox(), name, least, most)
    box.setToolTip(f"{name}: {least} to {most}")
    return box


def _rate(name: str) -> QDoubleSpinBox:
    box = number_box(QDoubleSpinBox(), name, 0.1, 1e6, unit=" kev/s", width=120)
    box.setDecimals(1)
    return box
