"""Convolutions that skip zeros: the same outputs and gradients as torch's own, and where they are taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import livesnn.train.spike_conv as spike_conv_module
from livesnn.snn.network import eval_mode
from livesnn.train.network import build
from livesnn.train.spike_conv import DENSEST, SpikeConv2d, convolve_spikes
from tests.trees import configured

pytestmark = pytest.mark.slow

GESTURES = configured(dataset="gestures-sim", width=16)


each_shape = pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride", "height", "width"),
    [
        (64, 64, 3, 1, 7, 7),
        (64, 128, 3, 2, 8, 8),
        (32, 16, 3, 2, 9, 5),
        (48, 16, 5, 1, 6, 11),
        (16, 48, 1, 2, 7, 4),
        (16, 16, 7, 3, 2, 10),
        (16, 16, 3, 1, 1, 1),
    ],
)


@pytest.fixture(params=[1, 3])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note each time that zeros are skipped, and whether forwards."""
    seen: list[bool] = []
    ours = spike_conv_module._over_spikes

    def note(x: Tensor, weights: Tensor, out: Tensor, stride: int, *, forward: bool) -> None:
        seen.append(forward)
        ours(x, weights, out, stride, forward=forward)

    monkeypatch.setattr(spike_conv_module, "_over_spikes", note)
    return seen


def some_spikes(*shape: int, share: float = 0.1, size: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(*shape, generator=generator) < share).float() * size


def through(conv: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of some loss by the input, the weights and the bias."""
    x = x.clone().requires_grad_()
    conv.zero_grad()
    out = conv(x)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return [
        out.detach(),
        *(of.grad for of in (x, conv.weight, conv.bias) if of is not None and of.grad is not None),
    ]


@pytest.mark.usefixtures("_threads")
@each_shape
def test_outputs_and_gradients_are_those_of_a_dense_convolution(
    spread: list[bool], channels: int, outputs: int, kernel: int, stride: int, height: int, width: int
) -> None:
    conv = nn.Conv2d(channels, outputs, kernel, stride, kernel // 2)
    x = some_spikes(10, channels, height, width, size=1 / 0.9)
    sparse = through(SpikeConv2d.like(conv), x)
    assert spread == [True, False]
    for ours, dense in zip(sparse, through(conv, x), strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-4, atol=1e-4)


def test_negative_numbers_and_any_layout_of_memory_are_convolved_too(spread: list[bool]) -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1, bias=False)
    x = some_spikes(9, 16, 6, 6) * torch.linspace(-2, 2, 9)[:, None, None, None]
    for layout in (torch.channels_last, torch.contiguous_format):
        sparse = through(SpikeConv2d.like(conv), x.contiguous(memory_format=layout))
        for ours, dense in zip(sparse, through(conv, x), strict=True):
            torch.testing.assert_close(ours, dense, rtol=1e-4, atol=1e-4)
    assert spread == [True, False] * 2


def test_what_a_dense_convolution_refuses_is_refused() -> None:
    x = some_spikes(8, 16, 4, 4)
    with pytest.raises(RuntimeError, match="channels"):
        SpikeConv2d.like(nn.Conv2d(32, 16, 3, padding=1))(x)
    with pytest.raises(RuntimeError, match="type"):
        SpikeConv2d.like(nn.Conv2d(16, 16, 3, padding=1).double())(x)


def test_an_image_without_a_batch_is_convolved_by_torch() -> None:
    conv, x = nn.Conv2d(16, 16, 3, padding=1), some_spikes(16, 4, 4)
    assert torch.equal(SpikeConv2d.like(conv)(x), conv(x))


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("frozen", ["weight", "input"])
def test_one_gradient_is_that_of_both(frozen: str) -> None:
    conv = nn.Conv2d(16, 32, 3, padding=1, bias=False)
    x = some_spikes(5, 16, 6, 6)
    both = through(SpikeConv2d.like(conv), x)[1:]
    conv.zero_grad()
    conv.weight.requires_grad_(frozen != "weight")
    given = x.clone().requires_grad_(frozen != "input")
    out = SpikeConv2d.like(conv)(given)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    one, other = (given.grad, conv.weight.grad) if frozen == "weight" else (conv.weight.grad, given.grad)
    assert one is not None
    assert torch.equal(one, both[frozen == "input"])
    assert other is None


@pytest.mark.usefixtures("_threads")
def test_the_same_number_of_threads_gives_the_same_bits() -> None:
    conv, x = SpikeConv2d.like(nn.Conv2d(32, 32, 3, padding=1)), some_spikes(61, 32, 9, 9)
    first = through(conv, x)
    first[2:] = [grad.clone() for grad in first[2:]]
    for _ in range(5):
        assert all(map(torch.equal, first, through(conv, x)))
    with torch.inference_mode():
        assert torch.equal(conv(x), first[0])


def test_what_is_not_a_number_stays_none() -> None:
    x = some_spikes(8, 16, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    assert SpikeConv2d.like(nn.Conv2d(16, 16, 3, padding=1))(x)[0].isnan().any()


def test_no_image_is_no_image() -> None:
    assert SpikeConv2d.like(nn.Conv2d(16, 32, 3, 2, 1))(torch.zeros(0, 16, 5, 5)).shape == (0, 32, 3, 3)


@pytest.mark.parametrize("share", [DENSEST + 0.1, 1.0])
def test_inputs_that_are_hardly_sparse_are_convolved_by_torch(spread: list[bool], share: float) -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    x = some_spikes(8, 16, 8, 8, share=share)
    assert torch.equal(SpikeConv2d.like(conv)(x), conv(x))
    assert spread == []


def test_float32_where_bf16_is_wanted_is_convolved_by_torch(spread: list[bool]) -> None:
    conv = SpikeConv2d.like(nn.Conv2d(16, 16, 3, padding=1, bias=False))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(some_spikes(8, 16, 8, 8, share=0.01)).dtype == torch.bfloat16
    assert spread == []


def test_convolutions_of_spikes_keep_their_weights_and_names() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1),
        nn.Conv2d(16, 24, 3, padding=1),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 16, 2, padding=1),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 32, 3, 2, 1, bias=False),
    )
    before = dict(net.named_parameters())
    convolve_spikes(net)
    assert [type(conv) for conv in net] == [nn.Conv2d] * 5 + [SpikeConv2d]
    after = dict(net.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_a_network_that_is_built_for_training_computes_what_it_did(
    spread: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)  # else the neuron is compiled for half a minute
    config = replace(GESTURES, dropout=0.0)
    dense, sparse = (build(replace(config, compile=compiles), ("a", "b")) for compiles in (False, True))
    sparse.load_state_dict(dense.state_dict())
    frames = (some_spikes(10, 3, 2, 64, 64, share=0.02) * 3).to(torch.uint8)
    with eval_mode(dense), eval_mode(sparse):
        outputs = [net(frames, net.initial_state(3))[0] for net in (dense, sparse)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)
    assert True in spread
