"""Events that never happened: for training, tests and the demo."""
