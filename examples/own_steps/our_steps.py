"""Two steps of our own for a help desk's notes."""

import re


def about_our_products(text: str, metadata: dict) -> bool | str:
    """Keep notes that name a product; say why others go."""
    return True if re.search(r"\bpump|\bvalve", text, re.IGNORECASE) else "no product named"


def without_ticket_numbers(text: str) -> str:
    """Ticket numbers mean nothing to a model."""
    return re.sub(r"\[?Ticket [0-9]+\]?:? ?", "", text)
