"""A mixture plan → continued pre-training → checkpoints and a model."""
