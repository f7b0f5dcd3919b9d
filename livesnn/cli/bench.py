"""`livesnn bench`. What it measures is in livesnn.bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from livesnn.bench import Measurement
from livesnn.report import write_json


def bench(
    what: Annotated[tuple[Measurement, ...], tyro.conf.Positional] = (),
    /,
    *,
    model: str = "",
    repeats: int = 5,
    source: str = "",
    engines: tuple[str, ...] = (),
    peers: bool = False,
    data: Path = Path("data"),
    out: Path = Path("simulator"),
    people: int = 100,
    seconds: float = 20.0,
    rates: tuple[int, ...] = (),
    threads: int | None = None,
    json: bool = True,
) -> int:
    """Measure this machine; JSON.

    step: a frame on each engine, by turns; ONNX Runtime with IO binding and without, the faster of which is compared
    with ("best"), and of models with kernels in 8 bits by its own 8 bits too (needs livesnn[train]).
    density: the spike-driven engine beside ONNX Runtime at 1 to 100 % of spikes, and the least time that reading
    takes (ten minutes); bandwidth: reading alone.
    teach: what no model knows, taught by so many simulated people as there are repeats.

    Parameters
    ----------
    what
        Which measurements; default: those before formats.
    model
        Name of a shipped model, or a model folder; default: gestures with sensors, transfer and teach, else nmnist.
    repeats
        Runs of each.
    source
        With step and density: a recording, whose frames are taken; default: a blob that moves, a shipped clip.
    engines
        With step: which of onnx, spike and torch; default: those that are installed and can run the model.
    peers
        With step: the same network with torch.compile and in OpenVINO, SpikingJelly, snnTorch and Norse too, those of
        them that are installed (make peers: in an environment of their own). With train: in SpikingJelly and
        snnTorch. With formats: reading by other libraries too, those of them that are installed.
    data
        With simulator and transfer: the folder of real clips, NN_GESTURE.npz.
    out
        With simulator: where its report goes, README.md and pictures.
    people
        With simulator and sensors: simulated people a gesture.
    seconds
        With sustained: how long the window is measured at each rate.
    rates
        With sustained: events a second, from low to high up to the first that the window can't take; default:
        250,000 to 2,000,000.
    threads
        With sustained: threads of a step; default: as the app.
    json
        It is JSON in any case; taken since other commands take it.
    """
    from livesnn.bench import Options, measure

    options = Options(
        model,
        source,
        repeats,
        engines=engines,
        peers=peers,
        real=data,
        report=out,
        people=people,
        seconds=seconds,
        rates=rates,
        threads=threads,
    )
    write_json(measure(what, options))
    return 0
