"""Bytes as people write them."""


def size(count: float) -> str:
    """`512 B`, `1.5 MB`, `79 GB`: powers of a thousand."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if abs(count) >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
