"""How the window looks by a person's choice, remembered: palette, view, theme, layout. Not here: style.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QApplication

from livesnn.app.actions import Actions
from livesnn.app.layout import WindowLayout
from livesnn.app.look import style
from livesnn.app.settings import Settings, ThemeName
from livesnn.session.view import DEFAULT_PALETTE, PALETTES, ViewMode, ViewSpec

ZOOM_STEP = 1.25


class Appearance:
    """Changes what is seen, and keeps it in the settings.

    Parameters
    ----------
    window
        What is changed.
    settings
        Where it is kept.
    show
        Called when `spec` has changed, for whoever makes the pictures.
    """

    def __init__(self, window: WindowLayout, settings: Settings, show: Callable[[], None]) -> None:
        self._window = window
        self._settings = settings
        self._show = show

    @property
    def spec(self) -> ViewSpec:
        """The view as chosen."""
        now = self._settings.now
        palette = now.palette if now.palette in PALETTES else DEFAULT_PALETTE.name
        return ViewSpec(mode=now.view_mode, palette=palette)

    def slots(self) -> dict[str, Callable[..., None]]:
        """Return what to do for the actions that are here."""
        view = self._window.view
        palettes = {f"palette:{name}": lambda name=name: self.set_palette(name) for name in PALETTES}
        return {
            **palettes,
            "mode:decay": lambda: self.set_mode("decay"),
            "mode:accumulate": lambda: self.set_mode("accumulate"),
            "zoom_in": lambda: view.zoom(ZOOM_STEP),
            "zoom_out": lambda: view.zoom(1 / ZOOM_STEP),
            "fit": view.fit,
            "mirror_picture": self.set_mirrored,
            "theme:system": lambda: self.set_theme("system"),
            "theme:light": lambda: self.set_theme("light"),
            "theme:dark": lambda: self.set_theme("dark"),
            "full_screen": self.set_full_screen,
        }

    def restore(self, actions: Actions) -> None:
        """Make everything look as it was left, and check the actions that say so."""
        now = self._settings.now
        self._window.restoreGeometry(QByteArray(now.geometry))
        for name, splitter in self._window.splitters.items():
            if name in now.splitters:
                splitter.restoreState(QByteArray(now.splitters[name]))
        self._window.view.set_mirrored(now.mirrored_picture)
        self._paint_in(self.spec.palette)
        for chosen in (f"palette:{self.spec.palette}", f"mode:{now.view_mode}", f"theme:{now.theme}"):
            actions.check(chosen)
        actions.check("mirror_picture", now.mirrored_picture)
        actions.check("full_screen", self._window.isFullScreen())

    def keep_layout(self) -> None:
        """Remember where the window and its parts are."""
        splitters = {name: splitter.saveState().data() for name, splitter in self._window.splitters.items()}
        if self._window.splitters["cards"].isHidden():  # the window is short now: keep what it was before
            splitters["rows"] = self._settings.now.splitters.get("rows", b"")
        self._settings.change(geometry=self._window.saveGeometry().data(), splitters=splitters)

    def set_palette(self, name: str) -> None:
        """Show events in these colours, from the next picture on."""
        self._settings.change(palette=name)
        self._paint_in(name)
        self._show()

    def _paint_in(self, palette: str) -> None:
        self._window.view.set_palette(PALETTES[palette])
        self._window.window_panel.set_palette(PALETTES[palette])

    def set_mode(self, mode: ViewMode) -> None:
        """Show events fading, or added up."""
        self._settings.change(view_mode=mode)
        self._show()

    def set_mirrored(self, mirrored: bool) -> None:
        """Mirror the picture alone."""
        self._settings.change(mirrored_picture=mirrored)
        self._window.view.set_mirrored(mirrored)

    def set_theme(self, theme: ThemeName) -> None:
        """Dress the whole application."""
        self._settings.change(theme=theme)
        style.use(theme, cast(QApplication, QApplication.instance()))

    def set_full_screen(self, full: bool) -> None:
        """Fill the screen, or go back to what the window was, maybe maximised."""
        now, filling = self._window.windowState(), Qt.WindowState.WindowFullScreen
        self._window.setWindowState(now | filling if full else now & ~filling)
