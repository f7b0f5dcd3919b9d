"""What a frozen livesnn starts with."""

from multiprocessing import freeze_support

from livesnn.__main__ import start

freeze_support()  # the processes of livesnn run --jobs
start()
