"""Exporting in the window: pictures, films, tables of decisions, and stretches between two marks.

What is written is in session/export.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from livesnn.app.actions import Action
from livesnn.app.model_choice import Button
from livesnn.app.recording import documents
from livesnn.app.widgets.basics import open_folder, png, save_dialog
from livesnn.app.window_layout import WindowLayout
from livesnn.errors import error_message
from livesnn.events.convert import convert, written_whole
from livesnn.events.filters import Stretch
from livesnn.files import proposed_name
from livesnn.progress import Progress, Stopped
from livesnn.session.export import AEDAT4, CSV, MP4, ExportSpec, export
from livesnn.threads import Worker

PNG = ".png"
FILTERS = {
    PNG: "PNG pictures (*.png)",
    MP4: "MP4 videos (*.mp4)",
    CSV: "Tables (*.csv)",
    AEDAT4: f"Recordings (*{AEDAT4})",
}
_COUNTED = {MP4: "pictures", CSV: "decisions", AEDAT4: "events"}
LEAST_PIXELS = 960  # of a saved picture's longer side, if it is enlarged
WHOLE = Stretch()
NO_SOURCE = "Open a source first"
NO_RECORDING = "Open a recording first"
NO_MARKS = "Mark a section of a recording first, with the keys I and O"
NO_EVENTS = "A video has no events"
NO_PAST = "A live source isn't kept: record it (Ctrl+S), and export the recording"
LAST_PATIENCE_S = 4.0  # for an export at the end
BUSY = "Another export is running"


Write = Callable[[Progress], str]  # Writes a file, tells how far it is, and returns what to say of the file


class Job:
    """An export to a file in a thread of its own."""

    def __init__(self, out: Path, work: Write) -> None:
        self.out = out
        self.share = 0.0  # done
        self.written = ""  # words, once the file is complete
        self._work = work
        self.worker = Worker("export", self._run).start()

    def _run(self, stop: threading.Event) -> None:
        def follow(share: float) -> None:
            self.share = share
            if stop.is_set():
                raise Stopped

        self.written = self._work(follow)


class Exporting:
    """Writes what the player shows to files, and marks the stretch of a recording that is written."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self._job: Job | None = None
        self._said = ""  # the last words about the job
        self._marked: object = None  # the source that the marks are of
        self.marks = WHOLE
        self.folder = documents()  # where the file dialog starts

    def actions(self) -> Iterator[Action]:
        menu = "File/Export"
        keys = ("Ctrl+C",)
        yield Action("copy_picture", menu, "Copy the picture", keys, self.copy_picture, why_not=self._why_no_picture)
        ask, busy = partial(self._ask, self.save_picture, PNG), lambda: self._why_no_picture() or self._busy
        yield Action("save_picture", menu, "Picture …", ("Ctrl+I",), ask, why_not=busy)
        ask = partial(self._ask, self.write, MP4)
        yield Action("film", menu, "Video …", ("Ctrl+E",), ask, rule=True, why_not=self._why_no_film)
        ask, words = partial(self._ask, self.write, CSV), "Table of decisions …"
        yield Action("table", menu, words, ("Ctrl+Shift+E",), ask, why_not=self._why_no_table)
        ask = partial(self._ask, self.write, AEDAT4)
        yield Action("stretch", menu, "Marked section …", ("Ctrl+Shift+X",), ask, why_not=self._why_no_section)
        yield Action("mark_in", menu, "Mark the start", ("I",), self.mark_in, rule=True, why_not=self._why_no_mark)
        yield Action("mark_out", menu, "Mark the end", ("O",), self.mark_out, why_not=self._why_no_mark)
        yield Action("forget_marks", menu, "Remove the marks", ("U",), partial(self._mark, WHOLE))
        words, keys, none = "Cancel the export", ("Ctrl+Shift+C",), lambda: "" if self._job else "Nothing is exported"
        yield Action("cancel_export", menu, words, keys, self.cancel, rule=True, why_not=none)

    def mark_in(self) -> None:
        """Let the stretch begin at the picture that is shown; it ends where it did, if that is later."""
        at_s = self._at_s()
        if at_s is not None:
            self._mark(Stretch(at_s, self.marks.to_s if self.marks.to_s > at_s else WHOLE.to_s))

    def mark_out(self) -> None:
        """Let the stretch end at the picture that is shown; it begins where it did, if that is earlier."""
        at_s = self._at_s()
        if at_s:
            self._mark(Stretch(self.marks.from_s if self.marks.from_s < at_s else 0.0, at_s))

    def _at_s(self) -> float | None:
        """Return where a recording is, seconds; None: nothing is open, or it is live."""
        opened = self._player.opened
        return None if opened is None or opened.playback.live else self._player.t_us / 1e6

    def _mark(self, marks: Stretch) -> None:
        self.marks, self._marked = marks, self._player.source
        self._window.transport.line.set_marks(marks)

    def copy_picture(self) -> None:
        if self._window.view.has_picture:
            QGuiApplication.clipboard().setImage(self._window.view.canvas.picture(LEAST_PIXELS))
            self._window.banner.show_message("Picture copied", "info")

    def save_picture(self, out: Path) -> None:
        image = self._window.view.canvas.picture(LEAST_PIXELS)

        def write(progress: Progress) -> str:
            with written_whole(out, None, overwrite=False) as part:
                part.write_bytes(png(image))
            return f"Picture written to {out}"

        self._begin(out, write)

    def write(self, out: Path) -> None:
        """Write the marked stretch, or all, in the way of ``out``'s suffix.

        Of a live source, write the decisions so far.
        """
        player, marks, suffix = self._player, self.marks, out.suffix.lower()
        session, opened = player.session, player.opened
        if session is None or opened is None:
            return
        path, log = opened.playback.path, session.log
        classes = opened.model.card.classes
        spec = ExportSpec(player.model, player.models.engine, player.choices, opened.playback.orientation)

        def write(progress: Progress) -> str:
            if path is None:
                count = log.write(out, classes)
            elif suffix == AEDAT4:
                count = convert(path, out, stretch=marks, progress=progress).events
            else:
                count = export(path, out, spec, stretch=marks, progress=progress).count
            return f"{count:,} {_COUNTED[suffix]} written to {out}"

        self._begin(out, write)

    def cancel(self) -> None:
        if self._job is not None:
            self._job.worker.stop.set()

    def end(self) -> None:
        if self._job is not None:
            self._job.worker.close(LAST_PATIENCE_S)
            self._job = None

    def poll(self) -> None:
        if self._player.source is not self._marked:
            self._mark(WHOLE)
        if self._job is not None:
            self._follow(self._job)

    def _follow(self, job: Job) -> None:
        """Show how a job goes, unless its message was closed or another one is being read."""
        banner = self._window.banner
        reading_ours = not banner.isHidden() and banner.message.text() == self._said
        if job.worker.running:
            words = f"Writing {job.out.name}: {100 * job.share:.0f} %"
            if words != self._said and (reading_ours or not self._said):
                self._said = words
                banner.show_message(words, "info", ("Cancel", self.cancel))
            return
        self._job, self._said = None, ""
        if isinstance(error := job.worker.error, Stopped):
            banner.show_message(f"Cancelled: {job.out.name} was not written", "info")
        elif error is not None:
            banner.show_message(error_message(error), "error")
        else:
            action: Button = ("Open the folder", partial(open_folder, job.out.parent))
            if job.out.suffix.lower() == AEDAT4:
                action = ("Open it", lambda: self._window.open_requested.emit(str(job.out), None))
            banner.show_message(job.written, "info", action)

    def _begin(self, out: Path, write: Write) -> None:
        if self._job is None:
            self._said = ""
            self._job = Job(out, write)

    def _ask(self, write: Callable[[Path], None], suffix: str) -> None:
        now, opened = datetime.now(), self._player.opened
        path = None if opened is None else opened.playback.path
        source = "livesnn" if opened is None else str(self._player.source) if path is None else path.stem
        name = proposed_name(source, now).removesuffix(AEDAT4) + suffix
        title = "Export" if self.marks == WHOLE or suffix == PNG else "Export the marked section"

        def use(out: Path) -> None:  # not while that dialog is being closed
            QTimer.singleShot(0, self._window, partial(self._chosen, out, write, suffix))

        dialog = save_dialog(self._window, title, self.folder / name, {suffix: FILTERS[suffix]}, use)
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # nothing is ever overwritten
        self._window.show_dialog(dialog)

    def _chosen(self, out: Path, write: Callable[[Path], None], suffix: str) -> None:
        self.folder = out.parent
        if out.suffix.lower() != suffix:  # clip.v2
            out = out.with_name(out.name + suffix)
        if out.exists():
            self._window.banner.show_message(f"{out} exists already: choose another name", "error")
        else:
            write(out)

    @property
    def _live(self) -> bool:
        return self._player.opened is not None and self._player.opened.playback.live

    def _why_no_picture(self) -> str:
        return "" if self._window.view.has_picture else "There is no picture yet"

    def _why_no_film(self) -> str:
        return self._why_not() or (NO_PAST if self._live else "")

    def _why_no_table(self) -> str:
        session = self._player.session
        none_yet = self._live and not (session and len(session.log))
        return self._why_not() or ("There is no decision yet" if none_yet else "")

    def _why_no_section(self) -> str:
        if self._player.opened is not None and not self._player.opened.playback.has_events:
            return NO_EVENTS
        return self._why_no_film() or (NO_MARKS if self.marks == WHOLE else "")

    def _why_no_mark(self) -> str:
        return NO_RECORDING if self._at_s() is None else ""

    def _why_not(self) -> str:
        return NO_SOURCE if self._player.opened is None else self._busy

    @property
    def _busy(self) -> str:
        return "" if self._job is None else BUSY
