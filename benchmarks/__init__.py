"""The figures that the documentation claims, each by one command: `python -m benchmarks.<name>`."""
