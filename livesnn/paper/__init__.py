"""The paper's experiments, made again; experiments.py lists them."""
