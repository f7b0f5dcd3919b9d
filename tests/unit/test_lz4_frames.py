"""Unpacking LZ4's frames: what the library packs comes out again, and damage is left to the library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livesnn.events.formats.aedat4_layout import build_events
from livesnn.events.formats.lz4_frames import address_of, unpack_lz4, unpack_lz4_frames
from livesnn.events.packet import EVENTS_DTYPE, Resolution

ROOM = 1 << 24
RULES = settings(max_examples=60)
options = st.fixed_dictionaries({
    "block_size": st.sampled_from([4, 5, 6, 7]),
    "block_linked": st.booleans(),
    "block_checksum": st.booleans(),
    "store_size": st.booleans(),
    "compression_level": st.sampled_from([-5, 0, 9]),
})  # fmt: skip


def content(size: int, period: int, changes: int, seed: int = 0) -> bytes:
    """Return octets that repeat, with changes at random places. Like a packet, they start with their size."""
    random = np.random.default_rng(seed)
    octets = np.resize(random.integers(0, 256, period).astype(np.uint8), size)
    octets[random.integers(0, size, changes)] = random.integers(0, 256, changes)
    octets[:8] = random.permutation(8)  # literals
    octets[:4].view("<u4")[0] = size - 4
    return octets.tobytes()


contents = st.builds(
    content,
    st.sampled_from([8, 60, 300, 4_000, 70_000, 300_000]),
    st.sampled_from([1, 3, 7, 8, 15, 16, 17, 32, 100_000]),
    st.sampled_from([0, 5, 500, 20_000]),
    st.integers(0, 5),
)


def unpack(frames: list[bytes], room: int = ROOM) -> list[bytes | None]:
    ends = np.cumsum([len(frame) for frame in frames]).tolist()
    places = [*zip([0, *ends[:-1]], ends, strict=True)]
    found = unpack_lz4(memoryview(b"".join(frames)), places, room)
    return [None if one is None else bytes(one.content) for one in found]


@RULES
@given(st.lists(st.tuples(contents, options), min_size=1, max_size=5))
def test_whatever_the_library_packs_is_unpacked_whole_beside_any_other_frame(
    made: list[tuple[bytes, dict[str, Any]]],
) -> None:
    frames = [lz4.frame.compress(octets, **asked) for octets, asked in made]
    for (octets, _), frame, found in zip(made, frames, unpack(frames), strict=True):
        assert found == octets or (found is None and (len(frame) < 24 or frame[7 + 4] >> 4 < 4))


@RULES
@given(contents, options, st.data())
def test_a_changed_octet_in_a_block_with_a_checksum_is_never_unpacked(
    octets: bytes, asked: dict[str, Any], data: st.DataObject
) -> None:
    frame = bytearray(lz4.frame.compress(octets, **{**asked, "block_checksum": True}))
    frame[data.draw(st.integers(7, len(frame) - 5))] ^= data.draw(st.integers(1, 255))
    beside = lz4.frame.compress(octets)
    damaged, sound = unpack([bytes(frame), beside])
    assert damaged is None
    assert sound == unpack([beside])[0]


@RULES
@given(contents, options, st.data())
def test_damage_never_writes_outside_of_what_the_content_may_fill(
    octets: bytes, asked: dict[str, Any], data: st.DataObject
) -> None:
    frame = np.frombuffer(lz4.frame.compress(octets, **{**asked, "block_checksum": False}), np.uint8).copy()
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(7, frame.size - 1))] = data.draw(st.integers(0, 255))
    room = data.draw(st.sampled_from([len(octets), len(octets) // 2, 100]))
    written = np.full(room + 128, 77, np.uint8)
    packed, start = address_of(frame), address_of(written) + 64
    places = np.array([[packed, packed + frame.size, start, start + room], [0, 0, 0, 0]])
    found = np.empty((2, 2), np.int64)
    unpack_lz4_frames(places, 0, 0, found)
    assert -1 <= found[0, 0] <= room
    assert (written[:64] == 77).all()
    assert (written[64 + room :] == 77).all()


def test_what_does_not_fit_into_the_room_together_is_left_out() -> None:
    frames = [lz4.frame.compress(content(1_000, 16, 100, seed)) for seed in range(3)]
    assert [one is None for one in unpack(frames, 2_100)] == [False, False, True]


@pytest.mark.parametrize("more", [{"content_checksum": True}, {"store_size": False}])
def test_a_frame_with_a_checksum_of_its_content_is_left_to_the_library(more: dict[str, bool]) -> None:
    frame = lz4.frame.compress(content(1_000, 16, 100), **more)
    assert (unpack([frame])[0] is None) == ("content_checksum" in more)


@pytest.mark.parametrize(
    ("times_us", "plain"),
    [([0, 0, 5, 5], True), ([0, 5, 0, 5], False), ([0, 1 << 62, -(1 << 63), -(1 << 62), 0], False)],
)
def test_times_that_fall_or_wrap_around_to_where_they_began_are_not_plain(times_us: list[int], plain: bool) -> None:
    events = np.zeros(len(times_us), EVENTS_DTYPE)
    events["t"] = times_us
    frame = memoryview(lz4.frame.compress(build_events(events)))
    (found,) = unpack_lz4(frame, [(0, len(frame))], ROOM, Resolution(128, 128))
    assert found is not None
    assert found.plain_events == (len(times_us) if plain else 0)


def test_a_processor_that_cannot_move_octets_in_a_register_unpacks_the_same(tmp_path: Path) -> None:
    whole = content(300_000, 16, 20_000)
    (tmp_path / "frame").write_bytes(lz4.frame.compress(whole))
    script = (
        "import sys; from pathlib import Path; from livesnn.events.formats.lz4_frames import unpack_lz4;"
        "frame = memoryview(Path(sys.argv[1]).read_bytes());"
        "sys.stdout.buffer.write(unpack_lz4(frame, [(0, len(frame))], 1 << 20)[0].content)"
    )
    numba = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "NUMBA_OPT": "0",
    }  # compiles sooner
    command = [sys.executable, "-c", script, str(tmp_path / "frame")]
    assert subprocess.run(command, env=os.environ | numba, capture_output=True, check=True).stdout == whole
