"""The transition table of a fleet's store: what is done at which second, and what must come of it.

Every guard of the protocol has a row; the rows stand in the modules ``table_*``, by subject.
"""

from __future__ import annotations

from . import (
    table_detection,
    table_faults,
    table_limits,
    table_log,
    table_probes,
    table_recovery,
    table_waits,
)
from .rows import TABLE

SUBJECTS = [table_detection, table_waits, table_probes, table_recovery, table_faults, table_log, table_limits]

__all__ = ["SUBJECTS", "TABLE"]
