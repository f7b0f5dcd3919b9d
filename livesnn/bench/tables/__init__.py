"""`livesnn tables`: the paper's experiments, cell by cell, beside the paper's figures."""
