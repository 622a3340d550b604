"""What a run leaves: checkpoints, the model that is handed on, merges of it with its base."""
