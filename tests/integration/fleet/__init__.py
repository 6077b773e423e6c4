"""Real processes that share circuits through a real server, and what can go wrong with either."""
