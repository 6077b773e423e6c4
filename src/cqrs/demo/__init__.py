"""The demo: a shop that keeps answering while the service it depends on fails and recovers."""
