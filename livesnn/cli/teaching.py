"""The command that teaches a model a gesture of one's own. Not here: training (lab.py), the window (window.py)."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated

import tyro

from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.console import say, share_done, write, write_json
from livesnn.errors import SourceError
from livesnn.files import expanded
from livesnn.paths import own_models_dir
from livesnn.teach import describe_lesson


def teach(
    gesture: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GESTURE")],
    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    /,
    *,
    model: str = "gestures",
    out: Path | None = None,
    seconds: float = 10.0,
    others: tuple[str, ...] = (),
    denoise: bool = False,
    turned: Turned = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Teach a model a gesture of your own, from seconds of it; the model that knows it is a new folder.

    Parameters
    ----------
    gesture
        What to call it; if MODEL was taught a gesture of this name, it learns more of that, as of another person.
    sources
        Recordings in which it is performed all the time; or camera, camera:SERIAL, webcam, tcp://HOST:PORT,
        simulate:flap: then perform it once it says so, after three seconds. Four seconds or more; of several people,
        if others than you are to be recognised. Of a recording with labels, where the label GESTURE holds.
    model
        Name of a model, or a model folder; one that was taught before learns another gesture.
    out
        The new model folder; default: MODEL-GESTURE among your own models, which --model finds by that name; with a
        number where that is there.
    seconds
        How much of each source is used; of recordings with labels all that is labelled so.
    others
        Recordings in which it isn't performed, such as of yourself standing still. Models that weren't trained on
        simulated people need some of what they know.
    denoise
        Drop noise first, as livesnn run --denoise does: for a model that is to be run so.
    json
        As JSON.
    """
    from livesnn.teach import check_lesson, check_out, own_folder
    from livesnn.teach.add_class import teach as learn
    from livesnn.teach.clips import Clip, read_clips

    card = check_lesson(gesture, model, others=bool(others))
    folder = own_folder(model, gesture) if out is None else expanded(out)
    check_out(folder)
    _check_sources(gesture, sources, others)
    read = partial(read_clips, spec=card.input, orientation=turned.orientation, denoise=denoise, tell=_tell)
    clips: list[Clip] = []
    for source in sources:
        clips += read(source, seconds=seconds, label=gesture)
    not_it = [clip for source in others for clip in read(source, unless=gesture)]
    with share_done("livesnn teach: simulating what the model knows", after_s=1.0) as progress:
        lesson = learn(gesture, clips, model, folder, others=not_it, progress=progress)
    if json:
        write_json(asdict(lesson) | {"poor": lesson.poor})
    else:
        own = Path(lesson.folder).parent == own_models_dir()
        write("\n".join(describe_lesson(lesson)))
        write(f"the model is {lesson.folder}")
        write(f"livesnn gui SOURCE --model {quote(Path(lesson.folder).name if own else lesson.folder)}")
    return 0


def _tell(line: str) -> None:
    say(f"livesnn teach: {line}")


def _check_sources(gesture: str, sources: tuple[str, ...], others: tuple[str, ...]) -> None:
    from livesnn.events.formats import asked
    from livesnn.events.labels import labels_file
    from livesnn.sources import is_live

    if not sources:
        first = ", and before them what to call it" if is_live(gesture) or expanded(gesture).exists() else ""
        raise SourceError(f"nothing shows {gesture}: give recordings of it, or camera{first}")
    for number, source in enumerate(sources):
        if source in sources[:number]:
            raise SourceError(f"{source} is there twice: give each source once")
        if source in others and not labels_file(asked(expanded(source)).file).exists():
            raise SourceError(
                f"{source} can't show {gesture} and be among --others: give it once, or label it"
            )
    if live := [source for source in others if is_live(source)]:
        raise SourceError(f"--others {live[0]} never ends: give recordings (livesnn record makes them)")
