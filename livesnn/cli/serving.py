"""The command that tells others what a source shows: serve."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from livesnn.cli import options as flags
from livesnn.cli.recordings import reading
from livesnn.cli.streams import notice, write_decision
from livesnn.console import write, write_json
from livesnn.errors import SourceError
from livesnn.files import expanded

if TYPE_CHECKING:
    from livesnn.card import ModelCard
    from livesnn.events.cameras.network import Address
    from livesnn.events.packet import EventSource, Packet
    from livesnn.events.pipeline import See
    from livesnn.infer.decide import Decider
    from livesnn.infer.run import Result
    from livesnn.outputs.decisions import DecisionFeeds
    from livesnn.outputs.lines import Row, Summary
    from livesnn.outputs.loop import OutputLoop
    from livesnn.outputs.ros2 import Ros2Output
    from livesnn.outputs.served_source import ServedSource
    from livesnn.video.frame_source import FrameSource

PAGE_PORT = 7788


def serve(
    source: str,
    /,
    *,
    web: flags.Place = None,
    tcp: flags.Place = None,
    events: flags.Place = None,
    only: Literal["all", "changes"] = "all",
    page: flags.PageFlags = flags.PLAIN_PAGE,
    receivers: flags.ReceiverFlags = flags.NO_RECEIVERS,
    actions: flags.ActionFlags = flags.NO_ACTION,
    model: flags.Model = None,
    engine: flags.Engine = "auto",
    decisions: flags.DecisionFlags = flags.AS_USUAL,
    seconds: flags.Seconds = None,
    denoise: bool = False,
    mounting: flags.Mounting = flags.AS_IT_COMES,
    json: bool = False,
) -> int:
    """Show decisions on a web page, and send them to other programs.

    One network serves them all. A slow receiver misses something, but doesn't delay the others. Without any receiver,
    the page is served to this computer only.

    Parameters
    ----------
    source
        camera, camera:SERIAL, webcam, tcp://HOST:PORT, ros2:/TOPIC, simulate:gestures or simulate:digits, until
        Ctrl-C; or a recording of events, at its own speed.
    web
        Serve the page at this address, with /decisions and /status for programs. Without HOST, only this
        computer can connect. The host 0.0.0.0 or * lets other computers connect.
    tcp
        Send one line of JSON for each frame here, the same as livesnn run --json --every frame prints.
    events
        Send events here in dv-processing's network format. livesnn gui tcp://HOST:PORT shows them.
    only
        Send programs a line for every frame, or only one when the decision changes and one a second.
    model
        Name of a model, or a model folder. Default: the shipped model that fits the source, gestures for most.
    seconds
        Stop after this time.
    denoise
        Drop noise before deciding, as livesnn run --denoise does. Events that are shown or sent keep their noise.
    json
        Print the summary at the end as JSON.

    Other Parameters
    ----------------
    engine
        What runs the network. auto uses spike if that is compiled for the model, else onnx. torch needs
        livesnn[train].
    """
    from livesnn.events.filters import check_seconds
    from livesnn.outputs.loop import listening_socket

    starts, ros2 = receivers.starts(), receivers.ros2_node
    if ros2 is not None:
        from livesnn.outputs.ros2 import given_parameters

        given = given_parameters()
        source, model = given.get("source", source), given.get("model", model)
    others = bool(starts) or ros2 is not None
    if web is None and tcp is None and events is None and not others:
        web = str(PAGE_PORT)
    given_places = {"--web": web, "--tcp": tcp, "--events": events}
    places = {flag: flags.place_of(flag, text) for flag, text in given_places.items() if text is not None}
    only_events = web is None and tcp is None and not others and actions == flags.NO_ACTION
    if only_events and (model is not None or engine != "auto" or denoise or decisions != flags.AS_USUAL):
        raise SourceError(
            "--events only sends events: add --web, --tcp, --mqtt, --osc, --ros2 or --on-decision, or leave out "
            "--model, --engine, --denoise and the flags for decisions"
        )
    if web is None and (page if ros2 is None else replace(page, recordings=Path())) != flags.PLAIN_PAGE:
        raise SourceError(
            "--control, --recordings, --no-auth, --cert and --key are for the page: add --web, or leave them out"
        )
    page.check()
    check_seconds(seconds)
    with ExitStack() as open_at_once:  # before a model is loaded in vain
        for place in places.values():
            open_at_once.enter_context(listening_socket(place))
    server = _Server(source, places, mounting, only_changes=only == "changes", page=page, starts=starts, ros2=ros2)
    if only_events:
        return _serve_events(server, seconds, json=json)
    return _decide(server, model, engine, decisions, actions, seconds, denoise=denoise, json=json)


def _decide(
    server: _Server,
    model: str | None,
    engine: flags.Engine,
    decisions: flags.DecisionFlags,
    actions: flags.ActionFlags,
    seconds: float | None,
    *,
    denoise: bool,
    json: bool,
) -> int:
    from livesnn.infer.decide import Decider
    from livesnn.outputs.lines import RunOptions, decide_all

    server.decider = Decider().merge(decisions.given)
    options = RunOptions(model, engine, "carry", "frame", server.decider, seconds, denoise, server.orientation)
    with server, actions.following(server.say, live=True) as act:

        def see(result: Result) -> None:
            act(result)
            server.see(result)

        rows = decide_all(
            server.name,
            options,
            decider_now=server.decider_now,
            sensor=server.sensor,
            paced=True,
            listen=server.listen,
            see=see,
            reset_requested=server.take_reset,
            notify=server.notify,
            reading=reading("serve", server.name),
        )
        for row in rows:
            server.tell(row)
    write_decision("serve", row, json=json)
    return 0


def _serve_events(server: _Server, seconds: float | None, *, json: bool) -> int:
    from livesnn.events.pipeline import open_pipeline
    from livesnn.events.playback_clock import PlaybackClock
    from livesnn.events.recording import Recording
    from livesnn.signals import ending_sets
    from livesnn.sources import event_source, open_source

    with server:
        with reading("serve", server.name) as progress:
            opened = event_source(
                open_source(server.name, notify=server.notify, progress=progress, sensor=server.sensor)
            )
        stop = threading.Event()
        with closing(opened), ending_sets(stop) if opened.live else nullcontext():
            pipeline = open_pipeline(
                opened,
                clock=None if opened.live else PlaybackClock(),
                seconds=seconds,
                stop=stop,
                orientation=server.orientation,
                record=server.listen(opened),
                policy=None,
            )
            for _ in pipeline:
                pass
            others = opened.streams_left_out() if isinstance(opened, Recording) else []
            counted, warnings = pipeline.counters, (*others, *opened.warnings)
    for warning in warnings:
        server.say(warning)
    if json:
        write_json({"summary": {"events": counted.events, "dropped": counted.dropped, "warnings": warnings}})
    else:
        write(f"{counted.events:,} events, {counted.dropped:,} dropped")
    return 0


class _Server(ExitStack):
    """Everybody who is told about a source, once it is open; at its end all are let go.

    An error that ends the block is told too.
    """

    def __init__(
        self,
        name: str,
        places: Mapping[str, Address],
        mounting: flags.Mounting,
        *,
        only_changes: bool,
        page: flags.PageFlags,
        starts: Sequence[flags.Start],
        ros2: str | None,
    ) -> None:
        super().__init__()
        self.name, self.say = name, notice("serve")
        self.orientation = mounting.upright
        self.sensor = mounting.sensor
        self._places, self._only_changes, self._page = places, only_changes, page
        self._starts, self._ros2_namespace = starts, ros2
        self.decider: Decider  # as it was asked for, where something is decided
        self._ros2: Ros2Output | None = None
        self._decisions: DecisionFeeds | None = None
        self._served: ServedSource | None = None

    def listen(self, source: EventSource | FrameSource, card: ModelCard | None = None) -> See | None:
        """Listen for programs; return what looks at each packet of events, or None.

        ``card``: that of the model that decides; None: only events are sent.
        """
        from livesnn.console import json_line
        from livesnn.events.recording import Recording
        from livesnn.outputs.decisions import KEPT_BYTES, DecisionFeeds
        from livesnn.outputs.loop import OutputLoop
        from livesnn.outputs.tcp import EventOutput, TcpOutput
        from livesnn.sources import event_source

        if not source.live and not isinstance(source, Recording):
            raise SourceError(
                f"{self.name}: a video file can't be served: give a camera, a stream or a recording of events"
            )
        if isinstance(source, Recording) and source.empty:
            raise SourceError(f"{self.name}: the recording has no events: give another one")
        if card is not None and ("--web" in self._places or self._ros2_namespace is not None):
            from livesnn.outputs.served_source import ServedSource

            # Before the loop, so that it is closed after everybody has been told of the end.
            folder = expanded(self._page.recordings)
            self._served = self.enter_context(ServedSource(source, self.orientation, folder, self.notify))
        loop = self.enter_context(OutputLoop(self.say))
        watching: list[See] = []
        listening = []
        if "--events" in self._places:
            events = event_source(source)
            size = self.orientation.resolution(events.resolution)
            output = EventOutput(loop, self._places["--events"], size, events.name)
            watching.append(output.send_packet)
            listening.append(f"events at {output.address}")
        if card is not None:
            told = DecisionFeeds(loop, self.name, card, only_changes=self._only_changes)
            self._decisions = told
            self.push(self._tell_error)
            if (place := self._places.get("--tcp")) is not None:
                greeting = json_line(told.greeting)
                decisions = TcpOutput(loop, place, told.programs, greeting, buffer_bytes=KEPT_BYTES)
                listening.append(f"decisions at {decisions.address}")
            if (served := self._served) is not None and served.sees_events:
                watching.append(served.see_packet)
            if (place := self._places.get("--web")) is not None and served is not None:
                listening += self._listen_for_pages(loop, place, told, served)
            listening += [start(loop, told) for start in self._starts]
            if self._ros2_namespace is not None and served is not None:
                from livesnn.outputs.ros2 import Ros2Output

                self._ros2 = Ros2Output(loop, told, served, self._ros2_namespace, self.decider_now())
                listening.append(self._ros2.name)
        for line in listening:  # once nothing can fail any more
            self.say(line)

        def see(packet: Packet) -> None:
            for each in watching:
                each(packet)

        return see if watching else None

    def _listen_for_pages(
        self, loop: OutputLoop, place: Address, decisions: DecisionFeeds, served: ServedSource
    ) -> list[str]:
        """Serve the page; return what is to be said about it."""
        from livesnn.events.cameras.network import is_loopback, shown_host
        from livesnn.outputs.web import WebOutput

        page = self._page
        tls = page.tls()
        outside = not is_loopback(place.host)
        given = page.token()
        token = (given or secrets.token_urlsafe(16)) if outside and page.auth else None
        output = WebOutput(loop, place, decisions, served, token=token, tls=tls, control=page.control)
        scheme = "http" if tls is None else "https"
        url = f"{scheme}://{shown_host(place.host)}:{output.port}/"
        if token is not None:
            url += f"?token={'$LIVESNN_TOKEN' if given else token}"  # the log keeps no secret of long life
        said = [f"page at {url}"]
        if outside and tls is None:
            said.append("the page isn't encrypted: anyone on the network path can read it. Give --cert and --key")
        if outside and token is None:
            control = " and control it" * page.control
            said.append(f"the page has no token: anyone who can reach this computer can see it{control}")
        return said

    def _tell_error(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and self._decisions is not None:
            self._decisions.fail(error)

    def notify(self, line: str) -> None:
        """Say, and tell everybody, that a live source is lost or comes back."""
        self.say(line)
        if self._decisions is not None:
            self._decisions.notice(line)

    def see(self, result: Result) -> None:
        if self._served is not None:
            self._served.see_result(result)

    def decider_now(self) -> Decider:
        """Return when there is a decision: as it was asked for, until a parameter of ROS changes it."""
        return self.decider if self._ros2 is None else self._ros2.decider

    def take_reset(self) -> bool:
        """Return whether the page or ROS has asked for a reset since the last call."""
        return self._served is not None and self._served.take_reset()

    def tell(self, row: Row | Summary) -> None:
        assert self._decisions is not None  # it is there before the first row
        self._decisions.tell(row)
