"""The dock "Plots": when it is built, and how a plot is saved; the plots themselves are in widgets/."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QStandardPaths, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDockWidget

from livesnn.app.widgets.basics import save_dialog
from livesnn.app.window_layout import WindowLayout
from livesnn.session.plot_history import Quantity

if TYPE_CHECKING:
    from livesnn.app.widgets.plots import PlotPanel

_FORMATS = {".png": "Picture (*.png)", ".csv": "Table (*.csv)"}


class PlotsDock(QDockWidget):
    """Plots of the session's last minutes, docked below the picture, at a side, or floating."""

    def __init__(self, window: WindowLayout) -> None:
        super().__init__("Plots", window)
        self.setObjectName("plots")  # by which Qt remembers where it was
        self.panel: PlotPanel | None = None  # None until it is first shown
        self._window = window
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)
        self.hide()

    def showEvent(self, event: QShowEvent) -> None:
        """Make the plots when they are first shown: the import of pyqtgraph takes some 0.3 s."""
        if self.panel is None:
            from livesnn.app.widgets.plots import PlotPanel

            self.panel = panel = PlotPanel(self._window.settings.now.plots)
            panel.chosen_changed.connect(lambda: self._window.settings.change(plots=panel.chosen))
            panel.save_wanted.connect(self.ask_where_to_save)
            panel.float.clicked.connect(lambda _=False: self.setFloating(not self.isFloating()))
            panel.close_button.clicked.connect(self.close)
            self.setTitleBarWidget(panel.bar)
            self.setWidget(panel)
        super().showEvent(event)

    def poll(self) -> None:
        session = self._window.player.session
        if self.panel is not None and self.isVisible() and session is not None and session.history is not None:
            self.panel.poll(session.history)

    def ask_where_to_save(self, name: Quantity) -> None:
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        proposed, use = Path(pictures) / f"{name}.png", partial(self.save, name)
        self._window.show_dialog(save_dialog(self.window(), "Save the plot", proposed, _FORMATS, use))

    def save(self, name: Quantity, path: Path) -> None:
        """Write a plot to a file, and say so; the suffix .png or .csv is the format."""
        if path.suffix.lower() not in _FORMATS:
            why = f"{path.name}: a plot can't have this format: choose .png or .csv"
            self._window.banner.show_message(why, "error")
        elif self.panel is not None:
            self._window.save(path, "the plot", partial(self.panel.save, name, path))
