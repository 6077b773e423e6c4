"""Circuit breakers: policy, engine, registry."""
