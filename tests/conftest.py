"""What every test shares: where the reference data is, and the .aedat4 oracle."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported
os.environ["MPLBACKEND"] = "Agg"  # a figure that is shown must not wait for a person
# PyTorch's threads spin for each other, for minutes where others have the processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")
_OURS = Path(tempfile.mkdtemp(prefix="livesnn-tests-"))  # nothing of the user's is read or written
atexit.register(shutil.rmtree, _OURS, ignore_errors=True)
os.environ["LIVESNN_SETTINGS"] = str(_OURS / "settings")
os.environ["LIVESNN_MODELS"] = str(_OURS / "models")
if "PYTEST_XDIST_WORKER" not in os.environ:  # what is compiled is compiled once, for all workers
    os.environ["LIVESNN_CACHE"] = str(_OURS / "cache")

# A machine may be busy: an example may take its time, and the first one may compile.
settings.register_profile("livesnn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("livesnn")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def _what_is_loaded_is_not_looked_through_again() -> None:
    """Take what is there by now out of later collections: after each of the window's tests, one took 0.8 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of reference data, or skip."""
    folder = Path(os.environ.get("LIVESNN_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found in {folder}: set LIVESNN_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def read_by_dv_processing() -> Callable[[Path], npt.NDArray[np.void]]:
    """Return a reader of a whole .aedat4 file by our oracle, or skip."""
    dv = pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")

    def read(path: Path) -> npt.NDArray[np.void]:
        recording, batches = dv.io.MonoCameraRecording(str(path)), []
        while recording.isRunning():
            if (batch := recording.getNextEventBatch()) is not None:
                batches.append(batch.numpy())
        return np.concatenate(batches)

    return read


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small model of ten columns of the image, which is made in a moment."""
    from tests.synthetic import write_model

    return write_model(tmp_path_factory.mktemp("models") / "columns")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one second of a moving bar: 100 frames, 10 windows."""
    from tests.synthetic import moving_bar, write_recording

    return write_recording(tmp_path_factory.mktemp("recordings") / "bar.npz", moving_bar(1_000_500))


@pytest.fixture(scope="session")
def video_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small model for grey videos."""
    from tests.synthetic import VIDEO_CARD, write_model

    return write_model(tmp_path_factory.mktemp("models") / "grey", VIDEO_CARD)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of a bar that moves, 1.2 s long."""
    from tests.synthetic import bar_images, write_video

    return write_video(tmp_path_factory.mktemp("videos") / "bar.avi", bar_images())
