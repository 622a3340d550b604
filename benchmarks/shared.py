"""Where the real data lie that some tests and benchmarks read: the folder that PROVENDER_SHARED names, or `shared`
beside the checkout or above it. They are no part of the project, and what needs them is skipped where they are not."""

import os
from pathlib import Path

_NAMED = os.environ.get("PROVENDER_SHARED")
_ABOVE = [folder / "shared" for folder in Path(__file__).resolve().parents[1:]]
SHARED = Path(_NAMED) if _NAMED else next((path for path in _ABOVE if (path / "data").is_dir()), _ABOVE[0])
DATA = SHARED / "data"
