"""curves: how the loss fell and the accuracy on the training samples rose, as a table and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

COLUMNS = ("part", "member", "epoch", "class_loss", "au_loss", "accuracy")
_COLOURS = {"class_loss": "#c0392b", "au_loss": "#8e6bbf", "accuracy": "#2471a3"}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 360, 48, 130, 24, 40


def csv(rows: Sequence[dict[str, float]]) -> str:
    """One line an epoch of every member; part 2 is the training on the second data."""
    lines = [",".join(f"{row[name]:.6g}" for name in COLUMNS) for row in rows]
    return "\n".join([",".join(COLUMNS), *lines]) + "\n"


def svg(rows: Sequence[dict[str, float]], title: str) -> str:
    """Losses and accuracy over the epochs of all parts; the members of an ensemble in one colour."""
    before: dict[float, float] = {0: 0}  # epochs of the parts before
    for part in sorted({row["part"] for row in rows}):
        before[part] = before.get(part - 1, 0)
        before[part] += max((row["epoch"] for row in rows if row["part"] == part - 1), default=0)
    last = max(before[row["part"]] + row["epoch"] for row in rows)
    shown = [name for name in _COLOURS if any(row[name] for row in rows)]
    top = max(1.0, *(row[name] for row in rows for name in shown))
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(epoch: float, value: float) -> str:
        return f"{_LEFT + across * (epoch - 1) / max(last - 1, 1):.1f},{_TOP + down * (1 - value / top):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/><text x="{_LEFT}" y="15">{escape(title, quote=False)}</text>',
    ]
    for k in range(5):
        value = top * k / 4
        y = float(at(1, value).split(",")[1])
        parts.append(f'<path d="M{_LEFT} {y}H{_LEFT + across}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.2f}</text>')
    for name in shown:
        for key in sorted({(row["part"], row["member"]) for row in rows if row[name]}):  # a part without action units has no such loss
            points = " ".join(at(before[key[0]] + r["epoch"], r[name]) for r in rows if (r["part"], r["member"]) == key)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[name]}" stroke-width="1.6"/>')
    for k, name in enumerate(shown):
        parts.append(f'<text x="{_LEFT + across + 10}" y="{_TOP + 14 + 18 * k}" fill="{_COLOURS[name]}">{name.replace("_", " ")}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 12}">epoch 1</text>')
    parts.append(f'<text x="{_LEFT + across}" y="{_HEIGHT - 12}" text-anchor="end">{last:g}</text></svg>')
    return "\n".join(parts) + "\n"
