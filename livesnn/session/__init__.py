"""One source on one model, in threads, for as long as it is played; without Qt."""
