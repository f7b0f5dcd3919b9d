"""The command that lets other programs have decisions and events. Not here: how (publish.py, events/served.py)."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, nullcontext
from typing import TYPE_CHECKING, Literal, Self

from livesnn.cli.deciding import AS_USUAL, Decisions
from livesnn.cli.streams import Source, described, notice, reading
from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.console import say, write, write_json
from livesnn.errors import SourceError

if TYPE_CHECKING:
    from livesnn.events.filters import Orientation
    from livesnn.events.packet import EventSource
    from livesnn.events.pipeline import See
    from livesnn.outputs.lines import Row, Summary
    from livesnn.outputs.tcp import PublishedDecisions
    from livesnn.video.frame_source import FrameSource

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
        camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:gestures or simulate:digits, until Ctrl-C; or a
        recording of events, in its own time.
    decisions_port
        Where programs get a line of JSON a frame, as livesnn run --json --every frame has them; default: 7780, or
        none where --events-port is given alone. Try it: nc localhost 7780
    events_port
        Where programs get the events, as from dv-processing's NetworkWriter: livesnn gui tcp://HOST:PORT shows them.
        Given alone, nothing is decided, and no model is needed.
    host
        This machine's address that is listened at. 0.0.0.0, or *, lets other computers in, whoever they are.
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
    from livesnn.app.player import GESTURES, own_model
    from livesnn.infer.decide import Decider
    from livesnn.outputs.lines import decide_all

    if seconds is not None and not seconds > 0:  # before anybody is let in
        raise SourceError(f"nothing can be published for {seconds:g} s: give more than 0, or none")
    if events_port is not None and decisions_port is None:
        if model is not None or engine != "auto" or denoise or decisions != AS_USUAL:
            raise SourceError(
                "--events-port alone publishes events as they come, and nothing is decided: add --decisions-port, or "
                "leave out --model, --engine, --denoise and what says when there is a decision"
            )
        with _Publisher(source, host, events_port, turned.upright) as publisher:
            return _events_alone(source, publisher, turned.upright, seconds, json)
    name = model or own_model(source) or GESTURES
    with _Publisher(source, host, events_port, turned.upright, name, decisions_port) as publisher:
        rows = decide_all(
            source,
            name,
            engine=engine,
            every="frame",
            decider=decisions.wanted.decider(Decider()),
            seconds=seconds,
            denoise=denoise,
            orientation=turned.upright,
            paced=True,
            listen=publisher.listen,
            notify=publisher.notify,
            reading=reading("publish", source),
        )
        for row in rows:
            publisher.tell(row)
    described("publish", row, json=json)
    return 0


class _Publisher:
    """What is published of a source, from its opening on; a context manager, which tells programs how it ended.

    ``model``: what decides; None: events alone are published.
    """

    def __init__(
        self,
        name: str,
        host: str,
        events_port: int | None,
        orientation: Orientation,
        model: str | None = None,
        decisions_port: int | None = None,
    ) -> None:
        self._name, self._orientation, self._model = name, orientation, model
        self._host = "0.0.0.0" if host == "*" else host
        self._events_port = events_port
        self._decisions_port = DECISIONS_PORT if decisions_port is None else decisions_port
        self._decisions: PublishedDecisions | None = None
        self._servers = ExitStack()

    def listen(self, source: EventSource | FrameSource) -> See | None:
        """Listen for programs; return what sends them each packet of events, or None."""
        from livesnn.events.cameras.server import Address, EventServer
        from livesnn.events.recording import Recording
        from livesnn.infer.model import read_card
        from livesnn.outputs.tcp import PublishedDecisions
        from livesnn.sources import event_source

        if not source.live and not isinstance(source, Recording):
            raise SourceError(
                f"{self._name}: a video file can't be published: give a camera, a stream or a recording of events"
            )
        if isinstance(source, Recording) and source.empty:
            raise SourceError(f"{self._name}: it has no events: give another recording")
        send: See | None = None
        if self._events_port is not None:
            events = event_source(source)
            resolution = self._orientation.resolution(events.resolution)
            server = EventServer(Address(self._host, self._events_port), resolution, events.name)
            self._servers.enter_context(server)
            send = server.send
            say(f"livesnn publish: events at {server.address}")
        if self._model is not None:
            address = Address(self._host, self._decisions_port)
            self._decisions = PublishedDecisions(address, self._name, read_card(self._model))
            say(f"livesnn publish: decisions at {self._decisions.address}")
        return send

    def notify(self, line: str) -> None:
        """Tell a person and the programs that a live source is lost, or back."""
        notice("publish")(line)
        if self._decisions is not None:
            self._decisions.notice(line)

    def tell(self, row: Row | Summary) -> None:
        """Tell the programs what is decided."""
        assert self._decisions is not None  # it is there before the first row
        self._decisions.tell(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._servers:
            if self._decisions is not None:
                with self._decisions:
                    if error is not None:
                        self._decisions.fail(error)


def _events_alone(
    source: str, publisher: _Publisher, orientation: Orientation, seconds: float | None, json: bool
) -> int:
    """Publish events until there are no more, or Ctrl-C."""
    from livesnn.events.pipeline import open_pipeline
    from livesnn.events.playback_clock import PlaybackClock
    from livesnn.events.recording import Recording
    from livesnn.sources import event_source, open_source
    from livesnn.threads import ending_sets

    with reading("publish", source) as progress:
        opened = event_source(open_source(source, notify=publisher.notify, progress=progress))
    stop = threading.Event()
    with closing(opened), ending_sets(stop) if opened.live else nullcontext():
        pipeline = open_pipeline(
            opened,
            clock=None if opened.live else PlaybackClock(),
            seconds=seconds,
            stop=stop,
            orientation=orientation,
            record=publisher.listen(opened),
            policy=None,
        )
        for _ in pipeline:
            pass
        others = opened.streams_left_out() if isinstance(opened, Recording) else []
        counted, warnings = pipeline.counters, (*others, *opened.warnings)
    for warning in warnings:
        say(f"livesnn publish: {warning}")
    if json:
        write_json({"summary": {"events": counted.events, "dropped": counted.dropped, "warnings": warnings}})
    else:
        write(f"{counted.events:,} events, {counted.dropped:,} dropped")
    return 0
