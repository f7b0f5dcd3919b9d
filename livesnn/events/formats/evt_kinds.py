"""The types of words in EVT 2.0, 2.1 and 3.0, how many bits their times have, and what a decoder's state holds.

Source: docs.prophesee.ai, data encoding formats. Not here: the decoders (evt_decoders.py).
"""

from __future__ import annotations

OFF, ON, TIME_HIGH, TRIGGER, OTHERS, CONTINUED = 0, 1, 8, 10, 14, 15  # OTHERS: not events of pixels
INERTIAL = 13  # of EVT 2.0 alone: the first of a sample's six words, the others are CONTINUED; source: OpenEB
# Of EVT 3.0 alone:
ADDRESS_Y, OTHER_Y, ADDRESS_X, BASE_X, VECTOR_12, VECTOR_8, TIME_LOW = range(7)
LOW_BITS, HIGH_BITS = 6, 28  # of a time in EVT 2.0 and 2.1, which wraps after 4.8 hours
LOW_BITS_3, HIGH_BITS_3 = 12, 12  # of a time in EVT 3.0, which wraps after 16.8 s
BASE, LOW, Y, X, POLARITY = range(5)  # of a state; EVT 2.0 and 2.1 use the first alone
NOWHERE = 1 << 20  # a coordinate that no word has given yet
KINDS_21 = (OFF, ON, TIME_HIGH, TRIGGER, OTHERS, CONTINUED)
KINDS_2 = (*KINDS_21, INERTIAL)
RESERVED_3 = (11, 12, 13)
"""And 9, but Lucid's cameras pad with that: ros-event-camera/event_camera_renderer, issue 8."""
KINDS_3 = tuple({*range(16)} - {OTHER_Y, *RESERVED_3})
