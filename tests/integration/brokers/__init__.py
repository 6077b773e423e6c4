"""All message brokers against real servers: one table of situations."""
