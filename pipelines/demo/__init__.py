"""The demo: real text and a real model from package registries, planted faults with known truth, and the score."""
