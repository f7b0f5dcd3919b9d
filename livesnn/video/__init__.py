"""Video files and webcams, as frames or, through an emulated sensor, as events."""

from livesnn.video.frame_source import EMULATED as EMULATED
from livesnn.video.frame_source import NO_LIMIT as NO_LIMIT
from livesnn.video.frame_source import FrameSource as FrameSource
from livesnn.video.frame_source import Limit as Limit
