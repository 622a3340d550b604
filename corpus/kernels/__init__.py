"""Compiled loops over the UTF-8 buffers of Arrow string arrays."""
