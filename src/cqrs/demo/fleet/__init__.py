"""The demo for a fleet: processes of one shop that share a circuit, and what happens when parts of it die."""
