"""`livesnn bench`. What it measures is in livesnn.bench."""

from __future__ import annotations

from typing import Annotated

import tyro

from livesnn.bench import Measurement, Options, measure
from livesnn.console import write_json


def bench(
    what: Annotated[tuple[Measurement, ...], tyro.conf.Positional] = (),
    /,
    *,
    options: Annotated[Options, tyro.conf.arg(name="")] = Options(),  # noqa: B008 (frozen)
    json: bool = True,
) -> int:
    """Measure how fast livesnn runs on this machine.

    step: a frame on each engine, by turns; ONNX Runtime with IO binding and without, the faster of which is compared
    with ("best"), and of models with kernels in 8 bits by its own 8 bits too (needs livesnn[train]).
    density: the spike-driven engine beside ONNX Runtime at 1 to 100 % of spikes, and the least time that reading
    takes (ten minutes); bandwidth: reading alone.
    teach: what no model knows, taught by so many simulated people as there are repeats.

    Parameters
    ----------
    what
        Which measurements; default: those before formats.
    json
        It is JSON in any case; taken since other commands take it.
    """
    write_json(measure(what, options))
    return 0
