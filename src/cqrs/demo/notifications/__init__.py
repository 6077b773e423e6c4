"""The demo with two web services: one notifies people by mail, the other one fails and recovers."""
