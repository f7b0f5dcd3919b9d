"""`livesnn run` of many recordings: which files, who decides on them, and how far it is."""

from __future__ import annotations

import glob
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from livesnn.console import say, share_done, write, write_json
from livesnn.errors import LivesnnError, SourceError
from livesnn.files import expanded

if TYPE_CHECKING:
    from livesnn.outputs.many import File, RunOptions

SAID_S = 60.0
"""Between two lines about how far it is, where there is no terminal that shows a bar."""


@dataclass(frozen=True)
class ManyFlags:
    """Many recordings."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a row for each recording to this file: FILE.jsonl, FILE.csv or FILE.parquet. Recordings that have a row
    there are skipped, so a run that was cut short goes on. Parquet needs livesnn[parquet]."""

    jobs: Annotated[int | None, tyro.conf.arg(metavar="NUMBER")] = None
    """Decide on this many recordings at once. Default: one for each processor."""

    shard: Annotated[str | None, tyro.conf.arg(metavar="K/N")] = None
    """Decide only on part K of N, from 1/N to N/N, as for a job array. FILE becomes FILE-KofN."""

    dask: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Let the workers of this Dask scheduler decide, such as tcp://HOST:8786. Needs livesnn[cluster]."""


Many = Annotated[ManyFlags, tyro.conf.arg(name="")]
ONE = ManyFlags()


def are_many(sources: Sequence[str], flags: ManyFlags) -> bool:
    """Return whether this is about a table of recordings, and not about one source."""
    return flags != ONE or len(sources) > 1 or any(map(_is_pattern, sources))


def run_many(sources: Sequence[str], options: RunOptions, flags: ManyFlags, *, json: bool) -> int:
    """Decide on each recording that has no row yet; return 1 if any has failed."""
    from livesnn.outputs.many import Failed, in_processes, on_cluster, open_table

    begun_s = time.monotonic()
    part, parts = _shard(flags.shard)
    files = [*_files(sources)][part - 1 :: parts]
    if flags.out is None:
        raise SourceError("several recordings need a table for their decisions: add --out decisions.jsonl")
    out = expanded(flags.out)
    if flags.shard is not None:
        out = out.with_stem(f"{out.stem}-{part}of{parts}")
    jobs = _jobs(flags)
    if options.model is not None and expanded(options.model).is_dir():  # a worker's folder is another one
        options = replace(options, model=str(expanded(options.model).absolute()))
    options.check()
    failed = decided = 0
    with closing(open_table(out)) as table:
        _check_options(table.done, options, out)
        missing = [file for file in files if file.name not in table.done]
        if missing and flags.dask is None:
            options.prepare(_notify)
        outcomes = (
            in_processes(missing, options, jobs)
            if flags.dask is None
            else on_cluster(flags.dask, missing, options, _notify)
        )
        said_s = time.monotonic()
        doing = f"livesnn run: {len(missing):,} recordings to {out}"
        with closing(outcomes), share_done(doing, after_s=0.0) as show:
            show(0.0)
            for file, outcome in outcomes if missing else ():
                if isinstance(outcome, Failed):
                    failed += 1
                    about = "" if file.path in outcome.why else f"{file.name}: "
                    _notify(f"{about}{outcome.why}")
                else:
                    decided += 1
                    table.add(outcome)
                show((decided + failed) / len(missing))
                if not _on_terminal() and time.monotonic() - said_s > SAID_S:
                    said_s = time.monotonic()
                    _notify(f"{decided + failed:,} of {len(missing):,} done")
    skipped = len(files) - len(missing)
    if json:
        seconds = time.monotonic() - begun_s
        counts = {"recordings": len(files), "decided": decided, "skipped": skipped, "failed": failed}
        write_json({"summary": counts | {"out": str(out), "seconds": seconds}})
    else:
        write(f"{decided:,} decided, {skipped:,} skipped, {failed:,} failed: {out}")
    return int(failed > 0)


def _notify(line: str) -> None:
    say(f"livesnn run: {line}")


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _is_pattern(source: str) -> bool:
    """Return whether a source names several files; FILE?stream=NAME doesn't, nor does a file with such a name."""
    return any(sign in source for sign in "*[") and not expanded(source).exists()


def _files(sources: Sequence[str]) -> Iterator[File]:
    """Yield each recording once, those of a pattern in order of their names. Raises SourceError."""
    from livesnn.outputs.many import File
    from livesnn.sources import is_live

    seen = set()
    for source in sources:
        names = [source]
        if _is_pattern(source):
            names = sorted(glob.glob(str(expanded(source)), recursive=True))
            if not names:
                raise SourceError(f"{source}: no file has such a name: check the pattern")
        for name in names:
            if is_live(name):
                raise SourceError(f"{name}: it never ends: give recordings, or run it without --out")
            file = File(str(Path(name)).encode(errors="replace").decode(), str(expanded(name).absolute()))
            if file not in seen:
                yield file
            seen.add(file)


def _shard(text: str | None) -> tuple[int, int]:
    part, _, parts = (text or "1/1").partition("/")
    numbers = part.isdecimal() and parts.isdecimal()
    if not numbers or not 1 <= int(part) <= int(parts):
        raise LivesnnError(f"--shard can't be {text!r}: give K/N, from 1/N to N/N")
    return int(part), int(parts)


def _jobs(flags: ManyFlags) -> int:
    from livesnn.outputs.many import MOST_JOBS
    from livesnn.threads import usable_processors

    if flags.jobs is None:
        return min(MOST_JOBS, usable_processors())
    if flags.dask is not None:
        raise LivesnnError("--jobs is for this computer: leave it out, or leave out --dask")
    if not 1 <= flags.jobs <= MOST_JOBS:
        raise LivesnnError(f"--jobs can't be {flags.jobs}: give 1 to {MOST_JOBS}")
    return flags.jobs


def _check_options(done: dict[str, str], options: RunOptions, out: Path) -> None:
    from livesnn.console import json_line

    ours = json_line(options).decode().rstrip()
    if any(theirs != ours for theirs in done.values()):
        raise LivesnnError(
            f"--out {out} has rows of other options, such as another --model: give another file"
        )
