"""What `livesnn doctor` looks at, a function each, which may crash or hang. Not here: surviving that (machine.py)."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from livesnn.cli.findings import Check, Findings, State, failed
from livesnn.cli.usb import usb
from livesnn.errors import LivesnnError, SourceError
from livesnn.paths import cache_dir, models_dir, own_models_dir, recordings_dir

if TYPE_CHECKING:
    from livesnn.card import ModelCard

_PACKAGE = Path(__file__).resolve().parents[1]
_SELF_TEST_S = 2.0  # of the recording: 68 frames
_SELF_TEST_FRAME_MS = 29.0  # of its model
DRIVERS = (
    ("dv_processing", "dv-processing", "iniVation"),
    ("neuromorphic_drivers", "neuromorphic-drivers", "Prophesee"),
)
_AGAIN = "install livesnn again"


def library(module: str, package: str, *, without: State = "problem") -> Findings:
    """Import a library; ``without`` is the state when that can't be done."""
    try:
        version = _version(importlib.import_module(module), package)
    except ModuleNotFoundError as error:
        itself = error.name == module
        what = f"{package} isn't installed" if itself else f"{package} needs {error.name}"
        do = f"pip install {package}" if itself else f"pip install --force-reinstall {package}"
        return Findings((Check(package, without, what, do),))
    except ImportError as error:
        do = f"pip install --force-reinstall {package}, or install the library that it names"
        return Findings((Check(package, without, f"{package} can't be loaded ({error})", do),))
    return Findings((Check(package, "ok", f"{package} {version}"),), versions={package: version})


def _version(loaded: ModuleType, package: str) -> str:
    try:
        return str(getattr(loaded, "__version__", None) or metadata.version(package))
    except metadata.PackageNotFoundError:
        return "of unknown version"


def compiler() -> Findings:
    """Import numba, and ask where it keeps compiled code: without such a place livesnn doesn't start."""
    found = library("numba", "numba")
    return found + numba_cache(os.environ.get("NUMBA_CACHE_DIR", "")) if found.ok else found


def numba_cache(wanted: str) -> Findings:
    """Ask numba where it would keep a function's code; ``wanted`` is where it has been told to."""
    import numba

    name, do = "numba cache", "set NUMBA_CACHE_DIR in the environment to a folder that you may write"
    try:
        path = str(numba.njit(cache=True)(_nothing).stats.cache_path)
    except RuntimeError as error:
        return Findings((Check(name, "problem", f"numba can't keep compiled code ({error})", do),))
    if wanted and not Path(path).is_relative_to(Path(wanted).absolute()):
        what = f"numba can't write NUMBA_CACHE_DIR={wanted} and uses {path}"
        return Findings((Check(name, "warning", what, do),))
    return Findings((Check(name, "ok", f"numba keeps compiled code in {path}"),))


def _nothing() -> None:
    """Be compiled, perhaps."""


def window() -> Findings:
    """Open Qt's platform as the window would."""
    from livesnn.app.screen import PLATFORM, WITHOUT_SCREEN, check_screen, opened_screen

    if importlib.util.find_spec("PySide6") is None:
        do = "pip install PySide6-Essentials"
        return Findings((Check("window", "problem", "PySide6 isn't installed: there is no window", do),))
    bare = sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in (PLATFORM, "DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        check_screen()
    except LivesnnError as error:  # a server is a good place for everything but the window
        state: State = "warning" if bare and str(error).startswith("no screen") else "problem"
        return Findings((failed("window", state, error),))
    found = opened_screen()
    what = f"Qt {found.qt} draws by {found.platform} on {found.size or 'no screen'}"
    hidden = found.platform in WITHOUT_SCREEN
    do = f"unset {PLATFORM} to see the window" if hidden else ""
    state = "warning" if hidden or not found.size else "ok"
    return Findings((Check("window", state, what, do),), versions={"PySide6": found.qt})


def cameras() -> Findings:
    """Import the libraries of vendors' cameras, and look for cameras."""
    found = Findings()
    for module, package, vendor in DRIVERS:
        if importlib.util.find_spec(module) is None:
            what = f"{package} isn't installed: no cameras of {vendor}, all else works"
            do = f"pip install {package} (there is none for some computers)"
            found += Findings((Check(package, "warning", what, do),))
        else:
            found += library(module, package, without="warning")
    if all(check.state != "ok" for check in found.checks):
        return found
    from livesnn.events.cameras.discovery import discover

    try:
        names = [f"{device.name} ({device.uri})" for device in discover()]
    except SourceError as error:
        return found + Findings((failed("cameras", "warning", error),))
    do = "" if names else "simulate:gestures works without"
    what = f"cameras: {', '.join(names)}" if names else "no event camera is plugged in"
    return found + Findings((Check("cameras", "ok", what, do),))


def folders() -> Findings:
    """Look whether livesnn's own folders can be written."""
    import platformdirs

    from livesnn.app.settings import FILE

    named = os.environ.get(FILE)
    settings = Path(named).parent if named else platformdirs.user_config_path("livesnn", appauthor=False)
    return Findings(
        (
            writable("cache folder", cache_dir(), "LIVESNN_CACHE", "a folder"),
            writable("settings folder", settings, FILE, "a file in a folder"),
        )
    )


def writable(name: str, folder: Path, variable: str, kind: str) -> Check:
    """Say whether the folder can be written, or made: nothing is left behind."""
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        what = f"the {name} {folder} can't be written ({there}: {error.strerror})"
        return Check(name, "warning", what, f"set {variable} in the environment to {kind} that you may write")
    return Check(name, "ok", f"the {name} {folder} can be written")


def models(folder: Path | None = None) -> Findings:
    """Load every model of a folder, the shipped ones by default, from both of its files."""
    folder = models_dir() if folder is None else folder
    in_checkout = (_PACKAGE.parent / ".git").exists() and folder.is_relative_to(_PACKAGE.parent)
    found = _models_in(folder, "git checkout -- '{}'" if in_checkout else _AGAIN)
    if not found.checks:
        return Findings((Check("models", "problem", f"no models in {folder}", _AGAIN),))
    return found


def taught() -> Findings:
    """Load every model that was taught here, and say where they are; there may be none."""
    folder = own_models_dir()
    found = _models_in(folder, "teach it again, or remove its folder")
    where = Check("taught models", "ok", f"{len(found.models)} in {folder}")
    return Findings((where,)) + found if found.checks else found


def _models_in(folder: Path, do: str) -> Findings:
    """Load every model of a folder; ``do``: what to do about one that can't be, "{}" being its path."""
    parts = ("README.md", "model.onnx", "model.safetensors")
    found = Findings()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if any((path / part).exists() for part in parts):
            found += _model(path, do)
    return found


def _model(path: Path, do: str) -> Findings:
    """Load one model; say which file is damaged, or that the two are not of one model."""
    from livesnn.infer.onnx_engine import OnnxModel
    from livesnn.weights import load_weights

    name, files = f"model {path.name}", [path / "model.onnx", path / "model.safetensors"]
    do = do.format(path)
    checks, cards = [], []
    for file in files:
        try:
            cards.append(OnnxModel.load(file).card if file.suffix == ".onnx" else load_weights(file)[1])
        except LivesnnError as error:
            checks.append(Check(name, "problem", str(error), do))
    if not checks:
        checks.append(_compare(name, path, cards, do))
    return Findings(
        tuple(checks), {path.name: {file.name: _sha256(file) for file in files if file.is_file()}}
    )


def _compare(name: str, path: Path, cards: list[ModelCard], do: str) -> Check:
    one, other = cards
    differ = [part.name for part in fields(one) if getattr(one, part.name) != getattr(other, part.name)]
    if differ:
        what = f"{path}: the cards in model.onnx and model.safetensors differ in {', '.join(differ)}"
        return Check(name, "problem", what, do)
    return Check(name, "ok", f"{name} loads, the same card in both files: {len(one.classes)} classes")


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def spike_engine() -> Findings:
    """Ask whether the spike-driven engine is compiled for the model that the window starts with."""
    from livesnn.infer.spike_engine import SpikeNetwork

    name, folder = "spike engine", models_dir() / "gestures"
    try:
        compiled = SpikeNetwork.read(folder).is_compiled()
    except LivesnnError as error:
        return Findings((failed(name, "warning", error),))
    if compiled:
        return Findings((Check(name, "ok", f"the spike-driven engine is compiled for {folder.name}"),))
    what = f"the spike-driven engine isn't compiled for {folder.name} yet: the first start does it, in the background"
    return Findings((Check(name, "ok", what, "livesnn prepare does it now"),))


def self_test() -> Findings:
    """Run the shipped digit through its model."""
    from livesnn.outputs.lines import Summary, decide_all

    clip, summary = recordings_dir() / "digit-3.aedat4", None
    try:
        for row in decide_all(str(clip), "nmnist", seconds=_SELF_TEST_S):
            summary = row if isinstance(row, Summary) else None
    except LivesnnError as error:
        return Findings((Check("self-test", "problem", f"the self-test failed: {error}", _AGAIN),))
    if summary is None or summary.majority != "3":
        decided = summary.majority if summary else None
        what = f"the self-test took {clip.name} for {decided}"
        return Findings(
            (Check("self-test", "problem", what, f"{_AGAIN}; then report `livesnn doctor --json`"),)
        )
    step_ms = summary.latency_ms["p50"]
    what = f"nmnist sees a 3 in {clip.name}: {step_ms:.2f} ms a step, {summary.windows} windows"
    if step_ms > _SELF_TEST_FRAME_MS:
        do = "close other programs: live decisions would come late"
        return Findings((Check("self-test", "warning", f"{what}, slower than its frames come", do),))
    return Findings((Check("self-test", "ok", what),))


def training() -> Findings:
    """Look for what training needs, without importing it: that takes seconds."""
    do = "pip install 'livesnn[train]'"
    missing = [name for name in ("torch", "lightning") if importlib.util.find_spec(name) is None]
    if missing:
        what = f"training needs {' and '.join(missing)}; all else works without"
        return Findings((Check("training", "warning", what, do),))
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:  # built by hand
        version = "of unknown version"
    check = Check("training", "ok", f"PyTorch {version} is there for training")
    return Findings((check,), versions={"torch": version})


PROBES: dict[str, Callable[[], Findings]] = {
    "numpy": partial(library, "numpy", "numpy"),
    "numba": compiler,
    "onnxruntime": partial(library, "onnxruntime", "onnxruntime"),
    "OpenCV": partial(library, "cv2", "opencv-python-headless"),
    "window": window,
    "cameras": cameras,
    "usb": usb,
    "folders": folders,
    "training": training,
    "models": models,
    "taught models": taught,
    "spike engine": spike_engine,
    "self-test": self_test,
}
"""In the order in which they are told."""
