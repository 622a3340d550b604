"""Compiled loops over Arrow's UTF-8 buffers."""
