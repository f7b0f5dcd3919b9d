"""Running a model on a stream of frames: the engines, the loop and the decision."""
