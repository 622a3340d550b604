"""Several processes, one model: copies, shards, or DeepSpeed's engine."""
