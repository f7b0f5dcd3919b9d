"""The command that lets other programs have decisions and events. Not here: how (publish.py, events/served.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

from livesnn.cli.deciding import AS_USUAL, Decisions
from livesnn.cli.streams import Source, described, notice, reading
from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.errors import LivesnnError, SourceError
from livesnn.report import say, write, write_json

if TYPE_CHECKING:
    from livesnn.events import EventSource
    from livesnn.events.orientation import Orientation
    from livesnn.events.tcp import Address

DECISIONS_PORT = 7780


def publish(
    source: Source,
    /,
    *,
    decisions_port: int | None = None,
    events_port: int | None = None,
    host: str = "127.0.0.1",
    model: str | None = None,
    engine: Literal["auto", "onnx", "spike", "torch"] = "auto",
    decisions: Decisions = AS_USUAL,
    seconds: float | None = None,
    denoise: bool = False,
    turned: Turned = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Let other programs have decisions, events or both, by TCP: a robot, or a window on another computer.

    Parameters
    ----------
    source
        camera, camera:SERIAL, tcp://HOST:PORT, simulate:gestures or simulate:digits, until Ctrl-C; or a recording of
        events, in its own time.
    decisions_port
        Where programs get a line of JSON a frame, as livesnn run --json --every frame has them; default: 7780, or
        none where --events-port is given alone. Try it: nc localhost 7780
    events_port
        Where programs get the events, as from dv-processing's NetworkWriter: livesnn gui tcp://HOST:PORT shows them.
        Given alone, no model is needed.
    host
        This machine's address that is listened at. 0.0.0.0 lets other computers in, whoever they are.
    model
        Name of a model, or a model folder; default: gestures, of simulate:digits mnist-seq2.
    engine
        What runs the network; see livesnn run.
    seconds
        End after so long.
    denoise
        Decide without noise, as livesnn run does; events are published with it.
    json
        The summary at the end as JSON.
    """
    from livesnn.events.tcp import Address

    around = _Around(source, None if events_port is None else Address(host, events_port), turned.orientation)
    if events_port is not None and decisions_port is None:
        return _events_alone(source, around, seconds, json)

    from livesnn.app.playing.demo import GESTURES, own_model  # without Qt
    from livesnn.infer import read_card
    from livesnn.infer.decide import Decider
    from livesnn.infer.headless import decide_all
    from livesnn.publish import Decisions as Published

    name = model or own_model(source) or GESTURES
    port = DECISIONS_PORT if decisions_port is None else decisions_port
    with Published(Address(host, port), source, read_card(name)) as published:
        say(f"livesnn publish: decisions at {published.address}")
        try:
            rows = decide_all(
                source,
                name,
                engine=engine,
                every="frame",
                decider=decisions.wanted.decider(Decider()),
                seconds=seconds,
                denoise=denoise,
                around=around,
                notify=_both(published.notice),
                reading=reading("publish", source),
            )
            for row in rows:
                published.tell(row)
        except LivesnnError as error:
            published.fail(error)
            raise
    described("publish", row, json=json)
    return 0


class _Around:
    """Makes a source upright, a recording last as long as it did, and its events other programs' too."""

    def __init__(self, name: str, events: Address | None, orientation: Orientation | None) -> None:
        self._name, self._events, self._orientation = name, events, orientation

    def __call__(self, source: EventSource) -> EventSource:
        from livesnn.events.orientation import Orientation
        from livesnn.events.recording import Recording
        from livesnn.events.replay import Replay
        from livesnn.events.served import Served
        from livesnn.events.upright import Upright

        if source.video is not None and not source.live:
            source.close()
            raise SourceError(
                f"{self._name}: a video file can't be published: give a camera, a stream or a recording of events"
            )
        timely = Replay(source) if isinstance(source, Recording) else source
        upright = Upright(timely, self._orientation or Orientation())
        if self._events is None:
            return upright
        served = Served(upright, self._events)
        say(f"livesnn publish: events at {served.address}")
        return served


def _both(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return what tells a person, and the programs, that a live source is lost, or back."""
    person = notice("publish")

    def told(line: str) -> None:
        person(line)
        tell(line)

    return told


def _events_alone(source: str, around: _Around, seconds: float | None, json: bool) -> int:
    """Publish events until there are no more, or Ctrl-C."""
    from livesnn.events.limited import Limited
    from livesnn.signals import ending_sets
    from livesnn.sources import open_source

    with reading("publish", source) as progress:
        opened = open_source(source, notify=notice("publish"), progress=progress)
    stop = threading.Event()
    ended = ending_sets(stop) if opened.live else nullcontext()
    with Limited(around(opened), seconds, stop) as limited, ended:
        for _ in limited:
            pass
        counted, warnings = limited.counters, tuple(limited.warnings)
    for warning in warnings:
        say(f"livesnn publish: {warning}")
    if json:
        write_json({"summary": {"events": counted.events, "dropped": counted.dropped, "warnings": warnings}})
    else:
        write(f"{counted.events:,} events, {counted.dropped:,} dropped")
    return 0
