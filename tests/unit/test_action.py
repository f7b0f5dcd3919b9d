"""When a rule fires, and what is done then."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from livesnn.__main__ import main
from livesnn.errors import LivesnnError
from livesnn.infer.run import Result
from livesnn.outputs import action
from livesnn.outputs.action import (
    MOST_WAITING,
    Action,
    ActionRunner,
    Firing,
    Onset,
    Rule,
    follow,
    perform,
    split_command,
)
from livesnn.paths import recordings_dir
from tests.decided import result
from tests.waiting import eventually

RUN = Action("command", (sys.executable, "-c", ""))
NEVER = threading.Event()


def fires_at(rule: Rule, *results: Result) -> list[float]:
    """Return when a rule fires, ms."""
    onset, times = Onset(), []
    for each in results:
        onset, fires = follow(rule, onset, each)
        times += [each.t / 1000] * fires
    return times


def held(decision: str | None, from_ms: int, to_ms: int, *, every_ms: int = 50) -> list[Result]:
    return [result(t_ms, decision) for t_ms in range(from_ms, to_ms, every_ms)]


# When a rule fires


def test_a_rule_fires_once_for_each_time_that_its_class_begins() -> None:
    rule = Rule(RUN, "wave", every_s=0)
    stream = [
        *held(None, 0, 200),
        *held("wave", 200, 900),
        *held("clap", 900, 1200),
        *held("wave", 1200, 1500),
    ]
    assert fires_at(rule, *stream) == [200, 1200]


def test_a_rule_waits_until_its_class_was_decided_for_as_long_as_it_says() -> None:
    rule = Rule(RUN, "wave", held_ms=300, every_s=0)
    stream = [*held("wave", 0, 300), *held(None, 300, 400), *held("wave", 400, 1000)]
    assert fires_at(rule, *stream) == [700]


def test_a_rule_for_any_gesture_fires_for_each_class_but_not_for_other() -> None:
    stream = [
        *held("wave", 0, 200),
        *held("other", 200, 400),
        *held("clap", 400, 600),
        *held("wave", 600, 800),
    ]
    assert fires_at(Rule(RUN, every_s=0), *stream) == [0, 400, 600]
    assert fires_at(Rule(RUN, "other", every_s=0), *stream) == [200]


def test_a_decision_that_begins_again_too_soon_does_nothing() -> None:
    rule = Rule(RUN, "wave", every_s=1)
    stream = [*held("wave", 0, 200), *held(None, 200, 300), *held("wave", 300, 1500), *held(None, 1500, 1600)]
    assert fires_at(rule, *stream, *held("wave", 1600, 1800)) == [0, 1600]


def test_a_decision_gone_stale_is_over() -> None:
    rule = Rule(RUN, "wave", held_ms=500, every_s=0)
    assert fires_at(rule, *held("wave", 0, 450), *held("wave", 5000, 5450)) == []
    assert fires_at(Rule(RUN, "wave"), *held("wave", 0, 450), *held("wave", 5000, 5450)) == [0, 5000]


def test_a_reset_and_a_jump_back_in_time_end_a_decision() -> None:
    rule = Rule(RUN, "wave", held_ms=300, every_s=0)
    assert fires_at(rule, *held("wave", 0, 250), result(250, "wave", reset=True), *held("wave", 300, 500)) == []
    assert fires_at(rule, *held("wave", 1000, 1250), *held("wave", 0, 250)) == []


def test_a_recording_that_starts_again_may_fire_at_once() -> None:
    rule = Rule(RUN, "wave", every_s=60)
    assert fires_at(rule, *held("wave", 1000, 1250), *held("wave", 0, 250)) == [1000, 0]


def test_a_rule_that_is_switched_off_does_nothing() -> None:
    assert fires_at(Rule(RUN, active=False), *held("wave", 0, 1000)) == []


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("command", ()),
        ("command", ("",)),
        ("post", ()),
        ("post", ("file:///etc/passwd",)),
    ],
)
def test_an_action_that_cannot_be_done_is_refused(kind: action.ActionKind, arguments: tuple[str, ...]) -> None:
    with pytest.raises(LivesnnError, match="give"):
        Action(kind, arguments)


def test_a_rule_with_impossible_times_is_refused() -> None:
    with pytest.raises(LivesnnError, match="-1 ms"):
        Rule(RUN, held_ms=-1)
    with pytest.raises(LivesnnError, match="-1 s"):
        Rule(RUN, every_s=-1)


# What is done


def firing(what: Action, decision: str = "wave") -> Firing:
    return Firing(Rule(what, decision), decision, 0.875, 1_500_000)


def python(program: str, *arguments: str) -> Action:
    return Action("command", (sys.executable, "-c", program, *arguments))


def test_a_command_gets_its_arguments_as_they_are_and_the_decision_in_its_environment(tmp_path: Path) -> None:
    file = tmp_path / "told"
    told = "import os, sys; open(sys.argv[1], 'w').write(' '.join([sys.argv[2], *(os.environ['LIVESNN_' + name] "
    told += "for name in ('DECISION', 'CONFIDENCE', 'T'))]))"
    perform(firing(python(told, str(file), "$HOME; *")), NEVER)
    assert file.read_text() == "$HOME; * wave 0.875 1500000"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (Action("command", ("no-such-program",)), "no such program"),
        (python("import sys; sys.exit('out of paper')"), "out of paper"),
        (Action("post", ("http://127.0.0.1:1/",)), "127.0.0.1:1.*: check the address"),
        (Action("command", (sys.executable, "\0")), "embedded null byte"),
        (python("import sys; sys.exit('y' * 100_000)"), "y" * 500 + "…"),
    ],
)
def test_an_action_that_fails_says_why_in_one_short_line(what: Action, why: str) -> None:
    with pytest.raises(LivesnnError, match=why) as raised:
        perform(firing(what), NEVER)
    assert len(str(raised.value)) < 600


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "COMMAND_LIMIT_S", 0.3)
    with pytest.raises(LivesnnError, match="not within"):
        perform(firing(python("import time; time.sleep(60)")), NEVER)


@contextmanager
def web_server(status: int = 200) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Yield the address of a server and what is posted: path and body."""
    asked: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"] or 0))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_address_is_called_with_the_decision() -> None:
    with web_server() as (address, asked):
        perform(firing(Action("post", (f"{address}/ä lamp",))), NEVER)
    ((path, body),) = asked
    assert path == "/%C3%A4%20lamp"
    assert json.loads(body) == {"decision": "wave", "confidence": 0.875, "t": 1_500_000}


def test_an_address_that_refuses_says_so() -> None:
    with web_server(status=503) as (address, _), pytest.raises(LivesnnError, match="503"):
        perform(firing(Action("post", (address,))), NEVER)


def test_an_address_that_answers_drop_by_drop_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "ADDRESS_LIMIT_S", 0.5)
    given_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not given_up.wait(0.05):
                    connection.sendall(b"1")

        thread = threading.Thread(target=drip)
        thread.start()
        began_s = time.monotonic()
        with pytest.raises(LivesnnError, match=r"^timed out: check the address"):
            perform(firing(Action("post", (f"http://127.0.0.1:{server.getsockname()[1]}",))), NEVER)
        took_s = time.monotonic() - began_s
        given_up.set()
        thread.join()
    assert 0.4 < took_s < 10


# The runner


def test_a_slow_action_holds_no_live_result_up_and_what_is_late_is_dropped() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), list[Firing]()

    def slow(what: Firing, stop: threading.Event) -> None:
        begun.set()
        go_on.wait(20)
        done.append(what)

    with closing(ActionRunner([Rule(RUN, "wave", every_s=0)], pytest.fail, do=slow)) as runner:
        runner.see(result(0, "wave"))
        assert begun.wait(20)
        for number in range(1, 100):
            runner.see(result(100 * number, None))
            runner.see(result(100 * number + 50, "wave"))
        go_on.set()
    assert len(done) == 1 + MOST_WAITING
    assert runner.dropped == 99 - MOST_WAITING
    assert done[-1].t_us == 9_950_000


def test_every_decision_of_a_recording_is_acted_on() -> None:
    done = list[Firing]()
    rules = [Rule(RUN, "wave", every_s=0)]
    with closing(ActionRunner(rules, pytest.fail, live=False, do=lambda what, stop: done.append(what))) as runner:
        for number in range(100):
            runner.see(result(100 * number, None))
            runner.see(result(100 * number + 50, "wave"))
    assert (len(done), runner.dropped) == (100, 0)


def test_a_failing_action_is_said_once_until_it_succeeds_again() -> None:
    said, works, tried = list[str](), threading.Event(), list[bool]()

    def now_and_then(what: Firing, stop: threading.Event) -> None:
        tried.append(works.is_set())
        if not works.is_set():
            raise LivesnnError("out of paper")

    def act(runner: ActionRunner) -> None:
        before = len(tried)
        runner.put(firing(RUN))
        eventually(lambda: len(tried) > before)

    with closing(ActionRunner([], said.append, do=now_and_then)) as runner:
        act(runner)
        act(runner)
        works.set()
        act(runner)
        works.clear()
        act(runner)
    assert said == [f"{RUN.words}: out of paper"] * 2


def test_what_the_caller_does_is_only_returned() -> None:
    rules = [Rule(Action("record"), "wave"), Rule(Action("stop_recording"), "clap")]
    with closing(ActionRunner(rules, pytest.fail)) as runner:
        fired = [
            *runner.see(result(0, "wave")),
            *runner.see(result(50, "wave")),
            *runner.see(result(99, "clap")),
        ]
    assert [each.rule.action.kind for each in fired] == ["record", "stop_recording"]


# On the command line


def test_a_command_line_is_split_and_nothing_else_of_a_shell_is_understood() -> None:
    assert split_command("notify-send 'a wave' $HOME # now") == ("notify-send", "a wave", "$HOME", "#", "now")
    with pytest.raises(LivesnnError, match="quotation"):
        split_command("say 'hello")


def test_run_acts_on_each_decision_of_a_recording(
    data_recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "decisions"
    program = f"import os; print(os.environ['LIVESNN_DECISION'], file=open({str(file)!r}, 'a'))"
    line = f'"{sys.executable}" -c "{program}"'
    assert main(["run", str(data_recording), "--json", "--on-decision", line, "--on-decision-every", "0"]) == 0
    assert set(file.read_text().split()) == {"arm_roll"}
    for printed in capfd.readouterr().out.splitlines():
        json.loads(printed)


@pytest.mark.parametrize(("line", "why"), [("nowhere at all", "no program 'nowhere'"), ("", "no command")])
def test_a_program_that_is_not_there_is_said_before_anything_begins(
    data_recording: Path, line: str, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(data_recording), "--on-decision", line]) == 1
    printed = capfd.readouterr()
    assert why in printed.err
    assert printed.out == ""


@pytest.fixture
def data_recording() -> Path:
    return recordings_dir() / "arm_roll.aedat4"
