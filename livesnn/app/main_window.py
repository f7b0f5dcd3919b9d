"""The window: does what a person wants, by menu, key, button or drop; remembers it; leaves no thread behind.

Not here: what is played (player.py), what is shown of it (presenter.py), from where (source_chooser.py), the looks
(appearance.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, QTimer, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent

from livesnn.app.actions import TURN, Actions
from livesnn.app.appearance import Appearance
from livesnn.app.deciding import Deciding
from livesnn.app.dialogs import AboutDialog, ShortcutsDialog
from livesnn.app.layout import WindowLayout
from livesnn.app.model_dialog import ModelDialog
from livesnn.app.player import Player, Summary, own_model
from livesnn.app.presenter import Presenter
from livesnn.app.recorder import Recorder
from livesnn.app.settings import Settings
from livesnn.app.source_chooser import SourceChooser, dropped_file, readable_source
from livesnn.app.teaching import Teaching
from livesnn.events.filters import Orientation
from livesnn.infer.model import Engine, Model
from livesnn.infer.run import StateMode
from livesnn.session.session import PICTURE_EVERY_S, Session, SourceLike
from livesnn.session.values import Choices

POLL_MS = 16


class MainWindow(WindowLayout):
    """The app.

    Parameters
    ----------
    model, engine
        Of the `Player`.
    settings
        What is remembered; None: nothing was, and nothing will be.
    picture_every_s
        Least time between two pictures; 0: one a packet.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        engine: Engine | None = None,
        settings: Settings | None = None,
        picture_every_s: float = PICTURE_EVERY_S,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.appearance = Appearance(self, self.settings, self._show_view)
        self.player = Player(
            model,
            engine,
            self.settings,
            choices=Choices(
                loop=self.settings.now.loop,
                pre_roll_s=self.settings.now.pre_roll_s,
                view=self.appearance.spec,
                denoise=self.settings.now.denoise,
                decider=self.settings.now.decider,
                denied=self.settings.now.denied,
                thresholds=self.settings.now.thresholds,
            ),
            picture_every_s=picture_every_s,
        )
        self.source_chooser = SourceChooser(self, self.settings, self.open)
        self.recorder = Recorder(self, self.player, self.settings, self._remember, self.open)
        self.deciding = Deciding(self, self.player, self.settings)
        self.teaching = Teaching(self, self.player, self.set_model)
        self.commands = Actions(self, self.menuBar(), self._slots())
        self.presenter = Presenter(self, self.player, self._opened)
        self._connect()
        self._show_remembered()
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.poll)
        self.timer.start(POLL_MS)

    @property
    def session(self) -> Session | None:
        """What is played now."""
        return self.player.session

    def _slots(self) -> dict[str, Callable[..., None]]:
        player, transport = self.player, self.transport
        return {
            **self.appearance.slots(),
            **self.source_chooser.slots(),
            **self.recorder.slots(),
            **self.deciding.slots(),
            **self.teaching.slots(),
            "quit": self.quit,
            "play": player.toggle,
            "back": lambda: player.seek(player.t_us / 1e6 - 1),
            "on": lambda: player.seek(player.t_us / 1e6 + 1),
            "frame_back": transport.step_back,
            "frame_on": transport.step_forward,
            "slower": transport.slower,
            "faster": transport.faster,
            "loop": transport.loop.setChecked,
            "turn": lambda: self._turn(lambda now: replace(now, quarter_turns=(now.quarter_turns + 1) % 4)),
            "mirrored_camera": lambda mirrored: self._turn(lambda now: replace(now, mirrored=mirrored)),
            "upright": lambda: self._turn(lambda now: Orientation()),
            "denoise": self.set_denoise,
            "learn_hot_pixels": player.learn_hot_pixels,
            "model": self.choose_model,
            "state:carry": lambda: self.set_state_mode("carry"),
            "state:reset": lambda: self.set_state_mode("reset"),
            "reset": player.reset,
            "close_message": self.banner.hide,
            "shortcuts": lambda: self.show_dialog(ShortcutsDialog(self)),
            "about": lambda: self.show_dialog(AboutDialog(self)),
        }

    def _connect(self) -> None:
        transport, view, player = self.transport, self.view, self.player
        transport.play_wanted.connect(player.toggle)
        transport.step_wanted.connect(player.step)
        transport.seek_wanted.connect(player.seek)
        transport.speed_wanted.connect(lambda speed: player.apply(replace(player.choices, speed=speed)))
        transport.loop_wanted.connect(self.set_loop)
        self.state_panel.mode_wanted.connect(self.set_state_mode)
        self.state_panel.reset_wanted.connect(player.reset)
        self.header.model_wanted.connect(self.choose_model)
        view.way_wanted.connect(lambda name: self.commands[name].trigger())
        transport.record_wanted.connect(self.commands["record"].trigger)
        self.header.set_open_menu(self.commands.sources)

    def _show_remembered(self) -> None:
        now = self.settings.now
        self.transport.loop.setChecked(now.loop)
        self.commands.check("loop", now.loop)
        self._show_orientation()
        self.commands.check("denoise", now.denoise)
        self.numbers.show_denoise(now.denoise)
        self.commands.check("state:carry")
        self._show_recent()
        self.appearance.restore(self.commands)

    # What a person wants

    def open(
        self, source: SourceLike, model: str | None = None, orientation: Orientation | None = None
    ) -> None:
        """Play this, with this model alone, or the chosen one; what goes wrong is shown as a banner.

        ``orientation``: for this opening; None: what is remembered of a camera, upright for anything else.
        """
        if isinstance(source, str | Path):
            self.source_chooser.visit(str(source))
        self.player.play(source, model, orientation)
        self._show_orientation()
        self.presenter.begin()

    @Slot()
    def choose_model(self) -> None:
        """Ask for a model and an engine."""
        dialog = ModelDialog(self.player.model, self.player.engine, self, chosen=self.player.chosen)
        dialog.chosen.connect(self.set_model)
        self.show_dialog(dialog)

    @Slot(str, str)
    def set_model(self, model: str, engine: Engine) -> None:
        """Use this model on this engine, now and at the next start."""
        self.player.set_model(model, engine)
        self.presenter.begin()

    @Slot(str)
    def set_state_mode(self, mode: StateMode) -> None:
        """Carry the network's state from window to window, or reset it at each."""
        self.player.apply(replace(self.player.choices, state_mode=mode))
        self.commands.check(f"state:{mode}")
        self.state_panel.show_mode(mode)

    @Slot(bool)
    def set_loop(self, loop: bool) -> None:
        """Start again at the end, or stop there."""
        self.settings.change(loop=loop)
        self.player.apply(replace(self.player.choices, loop=loop))
        self.commands.check("loop", loop)

    @Slot(bool)
    def set_denoise(self, denoise: bool) -> None:
        """Filter noise from now on, or let all of it through."""
        self.settings.change(denoise=denoise)
        self.player.apply(replace(self.player.choices, denoise=denoise))
        self.commands.check("denoise", denoise)
        self.numbers.show_denoise(denoise)

    @Slot()
    def quit(self) -> None:
        """Close the window."""
        self.close()

    def _turn(self, turned: Callable[[Orientation], Orientation]) -> None:
        if self.player.orientation is not None:
            self.player.turn(turned(self.player.orientation))
            self.presenter.begin()
        self._show_orientation()

    def _show_orientation(self) -> None:
        """Let the menu say how the source is turned, where it can be."""
        orientation = self.player.orientation
        for name in ("turn", "mirrored_camera", "upright"):
            self.commands[name].setEnabled(orientation is not None)
        shown = orientation or Orientation()
        self.commands["turn"].setText(
            f"{TURN} (now {90 * shown.quarter_turns}°)" if shown.quarter_turns else TURN
        )
        self.commands.check("mirrored_camera", shown.mirrored)

    def _show_view(self) -> None:
        self.player.apply(replace(self.player.choices, view=self.appearance.spec))

    def _opened(self) -> None:
        """Show how it is turned, and keep what has been opened among the recent sources."""
        self._show_orientation()
        if isinstance(self.player.source, str | Path):
            self._remember(str(self.player.source))

    def _remember(self, source: str) -> None:
        self.source_chooser.remember(source)
        self._show_recent()

    def _show_recent(self) -> None:
        self.commands.show_recent(
            self.settings.now.recent,
            readable_source,
            lambda source: self.open(source, own_model(source)),
            self._forget_recent,
        )

    def _forget_recent(self) -> None:
        self.settings.change(recent=())
        QTimer.singleShot(0, self, self._show_recent)  # not while the menu is used

    # As time goes by

    @Slot()
    def poll(self) -> None:
        """Show the newest of everything, or nothing."""
        self.presenter.poll()
        self.recorder.poll(self.commands)
        self.teaching.poll(self.commands)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """Follow the system, which may leave full screen by itself."""
        if event.type() == QEvent.Type.WindowStateChange:
            self.commands.check("full_screen", self.isFullScreen())
        super().changeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 (Qt's name)
        """Take files, nothing else."""
        if dropped_file(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 (Qt's name)
        """Open the first file dropped."""
        if (file := dropped_file(event.mimeData())) is not None:
            event.acceptProposedAction()
            self.open(file)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """Remember where everything is, and leave no thread behind."""
        self.timer.stop()
        self.appearance.keep_layout()
        self.hide()  # threads may take seconds to end
        if self.dialog is not None:
            self.dialog.close()
        self.presenter.end()
        self.player.end()
        event.accept()

    def summary(self) -> Summary:
        """Return what all sessions that have ended did."""
        return self.player.summary(self.view.shown)
