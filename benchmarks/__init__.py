"""How fast it is, measured: ``python -m benchmarks --help``. Nothing is asserted here; see docs/performance.md."""
