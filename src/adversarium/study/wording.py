"""How numbers are said in a study's sentences, tables and lines: a time, how many, a p."""


def duration(seconds: float, *, rough: bool = False) -> str:
    """Return a time in a unit that suits it: ``4.36 s``, ``12.5 min``, ``2 h 05 min``.

    Args:
        seconds: not negative.
        rough: in whole units and at least one second, as one says how long something will take.
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s" if rough else f"{seconds:.3g} s"
    if minutes < 90:
        return f"{minutes} min" if rough else f"{seconds / 60:.3g} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def plural(count: int, noun: str) -> str:
    """Return ``1 run`` or ``2 runs``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def probability(p: float) -> str:
    """Return a p in a few characters: ``0.012``, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"
