"""What a source shows, written to a file: a film (.mp4) or a table of the decisions (.csv) of a recording or a video.

The network runs from the recording's start, as in `livesnn run`, and as fast as it can. Stretches of events are
written by events/convert.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from livesnn.errors import SourceError
from livesnn.events.convert import written_whole
from livesnn.events.filters import Orientation, Stretch
from livesnn.events.recording import Recording
from livesnn.infer.load import Engine, load_model
from livesnn.infer.model import Model
from livesnn.infer.run import FrameStream, run_frames
from livesnn.infer.switching_engine import in_use
from livesnn.progress import Progress, no_progress, share_of_time
from livesnn.session.control import Choices
from livesnn.session.decision_table import DecisionRow, write_rows
from livesnn.sources import is_live, open_source
from livesnn.video.frame_source import FrameSource

MP4, CSV, AEDAT4 = ".mp4", ".csv", ".aedat4"


@dataclass(frozen=True)
class ExportSpec:
    """How a recording is shown in a file: the model, and what the window lets a person choose.

    A film is as fast as the speed of ``choices`` says, 1× where that is without a limit; loop and pre-roll mean
    nothing here.
    """

    model: str | Path
    engine: Engine = "auto"
    choices: Choices = field(default_factory=Choices)
    orientation: Orientation = field(default_factory=Orientation)


@dataclass(frozen=True)
class ExportReport:
    """What was written: ``count`` pictures of a film, or rows of a table."""

    out: Path
    format: str
    count: int
    warnings: tuple[str, ...] = ()


def export(
    source: str | Path,
    out: Path,
    spec: ExportSpec,
    *,
    stretch: Stretch = Stretch(),  # noqa: B008 (frozen)
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> ExportReport:
    """Write a film of a recording or a video, or a table of its decisions: all of it, or nothing after an error.

    The suffix of ``out`` says the format. Raises LivesnnError if ``source`` or the model can't be opened or don't fit
    each other, ``out`` can't be written or exists, or there is nothing in ``stretch``.
    """
    suffix = out.suffix.lower()
    if suffix not in (MP4, CSV):
        raise SourceError(f"{out}: the name doesn't say the format: choose one that ends in {MP4} or {CSV}")
    if is_live(str(source)):
        raise SourceError(f"{source}: a live source has no past to write: record it first")
    with (
        written_whole(out, Path(source), overwrite=overwrite) as part,
        in_use(load_model(spec.model, spec.engine)) as model,
        closing(open_source(source, progress=progress)) as opened,
    ):
        assert isinstance(opened, Recording | FrameSource)  # it isn't live
        if isinstance(opened, FrameSource):
            start_us, end_us = 0, opened.duration_us or 0
        else:
            start_us, end_us = opened.t_start, opened.t_end
        stretch_us = stretch.times_us(start_us, end_us)

        def reached(t_us: int) -> None:
            progress(share_of_time(t_us, start_us, stretch_us[1]))

        if suffix == MP4:
            from livesnn.session.film import write_film  # OpenCV would slow the start

            count = write_film(part, opened, model, spec.choices, spec.orientation, stretch_us, reached)
        else:
            count = _write_table(part, opened, model, spec, stretch_us, reached)
        if not count:
            window = model.card.input.window
            raise SourceError(
                f"{source}: there is no decision {stretch.words}: the first one follows after {window} frames, so "
                "choose a longer section"
            )
        return ExportReport(out, suffix[1:], count, tuple(opened.warnings))


def _write_table(
    path: Path,
    source: Recording | FrameSource,
    model: Model,
    spec: ExportSpec,
    stretch_us: tuple[int, int],
    reached: Callable[[int], None],
) -> int:
    """Return how many rows were written: one a frame, once the first window is full."""
    choices = spec.choices
    denoise = choices.denoise and not isinstance(source, FrameSource)
    frames = FrameStream(source, model.card.input, orientation=spec.orientation, denoise=denoise)

    def rows() -> Iterator[DecisionRow]:
        for result in run_frames(frames, model, state=choices.state_mode, decider=choices.decider_of(model.card)):
            if result.t >= stretch_us[1]:
                return
            reached(result.t)
            if result.t >= stretch_us[0] and result.window_seen:
                yield DecisionRow.of(result)

    return write_rows(path, model.card.classes, rows())
