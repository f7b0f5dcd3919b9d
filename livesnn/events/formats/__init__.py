"""File formats of recordings; registry.py tells them apart and opens them."""
