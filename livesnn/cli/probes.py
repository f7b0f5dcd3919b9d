"""What `livesnn doctor` looks at, a function for each; any of them may crash or hang (doctor.py survives that)."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Literal

from livesnn.bench import installed_versions
from livesnn.errors import LivesnnError, SourceError
from livesnn.paths import cache_dir, models_dir, own_models_dir, recordings_dir, settings_file, udev_dir

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """One result: ``what`` was found, and what to ``do`` about it, if anything."""

    name: str
    state: State
    what: str
    do: str = ""


@dataclass(frozen=True)
class Findings:
    """Checks, the sha256 of each file of each model, and the version of each library."""

    checks: tuple[Check, ...] = ()
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.checks + other.checks, self.models | other.models, self.versions | other.versions)

    @property
    def ok(self) -> bool:
        return all(check.state != "problem" for check in self.checks)


def finding(name: str, state: State, what: str, do: str = "", **versions: str) -> Findings:
    return Findings((Check(name, state, what, do),), versions=versions)


def failed(name: str, state: State, error: LivesnnError) -> Findings:
    """Return the finding of an error, whose message ends with what to do."""
    what, _, do = str(error).rpartition(": ")
    return finding(name, state, what, do)


_PACKAGE = Path(__file__).resolve().parents[1]
DRIVERS = (
    ("dv_processing", "dv-processing", "iniVation"),
    ("neuromorphic_drivers", "neuromorphic-drivers", "Prophesee"),
)
_AGAIN = "install livesnn again"


def library(module: str, package: str, *, without: State = "problem") -> Findings:
    """Import a library; ``without`` is the state if that fails."""
    try:
        loaded = importlib.import_module(module)
        version = str(getattr(loaded, "__version__", None) or _installed_version(package))
    except ModuleNotFoundError as error:
        itself = error.name == module
        what = f"{package} isn't installed" if itself else f"{package} needs {error.name}"
        do = f"pip install {package}" if itself else f"pip install --force-reinstall {package}"
        return finding(package, without, what, do)
    except ImportError as error:
        do = f"pip install --force-reinstall {package}, or install the library that it names"
        return finding(package, without, f"{package} can't be loaded ({error})", do)
    return finding(package, "ok", f"{package} {version}", **{package: version})


def _installed_version(package: str) -> str:
    return installed_versions([package])[package] or "of unknown version"  # built by hand


def compiler() -> Findings:
    """Import numba, and ask where it keeps compiled code; without such a place it compiles at each start."""
    found = library("numba", "numba")
    return found + numba_cache(os.environ.get("NUMBA_CACHE_DIR", "")) if found.ok else found


def numba_cache(wanted: str) -> Findings:
    """Ask numba where it keeps a function's code; ``wanted`` is the folder that the environment names."""
    import numba

    name, do = "numba cache", "set NUMBA_CACHE_DIR in the environment to a folder that you can write to"
    try:
        path = str(numba.njit(cache=True)(_nothing).stats.cache_path)
    except RuntimeError as error:
        return finding(name, "problem", f"numba can't keep compiled code ({error})", do)
    if wanted and not Path(path).is_relative_to(Path(wanted).absolute()):
        what = f"numba can't write NUMBA_CACHE_DIR={wanted} and uses {path}"
        return finding(name, "warning", what, do)
    return finding(name, "ok", f"numba keeps compiled code in {path}")


def _nothing() -> None:
    pass


def window() -> Findings:
    from livesnn.app.screen import PLATFORM, WITHOUT_SCREEN, check_screen, open_screen

    if importlib.util.find_spec("PySide6") is None:
        do = "pip install PySide6-Essentials"
        return finding("window", "problem", "PySide6 isn't installed, so the window can't open", do)
    bare = sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in (PLATFORM, "DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        check_screen()
    except LivesnnError as error:  # everything but the window works on a server
        state: State = "warning" if bare and str(error).startswith("no screen") else "problem"
        return failed("window", state, error)
    found = open_screen()
    what = f"Qt {found.qt} draws with {found.platform} on {found.size or 'no screen'}"
    hidden = found.platform in WITHOUT_SCREEN
    do = f"unset {PLATFORM} to see the window" if hidden else ""
    state = "warning" if hidden or not found.size else "ok"
    return finding("window", state, what, do, PySide6=found.qt)


def cameras() -> Findings:
    """Import the libraries of vendors' cameras, and look for cameras."""
    found = Findings()
    for module, package, vendor in DRIVERS:
        if importlib.util.find_spec(module) is None:
            what = f"{package} isn't installed: {vendor} cameras can't be used; everything else works"
            do = f"pip install {package} (it isn't available for every computer)"
            found += finding(package, "warning", what, do)
        else:
            found += library(module, package, without="warning")
    if all(check.state != "ok" for check in found.checks):
        return found
    from livesnn.events.cameras.discovery import discover

    try:
        names = [f"{device.name} ({device.uri})" for device in discover()]
    except SourceError as error:
        return found + failed("cameras", "warning", error)
    do = "" if names else "simulate:gestures works without one"
    what = f"cameras: {', '.join(names)}" if names else "no event camera is plugged in"
    return found + finding("cameras", "ok", what, do)


def folders() -> Findings:
    cache = writable("cache folder", cache_dir(), "LIVESNN_CACHE", "a folder")
    settings = writable("settings folder", settings_file().parent, "LIVESNN_SETTINGS", "a file in a folder")
    return Findings((cache, settings))


def writable(name: str, folder: Path, variable: str, kind: str) -> Check:
    """Check that the folder can be written or made; nothing is left behind."""
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        what = f"you can't write to the {name} {folder} ({there}: {error.strerror})"
        return Check(name, "warning", what, f"set {variable} in the environment to {kind} that you can write to")
    return Check(name, "ok", f"you can write to the {name} {folder}")


def models(folder: Path | None = None, do: str = "") -> Findings:
    """Load every model of a folder, the shipped ones by default, from both of its files.

    ``do`` says what to do if one fails, with "{}" for its path.
    """
    folder = folder or models_dir()
    in_checkout = (_PACKAGE.parent / ".git").exists() and folder.is_relative_to(_PACKAGE.parent)
    do = do or ("git checkout -- '{}'" if in_checkout else _AGAIN)
    parts = ("README.md", "model.onnx", "model.safetensors")
    found = Findings()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if any((path / part).exists() for part in parts):
            found += _model(path, do.format(path))
    return found if found.checks else finding("models", "problem", f"no models in {folder}", _AGAIN)


def taught() -> Findings:
    """Load every model that was taught here, and say where they are; there may be none."""
    folder = own_models_dir()
    found = models(folder, "teach it again, or remove its folder")
    return finding("taught models", "ok", f"{len(found.models)} in {folder}") + found if found.models else Findings()


def _model(path: Path, do: str) -> Findings:
    """Load one model; say which file is damaged, or that the two files are of different models."""
    from livesnn.infer.onnx_engine import OnnxModel
    from livesnn.weights import load_weights

    name, files = f"model {path.name}", [path / "model.onnx", path / "model.safetensors"]
    checks, cards = [], []
    for file in files:
        try:
            cards.append(OnnxModel.load(file).card if file.suffix == ".onnx" else load_weights(file)[1])
        except LivesnnError as error:
            checks.append(Check(name, "problem", str(error), do))
    if not checks:
        one, other = cards
        if differ := [part.name for part in fields(one) if getattr(one, part.name) != getattr(other, part.name)]:
            what = f"{path}: the cards in model.onnx and model.safetensors differ in {', '.join(differ)}"
            checks.append(Check(name, "problem", what, do))
        else:
            what = f"{name} loads, the same card in both files: {len(one.classes)} classes"
            checks.append(Check(name, "ok", what))
    return Findings(tuple(checks), {path.name: {file.name: _sha256(file) for file in files if file.is_file()}})


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def spike_engine() -> Findings:
    """Check that the spike-driven engine is compiled for the model that the window starts with."""
    from livesnn.infer.spike_engine import SpikeNetwork

    name, folder = "spike engine", models_dir() / "gestures"
    try:
        compiled = SpikeNetwork.read(folder).is_compiled()
    except LivesnnError as error:
        return failed(name, "warning", error)
    if compiled:
        return finding(name, "ok", f"the spike-driven engine is compiled for {folder.name}")
    what = f"the spike-driven engine isn't compiled for {folder.name} yet; the first start does it in the background"
    return finding(name, "ok", what, "livesnn prepare does it now")


def self_test() -> Findings:
    from livesnn.outputs.lines import RunOptions, Summary, decide_all

    clip = recordings_dir() / "digit-3.aedat4"
    try:
        *_, summary = decide_all(str(clip), RunOptions("nmnist", seconds=2.0))
    except LivesnnError as error:
        return finding("self-test", "problem", f"the self-test failed: {error}", _AGAIN)
    assert isinstance(summary, Summary)  # the last line
    if summary.majority != "3":
        what = f"the self-test decided {summary.majority} for {clip.name}, not 3"
        return finding("self-test", "problem", what, f"{_AGAIN}; then report `livesnn doctor --json`")
    step_ms = summary.latency_ms["p50"]
    what = f"nmnist sees a 3 in {clip.name}: {step_ms:.2f} ms a step, {summary.windows} windows"
    if step_ms > 29.0:
        do = "close other programs: live decisions would come late"
        return finding("self-test", "warning", f"{what}, which is slower than frames arrive", do)
    return finding("self-test", "ok", what)


CAMERAS = {  # USB vendor and product numbers. Sound cards and programmable chips share some vendors' numbers.
    "iniVation": ("152a", tuple(f"84{second}{last:x}" for second in "01" for last in range(16))),
    "Prophesee": ("04b4", ("00f4", "00f5")),
    "CenturyArks": ("31f7", ("0003", "0004")),
    "IDS": ("1409", ("8e00",)),
}

_USB, _USB_NODES = Path("/sys/bus/usb/devices"), Path("/dev/bus/usb")


def install_rules() -> str:
    rules = udev_dir() / "65-event-cameras.rules"
    return (
        f"sudo cp '{rules}' /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger, and plug it "
        "in again; over ssh also sudo usermod -aG plugdev $USER, and log in again"
    )


def usb(devices: Path = _USB, nodes: Path = _USB_NODES) -> Findings:
    """On Linux, say of each event camera that is plugged in whether the user may open it."""
    checks = []
    for device in sorted(devices.iterdir()) if devices.is_dir() else []:
        vendor, product, bus, number = (
            _text(device / name) for name in ("idVendor", "idProduct", "busnum", "devnum")
        )
        maker = next((name for name, (theirs, all_) in CAMERAS.items() if vendor == theirs and product in all_), None)
        if maker is None or not (bus.isdigit() and number.isdigit()):
            continue
        node = nodes / f"{int(bus):03}" / f"{int(number):03}"
        what = f"the {maker} camera {vendor}:{product} at {node}"
        if os.access(node, os.R_OK | os.W_OK):
            checks.append(Check("usb permission", "ok", f"you can open {what}"))
        else:
            checks.append(Check("usb permission", "problem", f"you aren't allowed to open {what}", install_rules()))
    return Findings(tuple(checks))


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip().lower()
    except OSError:  # not a device, just unplugged, or not readable by this user
        return ""


PROBES: dict[str, Callable[[], Findings]] = {  # In the order in which doctor prints them.
    "numpy": partial(library, "numpy", "numpy"),
    "numba": compiler,
    "onnxruntime": partial(library, "onnxruntime", "onnxruntime"),
    "OpenCV": partial(library, "cv2", "opencv-python-headless"),
    "window": window,
    "cameras": cameras,
    "usb": usb,
    "folders": folders,
    "models": models,
    "taught models": taught,
    "spike engine": spike_engine,
    "self-test": self_test,
}
