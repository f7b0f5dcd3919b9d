"""What a person reads of the command line: help pages, what is said of a line that is wrong, and completion."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, make_dataclass
from pathlib import Path

import pytest

import livesnn
from livesnn.__main__ import main
from livesnn.cli.commands import COMMANDS, GROUPS, Command
from livesnn.cli.models import TRAINING_GROUPS
from livesnn.cli.parser import MORE_OPTIONS, Parser
from livesnn.train.resolve import Flags

WIDTH = 72


@pytest.fixture(autouse=True)
def _narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    heard = capsys.readouterr()
    assert heard.err == ""
    return heard.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    return heard.err


def test_the_first_page_names_every_command_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "--help").splitlines()
    for group, commands in GROUPS.items():
        below = lines[lines.index(group) + 1 :]
        named = [line.split(maxsplit=1) for line in below[: ([*below, ""]).index("")]]
        assert named == [[name, command.summary] for name, command in commands.items()]


@pytest.mark.parametrize(
    "code", ["import livesnn", "from livesnn.__main__ import main; main(['--help'])"], ids=["package", "first page"]
)
def test_the_first_page_and_the_package_import_next_to_nothing(code: str) -> None:
    code = f"import sys; {code}; print({{'numpy', 'argparse', 'torch', 'PySide6'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_package_shows_its_public_names_and_imports_neither_torch_nor_qt() -> None:
    assert set(dir(livesnn)) == {"__version__", "frames", "load_model", "open_source", "run"}
    code = (
        "import sys, livesnn; livesnn.load_model, livesnn.open_source, livesnn.run;"
        "print({'torch', 'PySide6'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_fits_the_terminal_and_begins_with_what_the_first_page_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = shown(capsys, name, "--help")
    assert COMMANDS[name].summary in " ".join(page.split())
    assert (COMMANDS[name].load().__doc__ or "").startswith(COMMANDS[name].summary)
    assert "None" not in page
    for line in page.splitlines():
        assert len(line) <= WIDTH or len(line.split()) == 1 or "livesnn" in line


def test_flags_stand_in_groups_the_most_needed_first(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "run", "-h")
    titles = [line for line in page.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles[1] == "Options:"
    assert titles[-1] == f"{MORE_OPTIONS}:"
    assert page.index("--model") < page.index("--rotate") < page.index("--engine")
    assert "--engine auto|onnx|spike|torch" in page
    assert "(default: window)" in " ".join(page.split())


def test_every_flag_of_a_training_is_in_a_named_group(capsys: pytest.CaptureFixture[str]) -> None:
    named = [name for names in TRAINING_GROUPS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= set(Flags.__dataclass_fields__)
    page = shown(capsys, "train", "--help")
    assert MORE_OPTIONS not in page
    assert "--augmentation.mirror" in page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "livesnn: no command 'rnu': did you mean run?"),
        (["fly"], "livesnn: no command 'fly': livesnn --help lists them"),
        (["run", "x", "--modle", "y"], "livesnn run: no flag --modle: did you mean --model?"),
        (["run", "x", "--quick"], "livesnn run: no flag --quick: livesnn run --help lists them"),
        (["run", "x", "-q"], "livesnn run: no flag -q: livesnn run --help lists them"),
        (["run", "x", "--no-jsn"], "livesnn run: no flag --no-jsn: did you mean --no-json?"),
        (["run"], "livesnn run: the following arguments are required: SOURCE (livesnn run --help)"),
        (["info", "x", "y"], "livesnn info: unexpected 'y': livesnn info FILE [OPTIONS]"),
        (["run", "x", "--model"], "livesnn run: --model expected one argument (livesnn run --help)"),
        (["run", "--deny", "--json", "x"], "livesnn run: --deny expected at least one argument"),
        (["run", "x", "--engine", "spke"], "livesnn run: --engine can't be 'spke': did you mean spike?"),
        (["run", "x", "--every", "day"], "livesnn run: --every can't be 'day': choose from window, frame"),
        (["run", "x", "--seconds", "ten"], "livesnn run: --seconds takes a number, not 'ten'"),
        (["run", "x", "--rotate=1.5"], "livesnn run: --rotate takes a whole number, not '1.5'"),
        (["run", "x", "--class-threshold", "other", "y"], "livesnn run: --class-threshold takes a number behind"),
        (["run", "x", "--json=yes"], "livesnn run: --json ignored explicit argument 'yes'"),
        (["train", "--epochs", "few"], "livesnn train: --epochs takes a whole number, not 'few'"),
        (["eval", "--model", "nmnist"], "livesnn eval: the following arguments are required: --dataset"),
        (["data", "chek", "nmnist"], "livesnn data: ACTION can't be 'chek': did you mean check?"),
        (["--print-completion", "sh"], "livesnn --print-completion: --print-completion can't be 'sh': choose from"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_one(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *arguments)
    assert said.startswith(says)
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("a --model m b c", {"source": "a", "more": ("b", "c"), "model": "m"}),
        ("--allow x y -- -a.aedat4", {"source": "-a.aedat4", "more": (), "decisions": {"allow": ("x", "y")}}),
        ("a --seconds -1e-3 --no-json", {"source": "a", "more": (), "seconds": -0.001, "json": False}),
        (
            "a --keep 0.2 --class-threshold x 0.5 --class_threshold y 1",
            {
                "source": "a",
                "more": (),
                "decisions": {"hysteresis": 0.2, "class_threshold": (("x", 0.5), ("y", 1.0))},
            },
        ),
    ],
)
def test_a_line_gives_only_what_is_in_it(line: str, given: dict[str, object]) -> None:
    assert COMMANDS["run"].parser("run").given(line.split()) == given


def test_flags_that_a_dataclass_inherits_are_described_where_they_are_inherited_from() -> None:
    @dataclass
    class Repeated:
        repeats: int = 5
        """How often."""

    @dataclass
    class Timed:
        seconds: float = 1.0
        """How long."""

    parser = Parser("made", "")
    parser.add_fields(make_dataclass("Together", (), bases=(Repeated, Timed))())
    page = " ".join(parser.format_help().split())
    assert "--repeats NUMBER How often. (default: 5)" in page
    assert "--seconds NUMBER How long. (default: 1)" in page


def test_a_file_in_place_of_a_command_says_how_to_open_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.aedat4"
    file.touch()
    assert f"to open the file, run livesnn gui {file}" in refused(capsys, str(file))


@pytest.mark.parametrize(
    ("shell", "check"), [("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"]), ("bash", ["bash", "-n"])]
)
def test_a_shell_takes_the_script_it_is_given_which_has_commands_and_flags(
    shell: str, check: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = shown(capsys, "--print-completion", shell)
    assert all(name in script for name in (*COMMANDS, "print-completion", "no-compile", "spike", "on-decision"))
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}: make counterparts")
    (tmp_path / "script").write_text(script)
    done = subprocess.run([*check, str(tmp_path / "script")], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_fails_because_it_was_interrupted_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def info() -> None:
        with contextlib.suppress(KeyboardInterrupt):  # as ctypes does in a callback
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("no compiled object yet")

    monkeypatch.setattr(Command, "load", lambda command: info)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "livesnn info: stopped\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a folder that a program is in")
def test_a_folder_that_was_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == "livesnn: the current folder is gone: cd to another one\n"
