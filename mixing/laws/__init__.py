"""Proxy runs → mixture laws → the mixture to train on.

runs (what was measured) → design (which runs to make) → a law: exponential, dcpt, power, repetition, linear, log-linear,
trees → quality (held-out error), reach (extrapolation) → critical (largest domain share), optimum (best mixture).
"""
