"""Event cameras: finding them, reading them, and streams over the network."""
