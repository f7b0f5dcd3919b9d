"""Teaching a trained model a new class from a few seconds of it."""
