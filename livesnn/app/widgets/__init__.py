"""What the window is built of, each from plain values. Not here: the window, what plays."""
