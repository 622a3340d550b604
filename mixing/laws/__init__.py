"""Proxy runs → mixture laws → the mixture to train on.

design (which runs to make) → runs (what was measured) → a law (exponential, dcpt, power, repetition, linear, trees; fit
has what they share) → quality (error on unseen mixtures), choice (of a law), reach (extrapolation) → critical (largest
domain share), optimum (best mixture), suggestion (all of it, with a budget and baselines).
"""
