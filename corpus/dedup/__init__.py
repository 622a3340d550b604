"""Duplicates: signatures are measured per document, clusters found over all sources, keepers chosen by policy."""
