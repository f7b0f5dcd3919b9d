"""Real-time event-camera recognition with a stateful spiking network. Imports neither torch nor Qt."""

__version__ = "0.1.0"
