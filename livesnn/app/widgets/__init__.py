"""The parts of the window: each shows plain values and emits signals."""
