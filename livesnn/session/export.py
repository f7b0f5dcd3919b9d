"""What a source shows, written to a file: a film of a recording (.mp4, .gif), or a table of the decisions (.csv).

For a recording the network runs from its start, as in `livesnn run`, and as fast as it can. Stretches of events are
written by events/convert.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import SourceError
from livesnn.events.convert import written_whole
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation, Stretch
from livesnn.events.packet import Resolution
from livesnn.events.pipeline import open_pipeline
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.model import Model, load_model
from livesnn.infer.run import Result, run_frames
from livesnn.infer.switching_engine import SwitchingModel
from livesnn.progress import Progress, share_of_time, untold
from livesnn.session.control import Control
from livesnn.session.decision_table import DecisionRow, row_of, write_rows
from livesnn.session.event_picture import PALETTES, Accumulator, frame_picture
from livesnn.session.film import Picture, Scene, caption, open_film
from livesnn.session.showing import AEDAT4, FILMS_AND_TABLES, PICTURES_PER_S, Exported, Showing
from livesnn.sources import is_live, open_source
from livesnn.threads import WAKE_S
from livesnn.video.frame_source import FrameSource

LONGEST_FILM_H = 24


def export(
    source: str | Path,
    out: Path,
    showing: Showing,
    *,
    stretch: Stretch = Stretch(),  # noqa: B008 (frozen)
    overwrite: bool = False,
    progress: Progress = untold,
) -> Exported:
    """Write a film of a recording or a video, or a table of its decisions: all of it, or nothing after an error.

    Parameters
    ----------
    source
        The path of a recording or a video.
    out
        Its suffix says the format, see `FILMS_AND_TABLES`.
    stretch
        What to show of it.

    Raises
    ------
    LivesnnError
        ``source`` or the model can't be opened or don't fit each other, ``out`` can't be written or exists, or there
        is nothing in ``stretch``.
    """
    suffix = out.suffix.lower()
    if suffix not in FILMS_AND_TABLES:
        raise SourceError(
            f"{out}: the name doesn't tell the format: choose one that ends in {', '.join(FILMS_AND_TABLES)}"
        )
    if is_live(str(source)):
        raise SourceError(f"{source}: a live source has no past to write: record it first")
    with (
        written_whole(out, Path(source), overwrite=overwrite) as part,
        _loaded(showing) as model,
        closing(open_source(source, progress=progress)) as opened,
    ):
        played: _Played = (
            _Video(opened, model.card, showing)
            if isinstance(opened, FrameSource)
            else _Events(opened, model.card, showing)  # type: ignore[arg-type]  # it isn't live
        )
        span = _Span(played.start_us, *stretch.times_us(played.start_us, played.end_us), progress)
        write = _write_film if suffix in PICTURES_PER_S else _write_table
        count = write(part, played, model, showing, span)
        if not count:
            window = model.card.input.window
            raise SourceError(
                f"{source}: there is no decision {stretch.words}: the first one follows after {window} frames, so "
                "choose a longer stretch"
            )
        return Exported(out, suffix[1:], count, tuple(opened.warnings))


@contextmanager
def _loaded(showing: Showing) -> Iterator[Model]:
    model = load_model(showing.model, showing.engine)
    with closing(model) if isinstance(model, SwitchingModel) else nullcontext():
        yield model


class _Span(NamedTuple):
    """When a recording starts, and a stretch of it begins and ends, µs; and what is told how far the work is."""

    start_us: int
    from_us: int
    to_us: int
    progress: Progress

    def reached(self, t_us: int) -> None:
        """Tell that the work is done up to a time."""
        self.progress(share_of_time(t_us, self.start_us, self.to_us))


class _Filming:
    """Takes the pictures of a film when they are due: at the end of each part of the stretch.

    ``newest`` is the result that their captions are about.
    """

    def __init__(
        self, path: Path, card: ModelCard, showing: Showing, sensor: Resolution, span: _Span
    ) -> None:
        choices, self._suffix = showing.choices, path.suffix.lower()
        speed = choices.speed if math.isfinite(choices.speed) else 1.0
        self._step_us = 1e6 * speed / PICTURES_PER_S[self._suffix]
        self.pictures = max(round((span.to_us - span.from_us) / self._step_us), 1)
        if (hours := self.pictures / PICTURES_PER_S[self._suffix] / 3600) > LONGEST_FILM_H:
            raise SourceError(
                f"{path}: the film would last {hours:,.0f} hours, and {LONGEST_FILM_H} are the most: choose a "
                "higher speed or a shorter stretch"
            )
        self.newest: Result | None = None
        self._taken = 0
        self._card, self._span = card, span
        palette = PALETTES[choices.view.palette]
        self._scene = Scene(sensor, palette, self._suffix, mirrored=showing.mirrored)
        self.file = open_film(path, self._scene.size, self.pictures)

    @property
    def due_us(self) -> int | None:
        """When the next picture is to be taken; None: all are."""
        if self._taken == self.pictures:
            return None
        return min(self._span.from_us + round((self._taken + 1) * self._step_us), self._span.to_us)

    def take(self, picture: Picture, t_us: int) -> None:
        """Add a picture that is seen at this time."""
        self._taken += 1
        said = caption(self.newest, self._card, t_us)
        seconds, share = (t_us - self._span.start_us) / 1e6, self._taken / self.pictures
        self.file.write(self._scene.draw(picture, said, seconds, share))
        self._span.reached(t_us)


class _Events:
    """A recording of events, played once."""

    def __init__(self, recording: Recording, card: ModelCard, showing: Showing) -> None:
        self.start_us, self.end_us = recording.t_start, recording.t_end
        self.sensor = showing.orientation.resolution(recording.resolution)
        self._view = showing.choices.view
        self._slicer = Slicer(card.input.slice, self.sensor, card.input)
        self._packets = open_pipeline(
            recording,
            orientation=showing.orientation,
            noise=DenoiseState(self.sensor) if showing.choices.denoise else None,
            policy=None,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield all frames."""
        for packet in self._packets:
            yield from self._slicer.push(packet)

    def filmed(self, film: _Filming) -> Iterator[Frame]:
        """Yield frames until all pictures are taken, each of the events before it."""
        seen = Accumulator(self.sensor, self._view)
        newest_us = self.start_us
        for packet in self._packets:
            events = packet.events
            if events.size and events["t"][0] < newest_us:
                seen.clear()  # a jump back: what was seen lies in the future
            while events.size and (due_us := film.due_us) is not None and events["t"][-1] >= due_us:
                before, events = np.split(events, [np.searchsorted(events["t"], due_us)])
                seen.add(before)
                yield from self._slicer.push(packet._replace(events=before))
                film.take(seen.picture(due_us), due_us)
            if film.due_us is None:
                return
            if events.size:
                newest_us = int(events["t"][-1])
                seen.add(events)
                yield from self._slicer.push(packet._replace(events=events))
        while (due_us := film.due_us) is not None:
            film.take(seen.picture(due_us), due_us)


class _Video:
    """A video, played once."""

    def __init__(self, video: FrameSource, card: ModelCard, showing: Showing) -> None:
        if showing.orientation != Orientation():
            raise video.not_turned()
        self.start_us, self.end_us = 0, video.duration_us or 0
        self.sensor = Resolution(card.input.width, card.input.height)  # of a picture that the network sees
        self._frames = video.frames(card.input.slice, card.input)

    def frames(self) -> Iterator[Frame]:
        """Yield all frames."""
        return self._frames

    def filmed(self, film: _Filming) -> Iterator[Frame]:
        """Yield frames until all pictures are taken, each of the newest frame."""
        newest: Frame | None = None
        for frame in self._frames:
            while newest is not None and (due_us := film.due_us) is not None and due_us < frame.t:
                film.take(frame_picture(newest), due_us)
            if film.due_us is None:
                return
            newest = frame
            yield frame
        while newest is not None and (due_us := film.due_us) is not None:
            film.take(frame_picture(newest), due_us)


_Played = _Events | _Video


def _results(frames: Iterable[Frame], model: Model, showing: Showing) -> Iterator[Result]:
    choices = showing.choices
    return run_frames(frames, model, state=choices.state_mode, decider=choices.decider_of(model.card))


def _write_film(path: Path, played: _Played, model: Model, showing: Showing, span: _Span) -> int:
    """Return how many pictures were written."""
    film = _Filming(path, model.card, showing, played.sensor, span)
    try:
        for result in _results(played.filmed(film), model, showing):
            film.newest = result
            span.reached(result.t)
        film.file.close()
    finally:
        film.file.abandon()
    return film.pictures


def _write_table(path: Path, played: _Played, model: Model, showing: Showing, span: _Span) -> int:
    """Return how many rows were written: one a frame, once the first window is full."""

    def rows() -> Iterator[DecisionRow]:
        for result in _results(played.frames(), model, showing):
            if result.t >= span.to_us:
                return
            span.reached(result.t)
            if result.t >= span.from_us and result.window_seen:
                yield row_of(result)

    return write_rows(path, model.card.classes, rows())


def export_last(
    control: Control, out: Path, showing: Showing, *, overwrite: bool = False, progress: Progress = untold
) -> Exported:
    """Write a live source's last seconds, which the pre-roll keeps: a film, or a recording of events (.aedat4).

    Raises as `export`, and SourceError where nothing is kept.
    """
    with written_whole(out, None, overwrite=overwrite) as part:
        film = out.suffix.lower() in PICTURES_PER_S
        events = part.with_suffix(AEDAT4) if film else part
        try:
            count = _record_last(control, events, out, progress)
            if film:
                upright = replace(showing, orientation=Orientation())  # they are already
                count = export(events, part, upright, progress=progress).count
        finally:
            if film:
                events.unlink(missing_ok=True)
    return Exported(out, out.suffix.lower()[1:], count)


def _record_last(control: Control, path: Path, out: Path, progress: Progress) -> int:
    """Return how many events were written to ``path``; errors name ``out``."""
    recorder = control.record_last(path)
    if recorder is None:
        raise SourceError(f"{out}: no live source is open: open it again")
    try:
        while not recorder.wait(WAKE_S):
            progress(0.0)
    finally:
        recorder.close()
    if recorder.error is not None:
        raise SourceError(str(recorder.error).replace(str(path), str(out))) from recorder.error
    if not recorder.recorded.events:
        raise SourceError(f"{out}: no event came in the last seconds: wait for some")
    return recorder.recorded.events
