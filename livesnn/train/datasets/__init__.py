"""The data sets: a module each, which registry.py lists."""
