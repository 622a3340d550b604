"""How figures are written, in the terminal and on the page alike: one function per kind of quantity."""

NONE = "–"
MINUS = "−"


def count(value: int | None) -> str:
    """12,345 – exact, for documents, tokens and bytes in tables."""
    return NONE if value is None else f"{value:,}".replace("-", MINUS)


def signed(value: int | None) -> str:
    """+12 / −12 / 0."""
    if value is None:
        return NONE
    return f"{value:+,}".replace("-", MINUS) if value else "0"


def compact(value: float | None) -> str:
    """Three significant figures: 987, 12.3 k, 4.56 M, 7.89 G."""
    if value is None:
        return NONE
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * scale:
            return f"{_figures(value / scale)} {unit}"
    return _figures(value)


def size(nbytes: int | None) -> str:
    """Bytes in decimal units: 987 B, 12.3 kB, 4.56 MB."""
    if nbytes is None:
        return NONE
    text = compact(nbytes)
    return f"{text}B" if text[-1].isalpha() else f"{text} B"


def share(part: float | None, whole: float = 1.0) -> str:
    """12.3% of the whole; never 0.0% or 100.0% for what is not."""
    if part is None or not whole:
        return NONE
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "<0.1%"
    if 99.95 <= percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%"


def decimal(value: float | None, digits: int = 4) -> str:
    return NONE if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def change(value: float | None, error: float | None = None, digits: int = 4) -> str:
    """+0.0123 ± 0.0045, the error being one standard error."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}".replace("-", MINUS)
    if not text.strip("+0." + MINUS):
        text = text[1:]
    return f"{text} ± {error:.{digits}f}" if error else text


def paired(value: float | None, error: float | None) -> str:
    """A measured change with its standard error, which a single document cannot have."""
    text = change(value, error)
    return text if error or value is None else f"{text} ± {'not available' if error is None else '0'}"


def _figures(value: float) -> str:
    digits = 0 if abs(value) >= 99.95 or value == int(value) else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f}".replace("-", MINUS)


def significant(value: float, digits: int = 4) -> str:
    """So many significant figures, without an exponent where that is readable."""
    return f"{value:.{digits}g}".replace("-", MINUS)
