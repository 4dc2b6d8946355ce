"""What a live delivery costs, beside other ways to do it: `python -m benchmarks.live`."""
