"""The dock "Plots": when it is built, and how a plot is saved; the plots themselves are in widgets/."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, QStandardPaths, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDockWidget, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import fill, label, save_dialog
from livesnn.app.window_layout import WindowLayout
from livesnn.threads import Worker

if TYPE_CHECKING:
    from livesnn.app.widgets.plots import PlotPanel

HEIGHT = 210  # pixels; less in a low window
_FORMATS = {".png": "Picture (*.png)", ".csv": "Table (*.csv)"}


class PlotsDock(QDockWidget):
    """Plots of the session's last minutes, docked below the picture, at a side, or floating."""

    def __init__(self, window: WindowLayout) -> None:
        super().__init__("Plots", window)
        self.setObjectName("plots")  # by which Qt remembers where it was
        self.panel: PlotPanel | None = None  # None until it is first shown
        self._window = window
        self._import = Worker("plots", _import_panel)
        self.setTitleBarWidget(QWidget())  # none
        self._waiting = label("Loading …", style.text_font(14), "faint")
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        place = _PlotsPlace()
        self._column = fill(QVBoxLayout(place), self._waiting, spacing=0)
        self.setWidget(place)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)
        self.hide()

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to import what draws plots, once: it takes some 0.3 s, for which the window must not wait."""
        self._import.start()
        super().showEvent(event)

    def poll(self) -> None:
        if not self.isVisible() or self._import.running:
            return
        if self._import.error is not None:
            self.hide()
            why = f"The plots can't be shown ({self._import.error}): reinstall livesnn"
            self._window.banner.show_message(why, "error")
            return
        if self.panel is None:
            from livesnn.app.widgets.plots import PlotPanel

            self.panel = panel = PlotPanel(self._window.settings.now.plots)
            panel.chosen_changed.connect(lambda: self._window.settings.change(plots=panel.chosen))
            panel.save_wanted.connect(self.ask_where_to_save)
            panel.float.clicked.connect(lambda _=False: self.setFloating(not self.isFloating()))
            panel.close_button.clicked.connect(self.close)
            self.setTitleBarWidget(panel.bar)
            self._waiting.hide()
            self._column.addWidget(panel)
        elif (session := self._window.player.session) is not None and session.history is not None:
            self.panel.poll(session.history)

    def end(self) -> None:
        self.hide()
        self._import.close()

    def ask_where_to_save(self, name: str) -> None:
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        proposed, use = Path(pictures) / f"{name}.png", partial(self.save, name)
        self._window.show_dialog(save_dialog(self.window(), "Save the plot", proposed, _FORMATS, use))

    def save(self, name: str, path: Path) -> None:
        """Write a plot to a file, and say so; the suffix .png or .csv is the format."""
        if path.suffix.lower() not in _FORMATS:
            why = f"{path.name}: a plot can't have this format: choose .png or .csv"
            self._window.banner.show_message(why, "error")
        elif self.panel is not None:
            self._window.save(path, "the plot", partial(self.panel.save, name, path))


class _PlotsPlace(QWidget):
    """Where the plots are, or will be."""

    def sizeHint(self) -> QSize:
        """Return the room that plots get, before a person changes it."""
        return QSize(600, min(HEIGHT, self.window().height() // 4))


def _import_panel(stop: threading.Event) -> None:
    import livesnn.app.widgets.plots  # noqa: F401
