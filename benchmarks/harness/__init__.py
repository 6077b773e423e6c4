"""The machinery of the benchmarks: environments, workers, sampling and reports."""
