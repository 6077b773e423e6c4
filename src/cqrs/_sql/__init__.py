"""What the tables of sagas, outbox and inbox have in common: clock, column types, changes of schema, checks.

Importing it needs SQLAlchemy; without, the ImportError says how to get it.
"""

from __future__ import annotations

# Before all modules of the package, whatever they import first.
from cqrs._sql import library as library
