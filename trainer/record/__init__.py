"""What a run says of itself: metrics.jsonl, trackers, progress, throughput."""
