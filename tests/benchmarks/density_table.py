"""Write the tables of docs/experiments/engine.md from the figures of density.py.

python tests/benchmarks/density.py > density.json && python tests/benchmarks/density_table.py density.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "experiments" / "engine.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"


def tables(report: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    machine, measured = report["machine"], report["density"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("numba", "onnxruntime"))
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {versions}; {measured['clip']}, "
        f"{measured['frames']} frames of {measured['events_per_frame']} events, {measured['threads']} threads, "
        f"{measured['repeats']} repeats.",
    ]
    for bits in (name for name in ("32 bits", "8 bits") if name in measured):
        lines += ["", f"Weights in {bits}:", "", *_steps(measured[bits])]
    return "\n".join([*lines, "", "Memory reads, GB/s:", "", *_speeds(measured["read_gb_per_s"])]) + "\n"


def _steps(rows: Mapping[str, Any]) -> Iterator[str]:
    int8 = any("ratio_int8" in row for row in rows.values())
    heads = [
        "density",
        "range over layers",
        "ONNX Runtime, ms p50 / p95 / p99",
        "spike-driven",
        "times as fast",
        "goal",
    ]
    heads += ["against its 8 bits"] * int8
    yield _row([*heads, "same winner", "MB touched", "bound, ms", "step / bound"])
    yield _row(["---"] * (10 + int8))
    for target, row in rows.items():
        limit = row["limit"]
        cells = [
            target,
            f"{row['density_min']:.2%} to {row['density_max']:.2%}",
            _times(row["engines"][row["best"]]),
            _times(row["engines"]["spike"]) + ("" if row["spike_steps"] > 0.5 else " (ONNX Runtime's)"),
            _ratio(row["ratio"]),
            f"{row['goal']:g}{'' if row['met'] else ', missed'}",
            *([_ratio(row["ratio_int8"])] if int8 else []),
            f"{row['agreement']:.1%}",
            f"{limit['weights_mb'] + limit['state_mb']:.0f}",
            f"{limit['ms']:.2f}",
            f"{limit['times']:.1f}",
        ]
        yield _row(cells)


def _speeds(speeds: Mapping[str, Any]) -> Iterator[str]:
    sizes = list(next(iter(speeds.values())))
    yield _row(["a thread reads again and again", *sizes])
    yield _row(["---"] * (1 + len(sizes)))
    for threads, by_size in speeds.items():
        yield _row([threads, *(f"{by_size[size]['median']:.0f}" for size in sizes)])


def _times(engine: Mapping[str, float]) -> str:
    return " / ".join(f"{engine[f'ms_{name}']:.2f}" for name in ("p50", "p95", "p99"))


def _ratio(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.1f} ({ratio['min']:.1f}-{ratio['max']:.1f})"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Replace the tables of the page by those of the file given."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    report = json.loads(Path(sys.argv[1]).read_text())
    PAGE.write_text(before + BEGIN + tables(report) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
