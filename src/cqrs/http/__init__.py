"""Service clients: typed HTTP clients of other services behind a stack of middleware.

Names are imported from their modules when they are first used; what needs an extra says which.
"""

from __future__ import annotations
