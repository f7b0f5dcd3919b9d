"""Video files and webcams, as frames or, through an emulated sensor, as events."""
