"""Circuits that many processes share through a store.

``coordinator`` decides on the store's side, ``session`` and ``gate`` in each process, ``wire`` is what they
say to each other. Nothing here does I/O: that is the business of a ``Transport``.
"""
