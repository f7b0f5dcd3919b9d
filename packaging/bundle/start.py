"""What a frozen livesnn starts with."""

from livesnn.__main__ import start

start()
