"""Convolutions that skip zeros, for training a spiking network on a processor.

A spike adds a row of the kernel to each output it reaches, and a row of the outputs' gradients to the kernel's
gradient. These are two of a training step's three convolutions. The third, the gradient by the input, is dense and is
computed by torch. The engine that runs trained networks is in infer/spikes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from torch import Tensor, nn

from livesnn.infer.spikes.intrinsics import (
    FLOAT_BYTES,
    add_times,
    float_at,
    marked_floats,
    trailing_zeros,
)
from livesnn.threads import pool

LANES = (32, 16)  # Channels that are computed at a time: the larger that divides both sides of a kernel
DENSEST = 0.2
"""Share of non-zero inputs above which torch's convolution is used. Both are equally fast at 0.25 to 0.3 (64
channels, 7×7 and 32×32, one thread of an AMD EPYC with AVX2)."""
SAMPLED = 8  # The share is counted on every eighth image
PARTS, MOST_PARTS = 4, 32
"""Parts of a batch, for each thread and in all. A thread takes the next part when it can, since torch's own threads
occupy a processor for some milliseconds after each operation."""


def convolve_spikes(net: nn.Module) -> None:
    """Replace those convolutions of a network that can skip zeros; they keep their weights.

    These have an odd kernel, any stride, multiples of 16 channels, and a padding of half the kernel. They skip zeros
    on a processor in float32 if the input is sparse; otherwise torch computes them. In bfloat16 it is as fast.
    """
    for module in list(net.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and _suits(child):
                setattr(module, name, SpikeConv2d.like(child))


def _suits(conv: nn.Conv2d) -> bool:
    (kernel, other), (stride, across) = conv.kernel_size, conv.stride
    square = kernel == other and stride == across and kernel % 2 == 1
    padded = conv.padding == (kernel // 2, kernel // 2) and conv.padding_mode == "zeros"
    whole = conv.dilation == (1, 1) and conv.groups == 1
    return square and padded and whole and not (conv.in_channels % LANES[-1] or conv.out_channels % LANES[-1])


class SpikeConv2d(nn.Conv2d):
    """A `torch.nn.Conv2d` that skips zeros where that is faster; see `convolve_spikes`."""

    @classmethod
    def like(cls, conv: nn.Conv2d) -> SpikeConv2d:
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        made = cls(conv.in_channels, conv.out_channels, kernel, stride, kernel // 2, device="meta")
        made.weight, made.bias = conv.weight, conv.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x [N, C, H, W], equal to a Conv2d's up to rounding; weights must be finite.

        Where zeros are skipped, the result is in channels last and can be differentiated once.
        """
        if not self._takes(x) or _share(x) > DENSEST:
            return super().forward(x)
        out: Tensor = _SpikeConv.apply(x, self.weight, self.stride[0])
        return out if self.bias is None else out + self.bias[:, None, None]

    def _takes(self, x: Tensor) -> bool:
        known = x.dtype == self.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        fits = x.ndim == 4 and x.shape[1] == self.in_channels
        return known and fits and x.device.type == self.weight.device.type == "cpu"


def _share(x: Tensor) -> float:
    sample = x[::SAMPLED]
    return int(sample.count_nonzero()) / max(sample.numel(), 1)


class _SpikeConv(torch.autograd.Function):
    """Convolution of x [N, C, H, W] by weights [O, C, k, k]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        images, _, height, width = x.shape
        height, width = ((side + stride - 1) // stride for side in (height, width))
        out = x.new_zeros(images, height, width, len(weight)).permute(0, 3, 1, 2)
        _over_spikes(x, weight.detach().permute(1, 2, 3, 0).contiguous(), out, stride, forward=True)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        by_input, by_weight = None, None
        if ctx.needs_input_grad[0]:
            stride, pad = [ctx.stride] * 2, [weight.shape[2] // 2] * 2
            by_input, _, _ = torch.ops.aten.convolution_backward(
                grad, x, weight, None, stride, pad, [1, 1], False, [0, 0], 1, [True, False, False]
            )
        if ctx.needs_input_grad[1]:
            sums = weight.new_zeros(weight.permute(1, 2, 3, 0).shape)
            _over_spikes(x, sums, grad, ctx.stride, forward=False)
            by_weight = sums.permute(3, 0, 1, 2)
        return by_input, by_weight, None


def _over_spikes(x: Tensor, weights: Tensor, out: Tensor, stride: int, *, forward: bool) -> None:
    """Add to ``out``, or to the ``weights``, what each non-zero input gives, on torch's number of threads.

    All are float32: input x [N, C, H, W] and ``out`` [N, O, H', W'] in channels last, ``weights`` [C, k, k, O].
    """
    channels, kernel, _, outputs = weights.shape
    lanes = next(n for n in LANES if channels % n == 0 and outputs % n == 0)
    spread = _kernel(lanes, forward)
    sizes = (*x.shape[1:], *out.shape[1:], kernel, stride)
    threads = torch.get_num_threads()
    parts = max(min(PARTS * threads, MOST_PARTS, len(x)), 1) if threads > 1 else 1
    # By part, not by thread: the order of the sum must not depend on which thread is first.
    sums = weights.expand(parts, *weights.shape) if forward else weights.new_zeros(parts, *weights.shape)
    left = iter(range(parts))

    def work() -> None:
        for part in left:  # one iterator for all threads
            first, last = len(x) * part // parts, len(x) * (part + 1) // parts
            spread(x.data_ptr(), first, last, sizes, sums[part].data_ptr(), out.data_ptr())

    others = [pool("convolve", threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()
    if not forward:
        weights += sums.sum(0)


@cache
def _kernel(lanes: int, forward: bool) -> Callable[..., None]:
    """Return the function that spreads the spikes of images, so many channels at a time; it compiles in a second.

    It takes the addresses of float32 [N, H, W, C], [C, k, k, O] and [N, H', W', O], the first and last image, and as
    ``sizes`` C, H, W, O, H', W', k, stride.
    """

    @numba.njit(nogil=True)
    def spread(x, first, last, sizes, weights, out):  # type: ignore[no-untyped-def]
        channels, height, width, outputs, rows, columns, kernel, stride = sizes
        taps = np.empty((kernel * kernel, 2), np.int64)
        size, line = outputs * FLOAT_BYTES, channels * FLOAT_BYTES
        pixels = height * width
        for number in range(first * pixels, last * pixels):
            image, place = number // pixels, number % pixels
            pixel, result = x + number * line, out + image * rows * columns * size
            reached = _reached(taps, place // width, place % width, rows, columns, kernel, stride)
            for part in range(0, channels, lanes):
                marks = marked_floats(lanes, pixel + part * FLOAT_BYTES)
                while marks:
                    channel = part + trailing_zeros(marks)
                    marks &= marks - types.uint64(1)
                    value = float_at(pixel + channel * FLOAT_BYTES)
                    of_channel = weights + channel * kernel * kernel * size
                    for tap in range(reached):
                        weight = of_channel + taps[tap, 0] * size
                        output = result + taps[tap, 1] * size
                        for lane in range(0, size, lanes * FLOAT_BYTES):
                            here, there = weight + lane, output + lane
                            if forward:
                                add_times(lanes, there, here, value)
                            else:
                                add_times(lanes, here, there, value)

    return spread


@numba.njit(inline="always")
def _reached(taps, y, x, rows, columns, kernel, stride):  # type: ignore[no-untyped-def]
    """Write the kernel's taps that meet a pixel and the outputs they reach; return their number."""
    reached = 0
    for ky in range(kernel):
        row = y + kernel // 2 - ky
        if row < 0 or row % stride or row // stride >= rows:
            continue
        for kx in range(kernel):
            column = x + kernel // 2 - kx
            if column < 0 or column % stride or column // stride >= columns:
                continue
            taps[reached, 0] = ky * kernel + kx
            taps[reached, 1] = row // stride * columns + column // stride
            reached += 1
    return reached
