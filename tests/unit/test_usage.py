"""What a person reads of the command line: help pages, what is said of a line that is wrong, and completion."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path

import pytest

import livesnn
from livesnn.__main__ import main
from livesnn.cli import COMMANDS, GROUPS, Command
from livesnn.cli.completion import bash_script, fish_script, zsh_script
from livesnn.cli.models import TRAINING_GROUPS
from livesnn.cli.usage import MORE_OPTIONS, Argument, first_page, flags_of
from livesnn.train.resolve import Flags

WIDTH = 72
SUMMARIES = {name: command.summary for name, command in COMMANDS.items()}


@pytest.fixture(scope="module")
def takes() -> Mapping[str, Sequence[Argument]]:
    """Return what each command takes."""
    return {name: command.takes() for name, command in COMMANDS.items()}


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


def run_bash(script: str, *words: str) -> list[str]:
    """Return what bash completes the last of the words to."""
    line = " ".join(f"'{word}'" for word in words)
    code = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _livesnn; echo "${{COMPREPLY[*]}}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_first_page_names_every_command_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "--help")
    assert page == first_page(GROUPS) + "\n"
    lines = page.splitlines()
    for group, commands in GROUPS.items():
        below = lines[lines.index(group) + 1 :]
        named = [line.split()[0] for line in below[: ([*below, ""]).index("")] if not line.startswith("    ")]
        assert named == list(commands)
    assert max(map(len, lines)) <= WIDTH


def test_the_first_page_is_printed_without_tyro_or_numpy() -> None:
    code = (
        "import sys; from livesnn.__main__ import main; main(['--help']);print({'numpy', 'tyro'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_sentence_of_a_command_s_page_is_that_of_the_first_page(name: str) -> None:
    assert (COMMANDS[name].load().__doc__ or "").splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_fits_the_terminal_and_describes_every_argument(
    name: str, takes: Mapping[str, Sequence[Argument]], capsys: pytest.CaptureFixture[str]
) -> None:
    page = shown(capsys, name, "--help")
    assert "None" not in page
    assert all(len(line) <= WIDTH or " " not in line.strip() or "livesnn" in line for line in page.splitlines())
    for argument in takes[name]:
        assert argument.help
        assert argument.name in page


def test_flags_stand_in_groups_the_most_needed_first(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "run", "-h")
    _, _, options = page.partition("\n  SOURCE")
    titles = [line for line in options.splitlines()[1:] if line and line[0] != " "]
    assert titles[0] == "Options"
    assert titles[-1] == MORE_OPTIONS
    assert page.index("--model") < page.index("--rotate") < page.index("--engine")
    assert "--engine auto|onnx|spike|torch" in page
    assert "(default: window)" in " ".join(page.split())


def test_every_flag_of_a_training_is_in_a_named_group(takes: Mapping[str, Sequence[Argument]]) -> None:
    named = [name for names in TRAINING_GROUPS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= set(Flags.__dataclass_fields__)
    assert MORE_OPTIONS not in {each.group for each in takes["train"]}
    assert "--augmentation.mirror" in {each.name for each in takes["train"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "livesnn: no command 'rnu': did you mean run?"),
        (["fly"], "livesnn: no command 'fly': livesnn --help lists them"),
        (["run", "x", "--modle", "y"], "livesnn run: no flag --modle: did you mean --model?"),
        (["run", "x", "--quick"], "livesnn run: no flag --quick: livesnn run --help lists them"),
        (["run", "x", "-q"], "livesnn run: no flag -q: livesnn run --help lists them"),
        (["run", "x", "--no-jsn"], "livesnn run: no flag --no-jsn: did you mean --no-json?"),
        (["run"], "livesnn run: SOURCE is missing: livesnn run SOURCE [SOURCE ...] [OPTIONS]"),
        (["info", "x", "y"], "livesnn info: unexpected 'y': livesnn info FILE [OPTIONS]"),
        (["run", "x", "--model"], "livesnn run: --model needs a value: --model MODEL"),
        (["run", "x", "--allow"], "livesnn run: --allow needs a value: --allow NAME"),
        (["run", "--deny", "--json", "x"], "livesnn run: --deny needs a value: --deny NAME"),
        (
            ["bench", "step", "--engines"],
            "livesnn bench: --engines needs a value: --engines onnx|spike|torch",
        ),
        (["train", "--only", "--", "x"], "livesnn train: --only needs a value: --only NAME"),
        (["run", "x", "--engine", "spke"], "livesnn run: --engine can't be 'spke': did you mean spike?"),
        (
            ["run", "x", "--every", "day"],
            "livesnn run: --every can't be 'day': choose from window, frame",
        ),
        (["run", "x", "--seconds", "ten"], "livesnn run: --seconds takes a number, not 'ten'"),
        (["run", "x", "--rotate=1.5"], "livesnn run: --rotate takes a whole number, not '1.5'"),
        (["run", "x", "--json=yes"], "livesnn run: --json takes no value: leave 'yes' out"),
        (["train", "--epochs", "few"], "livesnn train: --epochs takes a whole number, not 'few'"),
        (
            ["eval", "--model", "nmnist"],
            "livesnn eval: --dataset is missing: livesnn eval --dataset NAME [OPTIONS]",
        ),
        (["data", "chek", "nmnist"], "livesnn data: ACTION can't be 'chek': did you mean check?"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_one(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *arguments) == f"{says}\n"


def test_flags_that_a_dataclass_inherits_are_described_where_they_are_inherited_from() -> None:
    @dataclass
    class Repeated:
        repeats: int = 5
        """How often."""

    @dataclass
    class Timed:
        seconds: float = 1.0
        """How long."""

    together = make_dataclass("Together", (), bases=(Repeated, Timed))
    assert {each.name: each.help for each in flags_of(together())} == {
        "--repeats": "How often.",
        "--seconds": "How long.",
    }


def test_a_file_in_place_of_a_command_says_how_to_open_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.aedat4"
    file.touch()
    assert f"to open the file, run livesnn gui {file}" in refused(capsys, str(file))


def test_flags_may_be_written_with_underscores_and_values_may_be_negative(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "--analog_slope", "-1e-3", "--epochs=0"]) == 1
    assert "--epochs is 0" in capsys.readouterr().err


def test_the_last_of_many_values_is_the_source_where_none_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--deny", "other", "arm_roll", "not-there.aedat4"]) == 1
    assert "not-there.aedat4" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_flags_and_choices(takes: Mapping[str, Sequence[Argument]]) -> None:
    script = bash_script(SUMMARIES, takes)
    assert run_bash(script, "livesnn", "re") == ["record"]
    assert run_bash(script, "livesnn", "run", "a.aedat4", "--mo") == ["--model"]
    assert run_bash(script, "livesnn", "run", "a.aedat4", "--engine", "") == [
        "auto",
        "onnx",
        "spike",
        "torch",
    ]
    assert run_bash(script, "livesnn", "train", "--no-comp") == ["--no-compile"]
    assert run_bash(script, "livesnn", "completion", "z") == ["zsh"]
    assert run_bash(script, "livesnn", "run", "--model", "") == []  # bash then completes files


@pytest.mark.parametrize(
    ("shell", "check"), [("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"]), ("bash", ["bash", "-n"])]
)
def test_a_shell_takes_the_script_it_is_given(
    shell: str, check: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = shown(capsys, "completion", shell)
    (tmp_path / "script").write_text(script)
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}: make counterparts")
    done = subprocess.run([*check, str(tmp_path / "script")], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [zsh_script, fish_script])
def test_the_other_scripts_name_every_command_flag_and_choice(script, takes) -> None:  # type: ignore[no-untyped-def]
    text = script(SUMMARIES, takes)
    for name, arguments in takes.items():
        assert f" {name} " in text or f"'{name}:" in text
        for each in arguments:
            assert each.name in text or f"-l {each.name[2:]} " in text or not each.is_flag
            assert " ".join(each.choices) in text


def test_the_package_shows_its_public_names_and_imports_neither_torch_nor_qt() -> None:
    assert set(dir(livesnn)) == {"__version__", "frames", "load_model", "open_source", "run"}
    code = (
        "import sys, livesnn; livesnn.load_model, livesnn.open_source, livesnn.run;"
        "print({'torch', 'PySide6'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"


def test_importing_the_package_imports_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import livesnn; print({'numpy', 'tyro'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"


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
