"""python -m livesnn: the command line."""

import sys

from livesnn.cli import main

sys.exit(main())
