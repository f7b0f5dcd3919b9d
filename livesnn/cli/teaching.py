"""The command that teaches a model a gesture of one's own. Not here: training (lab.py), the window (window.py)."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.errors import SourceError
from livesnn.files import expanded
from livesnn.paths import own_models_dir
from livesnn.report import describe_lesson, say, share_done, write, write_json


def teach(
    gesture: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GESTURE")],
    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    /,
    *,
    model: str = "gestures",
    out: Path | None = None,
    seconds: float = 10.0,
    others: tuple[str, ...] = (),
    turned: Turned = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Teach a model a gesture of your own, from seconds of it; the model that knows it is a new folder.

    Parameters
    ----------
    gesture
        What to call it.
    sources
        Recordings in which it is performed all the time, or camera, camera:SERIAL, tcp://HOST:PORT: then perform it
        now. Four seconds or more; of several people, if others than you are to be recognised. Of a recording with
        labels, where the label GESTURE holds.
    model
        Name of a model, or a model folder; one that was taught before learns another gesture.
    out
        The new model folder; default: MODEL-GESTURE among your own models, which --model finds by that name.
    seconds
        How much of each source is used.
    others
        Recordings in which it isn't performed, such as of yourself standing still. Models that weren't trained on
        simulated people need some of what they know.
    json
        As JSON.
    """
    from livesnn.infer import read_card
    from livesnn.teach import teach as learn
    from livesnn.teach.clips import Clip, read_clips
    from livesnn.teach.taught import check_out, own_folder

    folder = own_folder(model, gesture) if out is None else expanded(out)
    check_out(folder)
    if not sources:
        raise SourceError(f"nothing shows {gesture}: give recordings of it, or camera")
    spec, orientation = read_card(model).input, turned.orientation
    clips: list[Clip] = []
    for source in sources:
        clips += read_clips(
            source, spec, seconds=seconds, label=gesture, orientation=orientation, live=partial(_now, seconds)
        )
    not_it = [clip for source in others for clip in read_clips(source, spec, orientation=orientation)]
    with share_done("livesnn teach: simulating what the model knows", after_s=1.0) as progress:
        lesson = learn(gesture, clips, model, folder, others=not_it, progress=progress)
    if json:
        write_json(asdict(lesson))
    else:
        own = Path(lesson.folder).parent == own_models_dir()
        write("\n".join(describe_lesson(lesson)))
        write(f"livesnn gui SOURCE --model {Path(lesson.folder).name if own else lesson.folder}")
    return 0


def _now(seconds: float) -> None:
    say(f"livesnn teach: perform it now, for {seconds:g} s")
