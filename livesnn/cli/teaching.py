"""The command teach: a gesture is taught from live sources or recordings, corrected, renamed or removed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from livesnn.card import ModelCard
from livesnn.cli.options import AS_IT_COMES, Mounting
from livesnn.cli.parser import Flag, UsageError
from livesnn.console import say, share_done, write, write_json
from livesnn.errors import SourceError
from livesnn.events.filters import Orientation
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.labels import labels_file, read_labels
from livesnn.files import expanded
from livesnn.infer.load import model_folder
from livesnn.paths import own_models_dir
from livesnn.sources import event_source, is_live, open_source
from livesnn.teach.lesson import Recordings, forget, lessons_dir, new_recording, recordings_of
from livesnn.teach.model import (
    AlreadyRecognisedError,
    Resemblance,
    as_taught,
    check_lesson,
    check_out,
    describe,
    own_folder,
)

IfKnown = Literal["ask", "go-on", "stop", "alias"]


def teach(
    gesture: str,
    sources: Annotated[tuple[str, ...], Flag("SOURCE")] = (),
    /,
    *,
    model: str = "gestures",
    out: Path | None = None,
    seconds: Annotated[float, Flag("SECONDS")] = 10.0,
    others: Annotated[tuple[str, ...], Flag("RECORDING")] = (),
    denoise: bool = False,
    if_known: IfKnown = "ask",
    again: bool = False,
    rename: str = "",
    remove: bool = False,
    mounting: Mounting = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Teach a model a gesture of your own from a few seconds of it.

    The model that knows the gesture is written to a new folder.

    Parameters
    ----------
    gesture
        Name of the gesture. If the model was taught it before, it learns more of it, for example from another person.
    sources
        Recordings that show the gesture for four seconds or more, all the time or where a label GESTURE says so. Or
        a live source: camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:flap. livesnn then says when
        to stand still and when to perform. Record several people if the model should recognise others than you.
    model
        Name of a model, or a model folder. A model that was taught before can learn another gesture.
    others
        Recordings without the gesture, such as of yourself standing still. A model that wasn't trained on simulated
        people also needs some of the gestures it knows.
    seconds
        Time to use from each source. Of a labelled recording, all the labelled time is used.
    out
        The new model folder. Default: MODEL-GESTURE among your own models, which --model then finds by name.
    denoise
        Drop noise first, as livesnn run --denoise does. Use it if you will run the model with --denoise.
    if_known
        What to do if the model already recognises the gesture as another one. ask goes on if there is no terminal.
        stop learns nothing, and with --json prints what was recognised. alias learns nothing either, but makes
        GESTURE the new name of the one that was recognised.
    again
        Forget earlier lessons of this gesture. Without SOURCE, it is learned again from the recordings of these
        lessons and of what it isn't, together with --others.
    rename
        Learn nothing, and give a gesture that the model knows this name.
    remove
        Learn nothing, and remove a gesture that was taught.
    json
        Print JSON.
    """
    from livesnn.teach import correct
    from livesnn.teach.lesson import Take, read_takes, record_lesson

    gesture = as_taught(gesture, model)
    folder = own_folder(model, gesture, rename) if out is None else expanded(out)
    if rename or remove:
        if sources or others or again or (rename and remove):
            raise UsageError("--rename NAME and --remove learn nothing: give GESTURE and --model only")
        return _change(gesture, rename, model, folder, json=json)
    if again and not sources:
        known = _recorded(gesture, model)
        sources, others, denoise = known.shown, (*known.others, *others), denoise or known.denoise
    card = check_lesson(gesture, model, others=bool(others))
    check_out(folder)
    _check_sources(gesture, sources, others)
    least_s = correct.LEAST_WINDOWS * card.input.window_s
    if not math.isfinite(seconds) or (all(map(is_live, sources)) and len(sources) * seconds < least_s):
        raise UsageError(f"{gesture} can't be learned from --seconds {seconds:g}: give {least_s:g} or more")
    decided = if_known

    def read(file: str, **of: Any) -> list[Take]:
        upright = expanded(file).absolute().parent == lessons_dir().absolute()
        turned = Orientation() if upright else mounting.upright
        return read_takes(file, card.input, orientation=turned, denoise=denoise, tell=_tell, **of)

    def go_on(known_as: Resemblance) -> bool:
        nonlocal decided
        decided = _asked(known_as) if if_known == "ask" and not json else if_known
        return decided not in ("stop", "alias")

    with ExitStack() as unless_learned:
        not_it = [take.clip for source in others for take in read(source, unless=_label(source, gesture, card))]
        takes: list[Take] = []
        files: list[str] = []
        for source in sorted(sources, key=is_live):  # nobody performs for nothing where a file can't be read
            file = source
            if is_live(source):
                file = str(path := new_recording(gesture))
                opened = event_source(open_source(source, sensor=mounting.sensor))
                record_lesson(opened, path, gesture, seconds=seconds, orientation=mounting.upright, tell=_tell)
                unless_learned.callback(forget, path)
            files.append(file)
            takes += read(file, seconds=seconds, label=_label(source, gesture, card))
        try:
            with share_done("livesnn teach: simulating the gestures that the model knows", after_s=1.0) as progress:
                report = correct.teach(
                    gesture,
                    takes,
                    model,
                    folder,
                    others=not_it,
                    recordings=Recordings(_absolute(files), _absolute(others), denoise),
                    again=again,
                    progress=progress,
                    go_on=go_on,
                )
        except AlreadyRecognisedError as error:
            if decided == "alias":
                return _change(error.resemblance.label, gesture, model, folder, json=json)
            if not json:
                raise
            write_json({"recognised": asdict(error.resemblance)})
            return 0
        unless_learned.pop_all()
    if json:
        write_json(asdict(report) | {"poor": report.poor, "recordings": files})
    else:
        write("\n".join([*describe(report), *(f"the recording is {file}" for file in files if file not in sources)]))
        turned = [*(["--rotate", str(mounting.rotate)] if mounting.rotate else []), *["--mirror"] * mounting.mirror]
        _say_where(folder, next(filter(is_live, sources), "SOURCE"), turned)
    return 0


def _absolute(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(expanded(each).absolute()) for each in files)


def _say_where(folder: Path, source: str = "SOURCE", flags: Iterable[str] = ()) -> None:
    write(f"the model is {folder}")
    name = folder.name if folder.parent == own_models_dir() else str(folder)
    write(" ".join(["livesnn gui", quote(source), *flags, "--model", quote(name)]))


def _change(gesture: str, name: str, model: str, folder: Path, *, json: bool) -> int:
    """Rename a class, or remove it if there is no name."""
    from livesnn.teach.correct import change_class

    change_class(gesture, model, folder, name=name)
    if json:
        write_json({"folder": str(folder), "gesture": gesture, "name": name or None})
    else:
        write(f"{gesture} is now called {name}" if name else f"{gesture} is removed")
        _say_where(folder)
    return 0


def _recorded(gesture: str, model: str) -> Recordings:
    """Return the recordings of a gesture's earlier lessons that are still there, and of what it isn't."""
    known = recordings_of(model_folder(model)).get(gesture, Recordings())
    there = known.there
    for file in {*known.shown, *known.others} - {*there.shown, *there.others}:
        _tell(f"{file} isn't there any more, so it isn't learned from")
    if not there.shown:
        raise SourceError(f"{model} has no recordings of {gesture}: give some, or teach it live again")
    return there


def _label(source: str, gesture: str, card: ModelCard) -> str:
    """Return what labels of a recording call a gesture: as the model does, or as it did when it was taught."""
    first = card.renamed.get(gesture, gesture)
    if is_live(source) or first == gesture:
        return gesture
    return first if any(each.label == first for each in read_labels(expanded(source))) else gesture


def _tell(line: str) -> None:
    say(f"livesnn teach: {line}")


def _asked(known_as: Resemblance) -> IfKnown:
    """Ask what to do with a gesture that is known already."""
    if sys.stdin is None or not sys.stdin.isatty():
        _tell(f"{known_as.question} Yes, since there is no terminal to answer in (--if-known stop)")
        return "go-on"
    _tell(f"{known_as.question} [y: yes, N: no, a: no, but call {known_as.label} by the new name]")
    answer = sys.stdin.readline().strip().casefold()
    return "alias" if answer in ("a", "alias") else "go-on" if answer in ("y", "yes") else "stop"


def _check_sources(gesture: str, sources: tuple[str, ...], others: tuple[str, ...]) -> None:
    if not sources:
        first = ", after the name of the gesture" if is_live(gesture) or expanded(gesture).exists() else ""
        raise SourceError(f"no source shows {gesture}: give recordings of it, or camera{first}")
    for number, source in enumerate(sources):
        if source in sources[:number]:
            raise SourceError(f"{source} is given twice: give each source once")
        if source in others and not labels_file(parse_recording_path(expanded(source)).file).exists():
            raise SourceError(f"{source} is also among --others: give it once, or label where it shows {gesture}")
    if live := [source for source in others if is_live(source)]:
        raise SourceError(f"--others {live[0]} is a live source: give recordings, which livesnn record makes")
