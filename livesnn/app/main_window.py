"""The window: does what a person asks for by menu, key, button or drop, and remembers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QPushButton

from livesnn.app import style
from livesnn.app.acting import Acting
from livesnn.app.comparing import Comparing
from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.exporting import Exporting
from livesnn.app.menus import TURN, AboutDialog, Actions, ShortcutsDialog, fill_scenes
from livesnn.app.model_dialog import ModelDialog
from livesnn.app.player import Player, Summary
from livesnn.app.recording_controls import RecordingControls
from livesnn.app.sensitivity import SensitivityDock
from livesnn.app.session_display import SessionDisplay
from livesnn.app.settings import Settings, SettingsFile, ThemeName
from livesnn.app.settings_dialog import SettingsDialog
from livesnn.app.source_dialogs import Dropped, DropTarget, Playlist, SourceChooser, dropped, readable_source, some
from livesnn.app.stage import Presenting
from livesnn.app.tabs import Page, Tabs
from livesnn.app.teaching import Correcting, Teaching
from livesnn.app.tour import Tour
from livesnn.app.widgets.basics import open_docs
from livesnn.events.filters import Orientation
from livesnn.infer.model import Engine, Model, only_model_for
from livesnn.infer.run import StateMode
from livesnn.session.event_picture import PALETTES, ViewMode
from livesnn.session.session import Session, SourceLike

POLL_MS = 16
ONE_TAB = "There is only one tab. Open another source in a new one with Ctrl+Shift+N."
ZOOM_STEP = 1.25


class MainWindow(Page):
    """The window with everything it does; the parameters are those of `Player`.

    Without ``settings``, it begins with the defaults and nothing is remembered.
    """

    def __init__(
        self, model: str | Model | None = None, *, engine: Engine | None = None, settings: SettingsFile | None = None
    ) -> None:
        super().__init__()
        self.settings = settings or SettingsFile()
        self.player = Player(model, engine, self.settings)
        self.source_chooser = SourceChooser(self)
        self.recording = RecordingControls(self)
        self.session_display = SessionDisplay(self)
        self.playlist = Playlist(self)
        self.drop_target = DropTarget(self)
        self.exporting = Exporting(self)
        self.teaching, self.correcting = Teaching(self), Correcting(self)
        self.presenting = Presenting(self, self._show_choices)
        self.acting = Acting(self, self.recording, self.presenting.show_note)
        self.sensitivity = SensitivityDock(self)
        self.tour = Tour(self)
        self.comparing = Comparing(self, self.session_display)
        self.commands = Actions(self, self.menuBar(), self._slots())
        self._connect()
        now = self.settings.now
        self.restoreGeometry(QByteArray(now.geometry))
        for name, splitter in self.splitters.items():
            if name in now.splitters:
                splitter.restoreState(QByteArray(now.splitters[name]))
        self.restoreState(QByteArray(now.docks))
        self._show_choices()
        self.follow_settings()
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.poll)
        self.timer.start(POLL_MS)

    @property
    def session(self) -> Session | None:
        return self.player.session

    def _slots(self) -> dict[str, Callable[..., object]]:
        player, transport = self.player, self.transport
        return {
            **self.source_chooser.slots(),
            **self.recording.slots(),
            **self.exporting.slots(),
            "new_tab": self.new_tab,
            "next_tab": lambda: self._in_tabs(Tabs.show_next),
            "side_by_side": lambda: self._in_tabs(Tabs.tile),
            "close_tab": self.close,
            "quit": lambda: self.window().close(),
            "play": player.toggle,
            "back": lambda: player.seek(player.t_us / 1e6 - 1),
            "on": lambda: player.seek(player.t_us / 1e6 + 1),
            "frame_back": lambda: player.step(-1),
            "frame_on": lambda: player.step(1),
            "slower": lambda: transport.change_speed(-1),
            "faster": lambda: transport.change_speed(1),
            "loop": lambda loop: self.choose(loop=loop),
            **{f"palette:{name}": partial(self.choose_view, palette=name) for name in PALETTES},
            **{f"mode:{mode}": partial(self.choose_view, mode=mode) for mode in get_args(ViewMode)},
            **{f"state:{mode}": partial(self.choose, state_mode=mode) for mode in get_args(StateMode)},
            **{f"theme:{name}": partial(self.set_theme, name) for name in get_args(ThemeName)},
            "zoom_in": lambda: self.view.canvas.zoom_about(ZOOM_STEP),
            "zoom_out": lambda: self.view.canvas.zoom_about(1 / ZOOM_STEP),
            "fit": self.view.canvas.fit,
            "mirror_picture": lambda on: self.choose(mirrored=on),
            "plots": self.plots.setVisible,
            "full_screen": self.set_full_screen,
            "stage": self.show_stage,
            "close_message": self.leave,
            "turn": lambda: self._turn(lambda now: replace(now, quarter_turns=(now.quarter_turns + 1) % 4)),
            "mirrored_camera": lambda mirrored: self._turn(lambda now: replace(now, mirrored=mirrored)),
            "upright": lambda: self._turn(lambda now: Orientation()),
            "denoise": lambda on: self.choose(denoise=on),
            "learn_hot_pixels": player.learn_hot_pixels,
            "sensitivity": self.sensitivity.setVisible,
            "model": self.choose_model,
            "decisions": self.choose_decisions,
            "compare": self.comparing.ask,
            "teach": self.teaching.ask,
            "wrong": self.correcting.begin,
            "undo_wrong": self.correcting.undo,
            "act": self.acting.ask,
            "reset": player.reset,
            "settings": self.show_settings,
            "layout": self.lay_out,
            "docs": lambda: open_docs("index.md"),
            "filters": lambda: open_docs("cameras.md#noise"),
            "tour": self.begin_tour,
            "shortcuts": lambda: self.show_dialog(ShortcutsDialog(self)),
            "about": lambda: self.show_dialog(AboutDialog(self)),
        }

    def _connect(self) -> None:
        transport, player = self.transport, self.player
        self.open_requested.connect(self.open)
        self.model_requested.connect(self.set_model)
        self.source_opened.connect(self._show_opened)
        self.recording_written.connect(self.remember)
        transport.line.seek_requested.connect(player.seek)
        transport.speed.currentIndexChanged.connect(lambda _: player.choose(speed=transport.speed.currentData()))
        does: tuple[tuple[QPushButton, str], ...] = (
            (transport.play, "play"),
            (transport.back, "frame_back"),
            (transport.forward, "frame_on"),
            (transport.loop, "loop"),
            (transport.record, "record"),
            (self.state_panel.reset, "reset"),
            (self.header.model, "model"),
            *((button, f"state:{mode}") for mode, button in self.state_panel.modes.items()),
            *((button, way) for way, button in self.view.page.choices.items()),
            *((button, way) for way, button in self.view.strip.buttons.items()),
        )
        for button, action in does:
            button.clicked.connect(self.commands[action].trigger)
        self.plots.visibilityChanged.connect(lambda _: self.commands["plots"].setChecked(not self.plots.isHidden()))
        self.header.set_open_menu(self.commands.sources)
        fill_scenes(self.commands.scenes, self.source_chooser.watch_scene)

    def follow_settings(self) -> None:
        """Let the menus say what another window may have changed."""
        self._show_recent()
        self.commands[f"theme:{self.settings.now.theme}"].setChecked(True)
        self.commands["full_screen"].setChecked(self.window().isFullScreen())

    # What a person asks for

    def new_tab(self) -> MainWindow:
        """Return an empty window for another source, a tab beside this one."""
        tabs = self.tabs or Tabs(self)
        other = MainWindow(self.player.chosen, engine=self.player.engine, settings=self.settings)
        tabs.add(other)
        return other

    def _in_tabs(self, do: Callable[[Tabs], None]) -> None:
        if self.tabs is not None:
            do(self.tabs)
        else:
            self.banner.show_message(ONE_TAB, "info")

    def open(self, source: SourceLike, model: str | None = None, orientation: Orientation | None = None) -> None:
        """Play a source; an error is shown as a banner, and what plays goes on. Parameters as for `Player.play`."""
        if isinstance(source, str | Path):
            self.source_chooser.visit(str(source))
        self.player.play(source, model, orientation)
        self._show_choices()
        self.session_display.begin()

    def choose_model(self) -> None:
        dialog = ModelDialog(self.player.model, self.player.engine, self, chosen=self.player.chosen)
        dialog.chosen.connect(self.set_model)
        dialog.play_requested.connect(self.play_lesson)
        self.show_dialog(dialog)

    def play_lesson(self, recording: str) -> None:
        """Play a recording that a dialog lists: the dialog closes, and a live source goes on in its own tab."""
        if self.dialog is not None:
            self.dialog.close()
        opened = self.player.opened
        page = self.new_tab() if opened is not None and opened.playback.live else self
        page.open(recording)

    def set_model(self, model: str, engine: Engine) -> None:
        self.player.set_model(model, engine)
        self.session_display.begin()

    def show_settings(self) -> None:
        dialog = SettingsDialog(replace(self.settings.now, choices=self.player.choices), self)
        dialog.changed.connect(self.use_settings)
        dialog.asked.connect(lambda name: self.commands[name].trigger())
        self.show_dialog(dialog)

    def use_settings(self, before: Settings, wanted: Settings) -> None:
        """Change what differs between these settings, now and, what is remembered, for the next start of livesnn.

        What another window has changed meanwhile stays.
        """
        choices, chosen = before.choices, wanted.choices
        if wanted.theme != before.theme:
            self.set_theme(wanted.theme)
        if chosen.speed != choices.speed:
            self.transport.speed.choose(chosen.speed)
        names = ("state_mode", "mirrored", "denoise", "view", "loop", "decider", "pre_roll_s", "by_model")
        self.choose(**_changed(choices, chosen, *names))
        if wanted.engine != before.engine:
            self.set_model(self.player.chosen, wanted.engine)
        self.settings.change(**_changed(before, wanted, "mounted", "recent", "labels"))
        self._show_recent()

    def choose_decisions(self) -> None:
        card, choices = self.player.card, self.player.choices
        dialog = DecisionsDialog(choices.decider if card is None else choices.decider_of(card), card, self)
        dialog.chosen.connect(lambda decider: self.player.choose_decider(decider, card))
        self.show_dialog(dialog)

    def choose(self, **fields: object) -> None:
        """Play in this way, as `Player.choose` does, and show it."""
        self.player.choose(**fields)
        self._show_choices()

    def choose_view(self, **fields: str) -> None:
        self.choose(view=replace(self.player.choices.view, **fields))  # type: ignore[arg-type]  # both are str

    def set_theme(self, theme: ThemeName) -> None:
        self.settings.change(theme=theme)
        self.commands[f"theme:{theme}"].setChecked(True)
        style.use(theme, cast(QApplication, QApplication.instance()))

    def set_full_screen(self, full: bool) -> None:
        """Fill the screen, or go back to the window as it was, which may be maximised."""
        now, filling = self.window().windowState(), Qt.WindowState.WindowFullScreen
        self.window().setWindowState(now | filling if full else now & ~filling)

    def leave(self) -> None:
        """Close what is open, one at a time: the stage, the tour, the message, full screen."""
        if self.presenting.on:
            self.presenting.leave()
        elif self.tour.isVisible():
            self.tour.end()
        elif self.banner.isVisible():
            self.banner.hide()
        elif self.window().isFullScreen():
            self.set_full_screen(False)

    def show_stage(self) -> None:
        if self.tour.isVisible():
            self.tour.end()
        (self.presenting.leave if self.presenting.on else self.presenting.enter)()

    def begin_tour(self) -> None:
        self.presenting.leave()
        self.tour.begin()

    def _turn(self, turned: Callable[[Orientation], Orientation]) -> None:
        if self.player.orientation is not None:
            self.player.turn(turned(self.player.orientation))
        self._show_choices()

    def _show_choices(self) -> None:
        orientation, choices = self.player.orientation, self.player.choices
        palette = PALETTES[choices.view.palette]
        for shows in (self.view, self.window_panel.strip, self.presenting.stage):
            shows.set_palette(palette)
        for chosen in (f"palette:{choices.view.palette}", f"mode:{choices.view.mode}", f"state:{choices.state_mode}"):
            self.commands[chosen].setChecked(True)
        self.commands["loop"].setChecked(choices.loop)
        self.commands["denoise"].setChecked(choices.denoise)
        self.commands["mirror_picture"].setChecked(choices.mirrored)
        self.transport.loop.setChecked(choices.loop)
        self.state_panel.show_mode(choices.state_mode)
        self.numbers.table.show_row("filtered", choices.denoise)
        self.view.canvas.set_mirrored(choices.mirrored)
        shown = orientation or Orientation()
        changes = ["noise filtered"] * choices.denoise + [shown.words]
        self.view.canvas.set_changes(*changes if orientation is not None else ())  # a video has neither
        for name in ("turn", "mirrored_camera", "upright"):
            self.commands[name].setEnabled(orientation is not None)
        self.commands["turn"].setText(f"{TURN} (now {90 * shown.quarter_turns}°)" if shown.quarter_turns else TURN)
        self.commands["mirrored_camera"].setChecked(shown.mirrored)

    def _show_opened(self) -> None:
        self._show_choices()
        if isinstance(self.player.source, str | Path):
            self.remember(str(self.player.source))

    def remember(self, source: str) -> None:
        self.source_chooser.remember(source)
        self._show_recent()

    def _show_recent(self) -> None:
        self.commands.show_recent(
            self.settings.now.recent,
            readable_source,
            lambda source: self.open(source, only_model_for(source)),
            self._forget_recent,
        )

    def _forget_recent(self) -> None:
        self.settings.change(recent=())
        QTimer.singleShot(0, self, self._show_recent)  # not while the menu is used

    # As time goes by

    def poll(self) -> None:
        self.playlist.poll()
        self.session_display.poll()
        self.comparing.poll()
        self.recording.poll()
        self.exporting.poll()
        self.teaching.poll()
        self.correcting.poll()
        self.presenting.poll()
        self.acting.poll()
        self.sensitivity.poll()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the system, which may leave full screen by itself."""
        if event.type() == QEvent.Type.WindowStateChange:
            self.commands["full_screen"].setChecked(self.window().isFullScreen())
        super().changeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if (held := dropped(event.mimeData())) is not None:
            event.acceptProposedAction()
            self.drop_target.show_words(held.words)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_target.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop_target.hide()
        if (held := dropped(event.mimeData())) is None:
            return
        event.acceptProposedAction()
        said = self._use_dropped(held)
        if words := "\n".join(filter(None, (some(held.wrong, "\n"), *said))):
            self.banner.show_message(words, "error" if held.wrong else "info")

    def _use_dropped(self, held: Dropped) -> list[str]:
        said = []
        for model in held.models[:1]:
            self.set_model(model, self.player.engine)
            said.append(f"Now using the model {Path(model).name}")
        if len(held.recordings) == 1:
            self.open(held.recordings[0])
        elif held.recordings:
            self.playlist.start(held.recordings)
            names = some([Path(file).name for file in held.recordings], ", ")
            said.append(f"{len(held.recordings)} files play one after another: {names}")
        return said

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.presenting.locked and event.spontaneous():  # by a person
            event.ignore()
            return
        self.timer.stop()
        self.presenting.leave()
        splitters = {name: splitter.saveState().data() for name, splitter in self.splitters.items()}
        if self.splitters["cards"].isHidden():  # the window is short now: keep what it was before
            splitters["rows"] = self.settings.now.splitters.get("rows", b"")
        docks = self.saveState().data()
        self.settings.change(geometry=self.window().saveGeometry().data(), splitters=splitters, docks=docks)
        self.hide()  # threads may take seconds to end
        self.plots.end()
        if self.dialog is not None:
            self.dialog.close()
        self.correcting.end()
        self.session_display.end()
        self.exporting.end()
        others = [] if self.tabs is None else [page for page in self.tabs.pages if page is not self]
        self.player.end(heir=others[0].player if others else None)
        self.acting.close()
        event.accept()
        self.closed.emit(self)

    def summary(self) -> Summary:
        return self.player.summary(self.view.shown)


def _changed(before: object, after: object, *names: str) -> dict[str, Any]:
    """Return the fields with these names that are others after than before."""
    return {name: to for name in names if (to := getattr(after, name)) != getattr(before, name)}
