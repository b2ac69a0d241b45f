"""The command of pipelines."""

from __future__ import annotations

import pytest

from sparank.ci import main


def test_it_compresses_downloads_summarizes_and_says_yes(environment, files, tmp_path, monkeypatch, capsys):
    model, calibration = files
    summary, outputs = tmp_path / "summary.md", tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    arguments = [str(model), "--calibration", str(calibration), "--target", "parameter_ratio=2"]
    more = ["--label", "pipeline=test", "--output", str(tmp_path / "out")]
    assert main([*arguments, *more]) == 0
    assert "| parameter_ratio 2" in summary.read_text() and "passed |" in summary.read_text()
    assert "passed=true\n" in outputs.read_text()
    assert (tmp_path / "out" / "model.onnx").stat().st_size > 0
    assert "evaluate" in capsys.readouterr().out


def test_it_says_no_with_3_and_cannot_with_1(environment, files, tmp_path, capsys):
    model, calibration = files
    arguments = [str(model), "--calibration", str(calibration), "--target", "parameter_ratio=2"]
    no = [*arguments, "--constraint", "min_speedup=50", "--output", str(tmp_path / "out")]
    assert main(no) == 3
    assert "FAILED constraints.min_speedup" in capsys.readouterr().out
    assert main([str(tmp_path / "none.onnx"), *arguments[1:]]) == 1
    assert "none.onnx" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["model.onnx"])
    assert caught.value.code == 2
