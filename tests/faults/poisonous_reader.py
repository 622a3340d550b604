"""A reader that some records kill, as a fault in a compiled parser would; run in worker processes."""

from typing import Any

from poisonous_steps import poisonous

from corpus.readers.base import Reading
from corpus.readers.json_lines import JsonlReader


class PoisonousReader(JsonlReader):
    """JSON lines, unless a text is poison."""

    def reading(self, record: dict[str, Any], raw: int) -> Reading:
        poisonous(record["text"])
        return super().reading(record, raw)
