"""Events: packets, their sources, filters and formats, and the slicer that makes frames of them."""
