"""Speed beside the peers, as ratios measured in one run: `python -m benchmarks`, or `make bench`."""
