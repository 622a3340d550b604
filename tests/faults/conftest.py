"""Faults: what kills, damages or fills, and what is left afterwards.

A run of the suite takes a few of the seeded faults; `PROVENDER_FAULTS=all` takes every one (minutes).
"""

import sys
from pathlib import Path

# Helpers of the other rooms: their small corpora, stores and trainings.
for room in ("corpus", "mixing", "trainer", "pipelines"):
    sys.path.append(str(Path(__file__).parents[1] / room))
