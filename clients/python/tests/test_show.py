"""How a job looks to people."""

from __future__ import annotations

import io

from sparank import _show
from sparank._mlflow import numbers

METRICS = {
    "parameters": {"before": 100, "after": 25, "ratio": 4.0},
    "macs": {"before": 100, "after": 50, "ratio": 2.0},
    "bytes": {"before": 100, "after": 25, "ratio": 4.0},
    "latency": [{"batch": 1, "speedup": 1.5}],
    "accuracy": {"before": 0.9, "after": 0.89, "drop": 0.01, "samples": 100},
    "fidelity": {"top1_agreement": None, "relative_error": 0.1, "samples": 100},
}


def job(**change):
    point = {
        "point": 1,
        "target": {"parameter_ratio": 4},
        "metrics": METRICS,
        "verdict": {
            "passed": False,
            "checks": [{"name": "constraints.min_speedup", "passed": False}],
            "warnings": [{"code": "few_samples", "cause": "50 | <b>", "next": "send more"}],
        },
        "error": None,
    }
    progress = {"fraction": 0.5, "layers_done": 1, "layers_total": 3, "eta_seconds": 200}
    view = {
        "id": "job_1",
        "status": "succeeded",
        "phase": "layers",
        "progress": progress,
        "points": [point],
        "error": None,
    }
    return {**view, **change}


def test_a_summary_has_numbers_verdict_warnings_and_layers_and_no_markup_of_others():
    layer = {
        **{"name": "a|<script>\nb", "rank": 8, "low_rank_shape": "channel", "groups": 2, "groups_total": 4},
        **{"parameters": {"before": 1000, "after": 10}, "relative_error": 0.01, "decision": "compressed"},
    }
    text = _show.markdown(job(), [layer])
    assert (
        "| parameter_ratio 4 | 4.00x | 2.00x | 4.00x | 1.50x | 90.00% → 89.00% | - | FAILED constraints.min_speedup |"
        in text
    )
    assert "few_samples: 50 \\| &lt;b&gt;; send more" in text
    assert "| a\\|&lt;script&gt; b | channel 8 | 2/4 | 1,000 | 10 | 0.0100 | compressed |" in text


def test_a_notebook_shows_a_table_without_markup_of_others():
    shown = _show.html(job(id="<b>"))
    assert "&lt;b&gt;" in shown and "<td>4.00x</td>" in shown


def test_a_bar_shows_step_share_and_time_left(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with _show.bar(True) as show:
        show(job(status="running"))
    assert "job_1 layers 1/3:  50 %" in terminal.getvalue()
    assert "about 3 min left" in terminal.getvalue()


def test_nothing_is_shown_where_nobody_looks(capsys):
    with _show.bar(True) as show:
        show(job(status="running"))
    assert capsys.readouterr().err == ""


def test_numbers_for_mlflow_are_flat():
    found = numbers(job())
    assert found["parameters_ratio"] == 4 and found["speedup_batch_1"] == 1.5 and found["passed"] == 0
    assert "top1_agreement" not in found
