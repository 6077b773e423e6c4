"""The ``holdfast`` command."""

from cqrs.cli.entry import main

__all__ = ["main"]
