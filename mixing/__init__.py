"""Token stores → a compiled mixture plan → batches of tokens."""
