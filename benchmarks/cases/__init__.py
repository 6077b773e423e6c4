"""What is measured. A case module imports the standard library; its builders import what they measure."""

from __future__ import annotations

from harness.model import Case

from . import (
    breakers,
    chains,
    durable,
    events,
    fleet,
    footprint,
    http,
    imports,
    mediator,
    streams,
    threads,
    typical,
)

_MODULES = (
    mediator,
    typical,
    streams,
    chains,
    events,
    breakers,
    threads,
    footprint,
    imports,
    fleet,
    http,
    durable,
)

ALL: dict[str, Case] = {case.key: case for module in _MODULES for case in module.CASES}
"""Every case by its key, in the order of the report."""
