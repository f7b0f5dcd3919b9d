"""A training's folder: one training has it, and goes on only as it was begun."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from livesnn.errors import TrainError
from livesnn.train.configuration import Augmentation, Configuration
from livesnn.train.datasets.clips import Clips, Parts, Stack
from livesnn.train.resolve import configure, recorded_config
from livesnn.train.run_folder import AtomicCheckpointIO, logged, record_clips, run_folder
from livesnn.train.trainer import _Best
from tests.trees import configured

pytestmark = pytest.mark.slow


def test_a_training_is_resumed_with_the_frames_it_was_begun_with(tmp_path: Path) -> None:
    labels = np.zeros(300, np.int64)
    frames = np.random.default_rng(0).integers(0, 9, (300, 10, 2, 4, 4), np.uint8)
    names = tuple(map(str, range(300)))
    validation = Clips(frames[:5], labels[:5], names[:5], ("a",))
    record_clips(tmp_path, Parts(Clips(frames, labels, names, ("a",)), validation))
    stacked = Stack([frames[:120].copy(), frames[120:].copy()])  # the same, as they come from a cache
    record_clips(tmp_path, Parts(Clips(stacked, labels, names, ("a",)), validation), resumed=True)
    other = frames.copy()
    other[299, 9, 1, 3, 3] += 1
    with pytest.raises(TrainError, match="begun with other recordings"):
        record_clips(tmp_path, Parts(Clips(other, labels, names, ("a",)), validation), resumed=True)
    record_clips(tmp_path, Parts(Clips(other, labels, names, ("a",)), validation))  # begun anew: nothing was kept


def test_what_no_flag_says_of_a_resumed_training_is_as_it_was_begun(tmp_path: Path) -> None:
    begun = configured(out=tmp_path, name="one", precision="bf16-mixed", recipe="paper", alpha=0.7, epochs=10)
    with run_folder(begun):
        pass
    again = {"out": tmp_path, "name": "one", "resume": True}
    assert configure(again) == replace(begun, resume=True)
    assert configure({**again, "precision": "auto"}) == replace(begun, resume=True)
    assert configure({**again, "precision": "32-true"}).precision == "32-true"
    assert configure({**again, "augmentation": {"drop": 0.3}}).augmentation == Augmentation(0, 0, 0, 0, 0.3)
    assert configure({**again, "name": "another"}).alpha == 0.5  # nothing to resume, which is said later


def test_several_runs_are_resumed_as_the_first_was_begun(tmp_path: Path) -> None:
    begun = configured(out=tmp_path, name="nmnist-best-3", seed=3, alpha=0.7)
    with run_folder(begun):
        pass
    config = configure({"out": tmp_path, "resume": True, "runs": 2, "seed": 3})
    assert (config.runs, config.name, config.seed, config.alpha) == (2, "", 3, 0.7)


def begun(config: Configuration) -> Path:
    """Claim the run folder of a training, leave it with empty checkpoints, and return it."""
    needed = ("state_dict", "epoch", "pytorch-lightning_version", "optimizer_states")
    with run_folder(config) as (run, resume_from):
        assert resume_from is None
        for name in ("last.ckpt", "best.ckpt"):
            torch.save(dict.fromkeys(needed, 0), run / name)
    return run


def resumed(config: Configuration, **changes: object) -> Path | None:
    with run_folder(replace(config, resume=True, **changes)) as (_, resume_from):
        return resume_from


def test_a_run_folder_belongs_to_one_training_and_keeps_its_configuration(tmp_path: Path) -> None:
    config = replace(Configuration(), out=tmp_path, name="one")
    with run_folder(config) as (run, _):
        before = (run / "config.json").read_bytes()
        with pytest.raises(TrainError, match="in use by another"), run_folder(replace(config, alpha=0.7)):
            pass
        assert (run / "config.json").read_bytes() == before
    assert recorded_config(begun(config)) == config  # free again


def test_a_training_goes_on_with_the_flags_it_was_begun_with_and_names_those_that_differ(tmp_path: Path) -> None:
    config = replace(Configuration(), out=tmp_path, name="mine", analog_ceiling=inf)
    run = begun(config)
    record = run / "config.json"
    record.write_text(record.read_text().replace('"unknown_weight": 1.0,', ""))  # as an older version wrote it
    assert recorded_config(run) == config
    assert resumed(config) == run / "last.ckpt"
    differ = {"alpha": 0.7, "compile": False, "augmentation": Augmentation(drop=0.3), "analog_ceiling": 1.0}
    flags = r"--alpha 0\.5, --analog-ceiling inf, --augmentation\.drop 0\.2, --compile"
    with pytest.raises(TrainError, match=rf"resume with its {flags}$"):
        resumed(config, **differ)
    (run / "model").mkdir()
    with pytest.raises(TrainError, match=rf"with its --epochs 40; to train it for longer .*--init {run} --name NEW"):
        resumed(config, epochs=50)


def test_a_run_goes_on_however_its_paths_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(Configuration(), data=tmp_path / "mine", out=tmp_path / "runs", name="paths")
    begun(config)
    monkeypatch.chdir(tmp_path)
    again = replace(config, data=Path("mine"), out=Path("runs"))
    assert resumed(again) == Path("runs/paths/last.ckpt")
    with pytest.raises(TrainError, match=r"resume with its --data .*/mine$"):
        resumed(again, data=Path("other"))


def test_damaged_checkpoints_are_not_resumed(tmp_path: Path) -> None:
    config = replace(Configuration(), out=tmp_path, name="torn")
    run = begun(config)
    whole = (run / "best.ckpt").read_bytes()
    (run / "best.ckpt").write_bytes(whole[:-50])
    with pytest.raises(TrainError, match=r"best\.ckpt is damaged"):
        resumed(config)
    for content in (b"", b"text", b"PK\x03\x04 cut"):
        (run / "last.ckpt").write_bytes(content)
        with pytest.raises(TrainError, match=r"last\.ckpt is damaged"):
            resumed(config)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def full(checkpoint: object, file: BinaryIO) -> None:
        file.write(b"torn")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_what_was_best_is_known_where_the_folder_was_moved(tmp_path: Path) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    kept = _Best(before, "best", monitor="score", mode="max")
    kept.best_model_score = kept.kth_value = torch.tensor(0.9)
    kept.best_model_path = kept.kth_best_model_path = str(before / "best.ckpt")
    kept.best_k_models = {kept.best_model_path: torch.tensor(0.9)}
    moved = _Best(now, "best", monitor="score", mode="max")
    assert kept.state_key == ModelCheckpoint(before, "best", monitor="score", mode="max").state_key
    moved.load_state_dict(kept.state_dict())
    assert moved.best_model_score == torch.tensor(0.9)
    assert moved.best_model_path == moved.kth_best_model_path == str(now / "best.ckpt")
    assert list(moved.best_k_models) == [moved.best_model_path]


def test_a_copy_of_a_log_is_none_of_the_training_s(tmp_path: Path) -> None:
    for name, loss in (("version_0", 2), ("version_10", 1), ("version_x", 9), ("version_0 (copy)", 9)):
        (tmp_path / "log" / name).mkdir(parents=True)
        (tmp_path / "log" / name / "metrics.csv").write_text(f"epoch,loss\n0,{loss}\n")
    assert logged(tmp_path, "loss") == {0: 1.0}
