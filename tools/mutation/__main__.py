"""Entry point of ``python -m tools.mutation``."""

import signal
import sys

from tools.mutation.cli import main

signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # after removing what it has made
sys.exit(main())
