"""Where decisions go: one module for each way out."""
