"""What a frozen livesnn starts with."""

import os
from multiprocessing import freeze_support

from livesnn.__main__ import start

# PyInstaller's libraries are for this process, and not for a browser or another program that it starts.
if (before := os.environ.pop("LD_LIBRARY_PATH_ORIG", None)) is not None:
    os.environ["LD_LIBRARY_PATH"] = before
else:
    os.environ.pop("LD_LIBRARY_PATH", None)
freeze_support()  # the processes of livesnn run --jobs
start()
