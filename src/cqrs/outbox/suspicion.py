"""Telling a broker that is away from topics that do not work. Pure rules.

When nothing of a batch was sent, the broker may be away, or only the topics of that batch not work, say
because they do not exist. Rows of such topics, being the oldest, would hold up all others for ever. So the
next batch avoids them. If something of it is sent, the broker is there, and the next failure of those topics
counts.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

__all__ = ["Suspicion"]

_MOST = 50


class Suspicion:
    """Remembers topics of which nothing was sent.

    >>> suspicion = Suspicion()
    >>> suspicion.judge({"bad"}, has_sent=False, is_outage=True), suspicion.avoid
    (True, ('bad',))
    >>> suspicion.judge(set(), has_sent=True, is_outage=False), suspicion.avoid
    (False, ())
    >>> suspicion.judge({"bad"}, has_sent=False, is_outage=True)
    False
    """

    def __init__(self) -> None:
        self.avoid: tuple[str, ...] = ()
        """Topics that the next batch should leave out."""
        self._blamed: AbstractSet[str] = frozenset()

    def nothing_else(self) -> None:
        """Take note that no other topics have rows."""
        self.avoid = ()

    def judge(self, failed: AbstractSet[str], *, has_sent: bool, is_outage: bool) -> bool:
        """Return whether the broker is away.

        Args:
            failed: topics of which a message was not sent.
            has_sent: whether anything was sent.
            is_outage: whether nothing was, as broker or circuit were not available.
        """
        if is_outage and failed <= self._blamed:
            self._blamed = frozenset()
            return False
        if is_outage:
            self.avoid = tuple(sorted({*self.avoid, *failed}))[:_MOST]
        elif has_sent:
            self._blamed = frozenset(self.avoid)
            self.avoid = ()
        return is_outage
