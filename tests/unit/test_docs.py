"""The pages for people: links lead somewhere, commands and code blocks hold."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from livesnn.__main__ import main
from livesnn.cli.commands import COMMANDS
from livesnn.cli.parser import Parser

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "models", "recordings", "packaging")
DIARIES = ROOT / "docs/experiments"
"""What was tried, by commands of its day."""

FENCE = re.compile(r"^(?P<mark>```+|~~~+)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=mark)\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HTML_LINK = re.compile(r"(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
INLINE_COMMAND = re.compile(r"`livesnn ([a-z]+)[ `]")
SHELL = ("|", "||", "&&", ";", "&", ">", ">>", "2>", "<")
EXTRA = re.compile(r"^(?:import|from) (matplotlib|torch|onnxruntime)\b", re.MULTILINE)
"""What a block may import that isn't installed everywhere."""
RUN = "<!-- run -->"
"""On the line before a Python block that the tests run."""


class Block(NamedTuple):
    """A fenced block of a page; ``line`` is where its text begins, from 1."""

    page: Path
    line: int
    info: str
    text: str
    marked: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return every Markdown page of the repository that people read."""
    found = [page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md") if "_build" not in page.parts]
    return [ROOT / "README.md", *sorted(found)]


def today(page: Path) -> bool:
    """Return whether a page's commands are today's."""
    return not page.is_relative_to(DIARIES)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("text")) + 1,
            found["info"].strip(),
            found["text"],
            text[: found.start()].rstrip().endswith(RUN),
        )
        for found in FENCE.finditer(text)
    ]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and the site give the headings of a page."""
    counts: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        seen = counts.get(name, 0)
        counts[name] = seen + 1
        names.add(f"{name}-{seen}" if seen else name)
    return names


def links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    for link in (*LINK.findall(text), *HTML_LINK.findall(text)):
        if not re.match(r"[a-z]+:", link):
            yield link


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each `livesnn` command of a block as it is written, and its arguments."""
    if block.info not in ("", "sh", "bash", "console"):
        return
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
        if "livesnn" not in line:
            continue
        words = shlex.split(line.replace("$(which livesnn)", "livesnn"), comments=True)
        while "livesnn" in words:
            words = words[words.index("livesnn") + 1 :]
            end = next((i for i, word in enumerate(words) if word in SHELL), len(words))
            yield line, words[:end]


class Parsed(BaseException):
    """The program's parser took the arguments; nothing was run. Not an Exception, which the program would report."""


@pytest.fixture
def _parsed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """End with `Parsed` where a command would have begun."""

    def parsed(command: object, parser: Parser, arguments: Sequence[str]) -> None:
        parser.given(arguments)
        raise Parsed

    monkeypatch.setattr("livesnn.cli.parser.call", parsed)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the program's parser says against arguments; "" if it takes them."""
    try:
        code: object = main(arguments)
    except Parsed:
        return ""
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return "" if code == 0 else said.err or said.out or f"exit code {code}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.usefixtures("_parsed_only")
@pytest.mark.parametrize(
    "page", [page for page in pages() if today(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_program_takes_every_command_of_a_block(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page):
        for line, arguments in commands(block):
            assert not complaint(arguments, capsys), f"{block}: {line}"


@pytest.mark.parametrize(
    "page", [page for page in pages() if today(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_command_that_is_named_in_a_sentence_exists(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert set(INLINE_COMMAND.findall(text)) <= set(COMMANDS)


def python_blocks() -> list[Block]:
    """Return the Python blocks of all pages."""
    return [block for page in pages() for block in blocks(page) if block.info == "python"]


@pytest.mark.parametrize("block", python_blocks(), ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")


def run_code(text: str, name: Path, line: int, variables: dict[str, Any]) -> None:
    """Run a block's code, or skip the test where what it imports isn't installed."""
    for module in EXTRA.findall(text):
        pytest.importorskip(module, reason=f"{name.name} needs {module}")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        exec(compile("\n" * (line - 1) + text, str(name), "exec"), variables)


@pytest.fixture
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.mark.usefixtures("_in_the_repository")
@pytest.mark.parametrize("block", [block for block in python_blocks() if block.marked], ids=str)
def test_a_python_block_that_is_marked_runs(block: Block) -> None:
    run_code(block.text, block.page, block.line, {"__name__": "__docs__"})


NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))


@pytest.mark.usefixtures("_in_the_repository")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.release] * ("train" in path.name)) for path in NOTEBOOKS],
    ids=lambda path: path.name,
)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_process = subprocess.run

    def run(command: list[str], **how: Any) -> object:
        if command[:3] != [sys.executable, "-m", "livesnn"]:
            return run_process(command, **how)
        assert main(command[3:]) == 0  # in this process, which has imported PyTorch already
        return None

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("subprocess.run", run)
    variables: dict[str, Any] = {"__name__": "__docs__"}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            run_code("".join(cell["source"]), path, 1, variables)


def test_notebooks_are_kept_without_their_outputs() -> None:
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)


@pytest.mark.usefixtures("_parsed_only")
def test_a_wrong_flag_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert not complaint(["run", "clip.aedat4", "--json"], capsys)
    assert complaint(["run", "clip.aedat4", "--jason"], capsys)
    assert complaint(["rnu", "clip.aedat4"], capsys)
    assert complaint(["data", "check", "no-such-set"], capsys)
