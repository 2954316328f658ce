"""report: one self-contained page about a video: its motion, every event with pictures and scores, and what not to read into it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt
import simplejpeg

from ..types import ABSTAIN, CLASSES
from .events import named
from .recognizer import Sighting

BINS = 1200  # of the timeline: more cannot be seen, whatever the length of the video
JOINED_S = 0.126  # frames further apart are not joined by a line
MAX_CARDS = 200  # the strongest events; all of them are in the table of events
NOTICE = (
    "This page shows evidence, not truth: short movements of the face and the expression they resemble. A movement is not a feeling, and "
    "nobody can read honesty or intent from it. Recognisers of micro-expressions err often on people and cameras they were not made with. "
    "In the European Union, inferring emotions of people at work or in education is prohibited (AI Act, Regulation (EU) 2024/1689, "
    "Article 5(1)(f)); other uses oblige you to inform the people concerned (Article 50(3))."
)
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6977;--paper:#fff;--card:#f4f6f8;--line:#d9dee4;--area:#8aa4c8;
--negative:#c2452d;--positive:#1f8a5f;--surprise:#9a6b00;--uncertain:#6b7785}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9aa7b5;--paper:#14181d;--card:#1e242b;--line:#333c46;--area:#5f7fa8;
--negative:#f08a72;--positive:#5fcf9d;--surprise:#e5b84b;--uncertain:#9aa7b5}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .5rem}p,ul{margin:.4rem 0}
.soft{color:var(--soft)}
.notice{border-left:4px solid var(--soft);background:var(--card);padding:.7rem 1rem;margin:1rem 0;font-size:.95rem}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:1rem}
.card{background:var(--card);border-radius:8px;padding:.8rem;border-top:4px solid var(--kind)}.card h3{margin:0;font-size:1rem}
.pair{display:flex;gap:.5rem;margin:.6rem 0}.pair figure{margin:0;flex:1}.pair img{width:100%;border-radius:4px;display:block}
figcaption{font-size:.8rem;color:var(--soft)}
.bar{display:grid;grid-template-columns:5.5rem 1fr 3rem;gap:.5rem;align-items:center;font-size:.85rem}
.bar i{height:.55rem;border-radius:3px;background:var(--line)}
.bar b{display:block;height:100%;border-radius:3px;background:var(--kind,var(--area))}
"""


class Timeline:
    """The motion of one face over time in at most BINS bins, each with its largest value: as time goes on, bins are joined."""

    def __init__(self) -> None:
        self.step_s = 0.02
        self.peaks_px: npt.NDArray[np.float32] = np.zeros(BINS, np.float32)

    def add(self, time_s: float, motion_px: float) -> None:
        while time_s >= BINS * self.step_s:
            joined = self.peaks_px.reshape(-1, 2).max(1)
            self.peaks_px = np.concatenate([joined, np.zeros(BINS // 2, np.float32)])
            self.step_s *= 2
        at = int(max(time_s, 0) / self.step_s)
        self.peaks_px[at] = max(self.peaks_px[at], motion_px)


class Report:
    """Collects what a page shows, in constant memory."""

    def __init__(self) -> None:
        self.timelines: dict[int, Timeline] = {}
        self.shown: list[Sighting] = []
        self.dropped = 0

    def add(self, events: Iterable[Sighting], energy: Iterable[tuple[int, float, float]]) -> None:
        """Take what one frame brought."""
        for face, time_s, motion_px in energy:
            self.timelines.setdefault(face, Timeline()).add(time_s, motion_px)
        for event in events:
            self.shown.append(event)
            if len(self.shown) > MAX_CARDS:
                self.shown.remove(min(self.shown, key=lambda e: e.motion_px / e.threshold_px))
                self.dropped += 1

    def html(self, video: str, *, length_s: float, facts: Sequence[str], found: Sequence[str], rejected: Sequence[str], model: str) -> str:
        """The page.

        Args:
            video: its name. length_s: its length. facts: sentences about what was read and what it can show. found: sentences that limit
                the result. rejected: counts of peaks that are not events. model: name of the recogniser.
        """
        count = len(self.shown) + self.dropped
        faces = sorted({*self.timelines, *(event.face for event in self.shown)})
        more = f" The {len(self.shown)} strongest of {count} are shown." if self.dropped else ""
        parts = [
            f"<h1>{escape(video)}</h1>",
            f'<p class="soft">{count} event{"s" * (count != 1)} in {length_s:.1f} s of video, labelled by {escape(model)}.{more}</p>',
            f'<p class="notice">{NOTICE}</p>',
            "<h2>What was seen</h2>",
            _list([*facts, *found]),
            *(_timeline(face, self.timelines.get(face, Timeline()), [e for e in self.shown if e.face == face], length_s) for face in faces),
            "<h2>Events</h2>" if self.shown else "<h2>No event was spotted</h2>",
            '<div class="cards">' + "".join(_card(event) for event in sorted(self.shown, key=lambda e: (e.onset_s, e.face))) + "</div>",
            "<h2>Movements that are no micro-expressions</h2>",
            _list(rejected or ["none"]),
            '<p class="soft">Counted per region of the face; one movement may appear more than once.</p>',
        ]
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(video)}: micro-expressions</title>'
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        guard = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        return f'<!doctype html><html lang="en"><head>{guard}{head}<style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>\n'


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _kind(event: Sighting) -> str:
    return event.label if event.label in CLASSES else ABSTAIN


def _timeline(face: int, timeline: Timeline, events: Sequence[Sighting], length_s: float) -> str:
    width, height, top = 1000, 150, 20
    length_s = max(length_s, 1e-3)
    used = timeline.peaks_px[: int(length_s / timeline.step_s) + 1]
    ceiling = max(4.0, float(np.quantile(used, 0.99)) * 1.2) if len(used) else 4.0  # speech is far larger than what is looked for
    scale = width / length_s
    reach = 2 * int(JOINED_S / 2 / timeline.step_s) + 1
    between = (used == 0) & (np.convolve(used > 0, np.ones(reach), "same")[: len(used)] > 0)  # bins without a frame, which is no rest
    points = " ".join(
        f"{min(width, (k + 0.5) * timeline.step_s * scale):.1f},{height - min(1, used[k] / ceiling) * (height - top):.1f}"
        for k in np.flatnonzero(~between)
    )
    marks = "".join(
        f'<rect x="{e.onset_s * scale:.1f}" width="{max(2, (e.offset_s - e.onset_s) * scale):.1f}" y="{top}" height="{height - top}" '
        f'fill="var(--{_kind(e)})" opacity=".45"><title>{e.onset_s:.2f} s, {escape(named(e))}</title></rect>'
        for e in events
    )
    step_s = next((s for s in (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600) if length_s / s <= 12), length_s / 10)
    ticks = "".join(
        f'<line x1="{t * scale:.1f}" x2="{t * scale:.1f}" y1="{height}" y2="{height + 5}" stroke="var(--soft)"/>'
        f'<text x="{t * scale + 3:.1f}" y="{height + 16}">{t:g} s</text>'
        for t in np.arange(0, length_s, step_s)
    )
    return (
        f"<h2>Face {face}: motion over time</h2>"
        f'<svg viewBox="0 0 {width} {height + 22}" role="img"><text x="0" y="12">short-lived motion, px of 224 (top: {ceiling:.1f})</text>'
        f'<polygon points="0,{height} {points} {width},{height}" fill="var(--area)"/>{marks}'
        f'<line x1="0" x2="{width}" y1="{height}" y2="{height}" stroke="var(--soft)"/>{ticks}</svg>'
    )


def _card(event: Sighting) -> str:
    length_ms = (event.offset_s - event.onset_s) * 1000
    classes = "".join(_bar(name, score) for name, score in event.scores.items())
    strongest = sorted(event.au.items(), key=lambda item: -item[1])[:6]
    units = "".join(_bar(name, score) for name, score in strongest)
    pictures = "".join(
        f'<figure><img alt="{name}" src="data:image/jpeg;base64,{_jpeg(crop)}"><figcaption>{name}, {time_s:.2f} s</figcaption></figure>'
        for name, crop, time_s in (("onset", event.onset, event.onset_s), ("apex", event.apex, event.apex_s))
    )
    return (
        f'<div class="card" style="--kind:var(--{_kind(event)})"><h3>{escape(event.label)}, {event.onset_s:.2f} s</h3>'
        f'<p class="soft">face {event.face}, frames {event.onset_frame} to {event.offset_frame}, {length_ms:.0f} ms, '
        f'motion {event.motion_px / event.threshold_px:.1f} times the threshold</p><div class="pair">{pictures}</div>'
        f"{classes}{'<p></p>' if units else ''}{units}</div>"
    )


def _bar(name: str, share: float) -> str:
    return f'<div class="bar"><span>{escape(name)}</span><i><b style="width:{100 * share:.0f}%"></b></i><span>{share:.2f}</span></div>'


def _jpeg(grey: npt.NDArray[np.uint8]) -> str:
    return base64.b64encode(simplejpeg.encode_jpeg(np.ascontiguousarray(grey[..., None]), quality=85, colorspace="GRAY")).decode()
