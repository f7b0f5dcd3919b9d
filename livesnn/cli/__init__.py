"""Every command, one short function each; heavy imports inside it. stdout carries results, stderr messages.

Not here: finding the command and making one line of its errors (__main__.py).
"""

from __future__ import annotations

from collections.abc import Callable

from livesnn.cli.bench import bench
from livesnn.cli.exporting import export
from livesnn.cli.lab import data, evaluate, train
from livesnn.cli.machine import doctor, prepare
from livesnn.cli.publishing import publish
from livesnn.cli.streams import convert, devices, info, record, run, simulate
from livesnn.cli.tables import tables
from livesnn.cli.teaching import teach
from livesnn.cli.window import gui

COMMANDS: dict[str, Callable[..., int]] = {
    "gui": gui,
    "run": run,
    "record": record,
    "publish": publish,
    "devices": devices,
    "doctor": doctor,
    "prepare": prepare,
    "info": info,
    "convert": convert,
    "simulate": simulate,
    "teach": teach,
    "export": export,
    "train": train,
    "eval": evaluate,
    "data": data,
    "bench": bench,
    "tables": tables,
}
