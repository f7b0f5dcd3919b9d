"""The parts of a training: splits, batches, augmentation, the loss, the burn-in, the data set's layout."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import Accuracy, InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.cli.models import spreads
from livesnn.errors import LivesnnError, ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import pooled_spikes
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import weights_of
from livesnn.train import trainer
from livesnn.train.batches import Batch, EpochBatches, augment, mirror
from livesnn.train.configuration import NO_AUGMENTATION, Configuration
from livesnn.train.datasets import gestures_sim
from livesnn.train.datasets.clips import Clips, Parts, Stack, Streams, clip_random
from livesnn.train.datasets.nmnist import load_nmnist
from livesnn.train.datasets.registry import data_set
from livesnn.train.datasets.split import stratified_split
from livesnn.train.evaluate import Evaluation
from livesnn.train.hybrid_method import HybridModule, class_weights, hidden_density
from livesnn.train.model_folder import record_test, write_model_folder
from livesnn.train.network import READ_OUT
from livesnn.train.resolve import Start
from livesnn.train.start import freeze, spikes_of
from livesnn.train.trainer import announce
from livesnn.weights import load_weights, save_weights
from tests import trees
from tests.networks import write_network
from tests.trees import configured

pytestmark = pytest.mark.slow


def test_a_split_keeps_a_fraction_of_each_class_and_loses_nothing() -> None:
    labels = np.repeat(np.arange(10), np.arange(50, 150, 10)).astype(np.int64)
    train, validation = stratified_split(labels, 0.1, seed=4)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    kept = np.bincount(labels[validation], minlength=10) / np.bincount(labels)
    assert np.all(np.abs(kept - 0.1) <= 0.011)
    assert not np.array_equal(validation, stratified_split(labels, 0.1, seed=5)[1])
    assert np.array_equal(validation, stratified_split(labels, 0.1, seed=4)[1])


def test_an_epoch_sees_every_real_clip_and_some_of_the_others() -> None:
    batches = EpochBatches(real=40, extra=100, extra_per_epoch=20, batch=12, seed=1)
    epochs = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        index = [i for draw in batches for i in draw.numbers]
        assert len(index) == len(set(index)) == len(batches) * 12 == 60
        assert sum(i < 40 for i in index) == 40
        epochs.append(index)
    assert epochs[0] != epochs[1]
    batches.set_epoch(0)
    assert [i for draw in batches for i in draw.numbers] == epochs[0]


def clips(count: int = 6, steps: int = 10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    frames = torch.zeros(count, steps, 2, 34, 34, dtype=torch.uint8)
    frames[..., 12:22, 12:22] = torch.randint(0, 9, (count, steps, 2, 10, 10), generator=generator, dtype=torch.uint8)
    return frames


def randoms(count: int = 6) -> list[np.random.Generator]:
    return [clip_random("augment", 1, 0, number) for number in range(count)]


def test_augmentation_with_all_ranges_zero_changes_nothing() -> None:
    frames = clips()
    assert torch.equal(augment(frames, NO_AUGMENTATION, randoms()), frames)


def test_a_shift_moves_events_and_loses_none() -> None:
    frames = clips()
    moved = augment(frames, replace(NO_AUGMENTATION, shift_pixels=4.0), randoms())
    assert not torch.equal(moved, frames)
    assert moved.sum().item() == pytest.approx(frames.sum().item(), rel=0.01)


def test_dropping_thins_a_clip_by_less_than_its_limit() -> None:
    frames = clips()
    thinned = augment(frames, replace(NO_AUGMENTATION, drop=0.5), randoms())
    share = thinned.sum((1, 2, 3, 4)) / frames.sum((1, 2, 3, 4))
    assert (share > 0.45).all()
    assert (share < 1.02).all()
    assert share.min() < 0.9


def test_each_channel_gains_or_loses_on_its_own_the_same_in_every_frame() -> None:
    frames = clips() * 20
    gained = augment(frames, replace(NO_AUGMENTATION, gain=0.5), randoms())
    gains = gained.sum((3, 4)) / frames.sum((3, 4))
    assert ((gains > 0.45) & (gains < 1.55)).all()
    assert gains.std(1).max() < 0.02
    assert (gains[:, 0, 0] - gains[:, 0, 1]).abs().min() > 0.01


def test_a_mirrored_clip_is_labelled_as_what_it_shows() -> None:
    frames, labels = clips(), torch.tensor([0, 1, 2, 2, 1, -1])
    turned, becomes = mirror(frames, labels, 0.5, randoms(), mirrored=[0, 2, 1])
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(turned, frames, strict=True)]
    assert 0 < sum(flipped) < 6
    for flip, before, after, label, image in zip(flipped, frames, turned, labels, becomes, strict=True):
        assert flip or torch.equal(before, after)
        assert image == ({1: 2, 2: 1}.get(int(label), label) if flip else label)


def module(config: Configuration) -> HybridModule:
    torch.manual_seed(0)
    return HybridModule(build_network(config.card(tuple("0123456789"))), config, total_steps=10)


@pytest.mark.parametrize("burn_in", [0, 10])
def test_the_best_epoch_is_chosen_by_streams_too_where_the_training_carries_the_state(burn_in: int) -> None:
    net = module(replace(Configuration(), width=16, burn_in=burn_in))
    logged: dict[str, float] = {}
    net.log_dict = lambda values, **_: logged.update({name: float(value) for name, value in values.items()})
    frames = clips(6)
    net.net.eval()
    with torch.no_grad():
        outputs, _ = net.net(frames.transpose(0, 1), net.net.initial_state(6))
        net._validate(frames, labels=outputs.mean(0).argmax(1))
    reset, carried = logged["val_accuracy_reset"], logged["val_accuracy_carried"]
    assert carried < reset == 1
    accuracy = logged["score"] + 1e-3 * logged["val_loss"]
    assert accuracy == pytest.approx((reset + carried) / 2 if burn_in else reset, abs=1e-6)


@pytest.mark.parametrize("analog", [True, False])
def test_each_phase_learns_four_clips_by_heart(analog: bool) -> None:
    small = Configuration(width=8, strides=(2, 2, 1, 1), sub_blocks=(1, 1, 1, 1), final_pool=1)
    fit = module(replace(small, dropout=0.0, burn_in=0, augmentation=NO_AUGMENTATION))
    frames, labels = clips(4).transpose(0, 1), torch.tensor([1, 3, 5, 7])
    optimizer = torch.optim.Adam(fit.net.parameters(), 3e-3)
    fit.net.analog = analog
    losses = []
    for _ in range(30):
        outputs, _ = fit.net(frames, fit.net.initial_state(4))
        loss = fit.loss(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_a_frozen_network_learns_only_its_read_out() -> None:
    config = Configuration(
        dataset="gestures-sim", width=16, burn_in=10, readout="traces", freeze=True, init=Path("any"),
        augmentation=NO_AUGMENTATION,
    )  # fmt: skip
    fit = module(config)
    freeze(fit.net)
    before = {name: tensor.clone() for name, tensor in fit.net.state_dict().items()}
    cells = sum(prod(shape) for shape in fit.net.card.pooled_shapes())
    labels = torch.tensor([1, 3, 5, 7])
    rates = torch.rand(4, 1, cells, 1, 1, generator=torch.Generator().manual_seed(0)) * 3
    spikes = torch.poisson(rates.expand(4, 30, cells, 1, 1)).clamp(max=9).to(torch.uint8)
    batch = Batch(spikes, labels.unsqueeze(1).expand(4, 30), torch.arange(4))
    optimizer = torch.optim.Adam([each for each in fit.parameters() if each.requires_grad], 3e-3)
    losses = []
    for step in range(20):
        loss, _ = fit.loss_of(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    changed = {name for name, tensor in fit.net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith(READ_OUT)}


def test_a_read_out_learns_the_pooled_spikes_of_the_finished_network(tmp_path: Path) -> None:
    spec = replace(gestures_sim.INPUT, width=32, height=32)
    network = NetworkSpec(widths=(16,) * 4, sub_blocks=(1,) * 4, final_pool=4, weight_bits=8)
    folder = write_network(tmp_path, ModelCard("m", ("a", "b"), spec, network))
    frames = np.random.default_rng(0).poisson(2.0, (2, 3, 2, 32, 32)).astype(np.uint8)
    labels = np.zeros((2, 3), np.int64)
    spikes = spikes_of(Streams(Stack([frames]), labels, ("a", "b"), 3, 0), folder).frames
    model, found = load_model(folder, "onnx"), []
    card = replace(model.card, readout="traces")
    for stream in frames:
        state = model.initial_state()
        for data in stream:
            _, state = model.step(Frame(0, data, 0), state)
            found.append(pooled_spikes(card, state) * 16)
    expected = np.array(found).reshape(2, 3, -1, 1, 1)
    assert spikes[:].max() > 1
    assert np.mean(spikes[:] == np.rint(expected)) > 0.99  # a rounding may flip a spike


def unbalanced(labels: list[int], extra: Clips | None = None) -> Parts:
    frames = np.zeros((len(labels), 1, 1, 1, 1), np.uint8)
    clips = Clips(frames, np.array(labels), ("x",) * len(labels), ("often", "seldom"))
    return Parts(clips, clips, extra, 0 if extra is None else len(extra) // 2)


def test_class_weights_count_what_an_epoch_draws() -> None:
    often = unbalanced([0] * 6 + [1] * 2 + [-1] * 5)
    assert torch.allclose(class_weights(often), torch.tensor([8 / 12, 8 / 4]))
    assert torch.allclose(class_weights(often, 0.5, [1, 0]), torch.ones(2))
    half_of_eight = unbalanced([1] * 8).validation
    assert torch.allclose(class_weights(unbalanced([0] * 6 + [1] * 2, half_of_eight)), torch.ones(2))


def test_a_clip_counts_by_its_class_whatever_its_target() -> None:
    config = replace(Configuration(), width=16)
    net = build_network(config.card(("often", "seldom")))
    weights = torch.tensor([0.5, 2.0])
    doubts = replace(config, dataset="gestures-sim", unknown_weight=3.0)
    weighted, plain = HybridModule(net, doubts, 10, weights), HybridModule(net, config, 10)
    outputs = torch.randn(10, 3, 2, generator=torch.Generator().manual_seed(0))
    for label, weight in ((0, 0.5), (1, 2.0), (-1, 3.0)):
        labels = torch.tensor([label] * 3)
        loss = plain.loss(outputs, labels).item() * weight
        assert weighted.loss(outputs, labels).item() == pytest.approx(loss, rel=1e-5)


def test_adjusted_logits_are_as_of_equal_shares() -> None:
    # Two classes that only their shares, 3 to 1, tell apart: the loss is least where the outputs don't.
    config = replace(Configuration(), width=16, dataset="gestures-sim", balance="logits")
    net = build_network(config.card(("often", "seldom")))
    fit = HybridModule(net, config, 10, torch.tensor([4 / 6, 4 / 2]))
    labels = torch.tensor([0, 0, 0, 1])
    outputs = torch.zeros(10, 4, 2, requires_grad=True)
    fit.loss(outputs, labels).backward()
    assert outputs.grad is not None
    assert outputs.grad.sum((0, 1)).abs().max() < 1e-6
    of_none = torch.tensor([-1] * 4)
    assert fit.loss(torch.zeros(10, 4, 2), of_none).item() == pytest.approx(np.log(2), rel=1e-5)


def test_the_burn_in_gives_the_state_that_other_clips_leave() -> None:
    fit = module(replace(Configuration(), width=16, burn_in=20, from_zero=0.5))
    frames = clips(4) * 3
    fit.net.eval()
    possible = [fit.net.initial_state(4)]
    for others in ([frames.roll(1, 0)], [frames.roll(2, 0), frames.roll(1, 0)]):
        possible.append(fit.net(torch.cat(others, dim=1).transpose(0, 1), fit.net.initial_state(4))[1])
    fit.net.train()
    for seed in range(4):
        state = fit._burn_in(frames, torch.Generator().manual_seed(seed))
        random = torch.Generator().manual_seed(seed)
        clips_before = int(torch.randint(3, (), generator=random))
        carried = torch.rand(4, generator=random) >= 0.5
        for u, whole in zip(state, possible[clips_before], strict=True):
            assert torch.allclose(u[carried], whole[carried], atol=1e-5)
            assert not u[~carried].any()
        assert all(not u.requires_grad for u in state)
        assert fit.net.training


def test_each_step_draws_a_burn_in_of_its_own_with_a_trainer_or_without() -> None:
    fit = module(replace(Configuration(), width=16, burn_in=20, augmentation=NO_AUGMENTATION))
    fit.net.eval()
    batch = Batch(clips(4) * 3, torch.arange(4), torch.arange(4))
    losses = [fit.loss_of(batch, step)[0].item() for step in (*range(4), 0)]
    assert len(set(losses)) > 1
    assert losses[-1] == losses[0]


def test_hidden_density_weighs_layers_by_their_neurons() -> None:
    net = build_network(replace(Configuration(), width=16).card(tuple("0123456789")))
    shapes = list(net.state_shapes().values())[:-1]
    rates = torch.zeros(len(shapes))
    rates[0] = 1.0
    sizes = [int(np.prod(shape)) for shape in shapes]
    assert hidden_density(rates, net).item() == pytest.approx(sizes[0] / sum(sizes))


SPEC = InputSpec(34, 34, SliceRule(delta_t_us=29_000))


def test_real_recordings_become_clips_with_the_label_of_their_folder(data_dir: Path) -> None:
    loaded = load_nmnist(data_dir / "nmnist", "Train", SPEC)
    assert loaded.frames.shape == (1000, 10, 2, 34, 34)
    assert np.bincount(loaded.labels).tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert loaded.names[0] == "Train/0/00002.bin"
    assert (loaded.frames.sum((2, 3, 4)) > 0).mean() > 0.99


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, r"expected .*NNNNN\.bin"),
        ({"0/00001.bin": bytes([1, 1, 0, 0, 1])}, "digit 1"),
        *[
            (
                {f"{digit}/00001.bin": bytes([1, 1, 0, 0, digit]) for digit in range(10)} | {"7/00002.bin": odd},
                "7.00002",
            )
            for odd in (b"", b"not events", bytes([200, 3, 0, 0, 1]))
        ],
    ],
)
def test_what_is_missing_or_damaged_in_n_mnist_is_named(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    (tmp_path / "Train").mkdir()
    for name, octets in files.items():
        (tmp_path / "Train" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "Train" / name).write_bytes(octets)
    with pytest.raises(LivesnnError, match=words):
        load_nmnist(tmp_path, "Train", SPEC)


class Idle:
    """A trainer of a process that isn't the first, and trains nothing."""

    is_global_zero = False

    def fit(self, *arguments: object, **options: object) -> None:
        pass


def test_no_run_validates_on_what_the_model_it_starts_from_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(
        dataset="mnist-seq2", data=trees.mnist(tmp_path / "data"), out=tmp_path / "runs", digits=40, width=8,
        compile=False, validation=0.5, init=tmp_path / "before", runs=2,
    )  # fmt: skip
    begun = data_set("mnist-seq2").load_parts(replace(config, seed=5))
    net = build_network(replace(config.card(begun.training.classes), split=begun.split))
    (tmp_path / "before").mkdir()
    save_weights(
        weights_of(net),
        tmp_path / "before" / "model.safetensors",
        replace(net.card, states=net.state_shapes()),
    )
    kept: list[Parts] = []
    monkeypatch.setattr(trainer, "_trainer", lambda *given: Idle())
    monkeypatch.setattr(trainer, "record_clips", lambda run, parts, resumed: kept.append(parts))
    assert trainer.train_all(config) == []
    assert len(kept) == 2
    for parts in kept:
        assert np.array_equal(parts.validation.frames, begun.validation.frames)
        assert parts.split == begun.split


@dataclass(frozen=True)
class Written:
    """A model folder, the network it is of, the clips it was validated on, and what was measured on them."""

    folder: Path
    net: SpikingNetwork
    clips: Clips
    measured: Evaluation


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Write the model folder of a small network whose classes are a formula and letters that no font has."""
    folder, classes = tmp_path_factory.mktemp("model"), (r"a$\frac$b", "日本語")
    net = build_network(Configuration(width=2, sub_blocks=(1, 2, 1, 1)).card(classes)).eval()
    clips = Clips(np.zeros((2, 10, 2, 34, 34), np.uint8), np.array([0, 1]), ("first", "second"), classes)
    return Written(folder, net, clips, write_model_folder(net, folder, net.card, clips, folder / "run"))


def test_a_model_folder_has_a_page_and_a_picture_whatever_its_classes_are_called(written: Written) -> None:
    page = (written.folder / "README.md").read_text(encoding="utf-8")
    assert page.startswith("---\nlibrary_name: livesnn\ntags: [")
    assert "STS-ResNet, 12 layers, 2 channels, 2 classes" in page
    assert "| validation | other clips, which training never saw |" in page
    assert (written.folder / "confusion.png").stat().st_size > 5000


def test_a_measurement_on_the_test_part_is_kept_in_both_files_and_the_page_and_replaces_an_older_one(
    written: Written, tmp_path: Path
) -> None:
    folder = shutil.copytree(written.folder, tmp_path / "model")
    page = (folder / "README.md").read_text(encoding="utf-8")
    measured = replace(written.measured, n=7, accuracy_reset=0.25, accuracy_carried=0.125)
    for _ in range(2):
        record_test(folder, measured)
    test = Accuracy(0.25, 0.125, 7)
    assert load_model(folder).card.test == load_weights(folder / "model.safetensors")[1].test == test
    kept = (folder / "README.md").read_text(encoding="utf-8")
    assert kept.startswith(page.rstrip())
    assert kept.count("On the test part") == 1
    assert "carried it is 0.1250 (n = 7)" in kept
    write_model_folder(written.net, folder, replace(written.net.card, test=test), written.clips, folder / "run")
    assert (folder / "README.md").read_text(encoding="utf-8") == kept  # nothing was trained since


def test_a_measurement_is_recorded_without_a_sound_page_but_not_without_a_sound_graph(
    written: Written, tmp_path: Path
) -> None:
    folder = shutil.copytree(written.folder, tmp_path / "model")
    page, graph = folder / "README.md", folder / "model.onnx"
    page.write_bytes(b"\xff\xfe page")
    record_test(folder, written.measured)
    assert "On the test part" in page.read_text(encoding="utf-8")
    page.unlink()
    record_test(folder, written.measured)
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.onnx can't be loaded, copy it again"):
        record_test(folder, written.measured)


def test_what_a_training_has_is_said_before_its_first_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    one = Clips(np.zeros((3, 10, 2, 8, 8), np.uint8), np.array([0, 1, 1]), ("a", "b", "c"), ("nod", "wave"))
    start = Start(Path("m"), {}, replace(Configuration().card(("wave",)), name="m"))
    announce(Parts(one, one.subset(np.array([0]))), 2, start)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "3 clips to train on, 1 for validation; 2 steps an epoch"
    assert said[1] == "the model of --init doesn't know nod: these start with random weights"


def test_what_not_every_run_has_measured_has_no_mean() -> None:
    @dataclass
    class Run:
        accuracy_reset: float
        accuracy_recordings: float | None

    found = spreads([Run(0.5, 0.25), Run(0.75, None)])
    assert found.keys() == {"accuracy_reset"}
    assert found["accuracy_reset"]["mean"] == 0.625
