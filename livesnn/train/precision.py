"""Which number format trains faster on this machine. Not here: what is trained (hybrid.py)."""

from __future__ import annotations

from typing import Literal

from llvmlite import binding

Precision = Literal["bf16-mixed", "32-true"]


def fast_precision() -> Precision:
    """Return "bf16-mixed" where the GPU, or else the processor (Intel's, AMD's), multiplies bf16, else "32-true".

    Without such instructions torch goes through bf16 number by number: a step of STS-ResNet took eleven times as
    long as in float32 on an AMD EPYC of AVX2 alone (tests/benchmarks/train_peers.py: 1.8 and 20.3 samples/s).
    """
    import torch  # takes seconds, and flags are made of what is here

    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    features = binding.get_host_cpu_features()
    return "bf16-mixed" if features.get("avx512bf16") or features.get("amx-bf16") else "32-true"
