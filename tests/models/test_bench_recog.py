"""The recognition benchmark: its two sides run the same network, and a missed goal shows."""

from __future__ import annotations

import pytest

from mie_engine.bench import recog, report

pytest.importorskip("torch")


def test_both_sides_run_the_same_network(monkeypatch):
    monkeypatch.setattr(report, "TIMED_MS", 1.0)
    rows = recog.measure(1)
    assert [row["case"] for row in rows if row["table"] == "speed"] == ["STSTNet, batch 1", "STSTNet, batch 16"]
    assert all(row["holds"] for row in rows if row["table"] == "goal" and row["case"].endswith("difference"))


def test_goals_can_be_missed():
    row = {"table": "speed", "case": "c", "times ONNX Runtime": 4.9, "largest difference": 2e-5}
    assert [goal["holds"] for goal in recog.goals([row])] == [False, False]
