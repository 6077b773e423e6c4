"""Entry point of ``python -m tools.mutation``."""

import sys

from tools.mutation.cli import main

sys.exit(main())
