"""The spike-driven step: layout, plan, kernels, threads. Its Model is spike_engine.py."""
