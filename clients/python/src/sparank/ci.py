"""What pipelines run: ``sparank-ci MODEL --calibration FILE --target parameter_ratio=4 --output DIRECTORY``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import JobFailed, Sparank, SparankError, _show

if TYPE_CHECKING:
    from .types import Job

ERROR, USAGE, VERDICT = 1, 2, 3


def _number(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name.strip(), float(value)


def _text(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise ValueError(text)
    return name.strip(), value.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sparank-ci", description="Compress a model, wait, download, and say yes or no."
    )
    parser.add_argument("model")
    parser.add_argument("--calibration", required=True, help="samples to fit on (.npz or .npy)")
    parser.add_argument("--evaluation", help="samples, and labels where there are some, to measure with")
    parser.add_argument("--target", action="append", required=True, type=_number, metavar="NAME=VALUE")
    parser.add_argument("--constraint", action="append", default=[], type=_number, metavar="NAME=VALUE")
    parser.add_argument("--label", action="append", default=[], type=_text, metavar="NAME=VALUE")
    parser.add_argument("--output", default="compressed", help="directory for the artifacts")
    parser.add_argument("--summary", action="append", default=[], help="a Markdown file to write the table behind")
    parser.add_argument("--idempotency-key", help="the same key makes the same job once")
    parser.add_argument("--timeout", type=float, help="seconds after which waiting ends")
    return parser


def _told(seen: list[str], view: Job) -> None:
    progress = view["progress"]
    state = f"{view['status']} {view['phase']} {progress['layers_done']}/{progress['layers_total']}"
    if seen[-1:] != [state]:
        seen.append(state)
        print(f"{view['id']} {state}", flush=True)


def _append(path: str | None, text: str) -> None:
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def _run(options: argparse.Namespace) -> int:
    goals = [dict([target]) for target in options.target]
    wish: dict[str, Any] = {"target": goals[0]} if len(goals) == 1 else {"targets": goals}
    seen: list[str] = []
    summaries = [*options.summary, os.environ.get("GITHUB_STEP_SUMMARY")]
    with Sparank() as sparank:
        job = sparank.compress(
            options.model,
            options.calibration,
            evaluation=options.evaluation or None,
            constraints=dict(options.constraint),
            labels=dict(options.label),
            idempotency_key=options.idempotency_key,
            **wish,
        )
        try:
            job.wait(progress=False, on_progress=lambda view: _told(seen, view), timeout=options.timeout)
        except JobFailed:
            for path in summaries:
                _append(path, _show.markdown(job.view))
            raise
        text = _show.markdown(job.view, job.layers())
        files = job.download_all(options.output)
        for path in summaries:
            _append(path, text)
        print(text)
        outputs = {"job": job.id, "passed": str(bool(job.passed)).lower(), "directory": options.output}
        outputs["model"] = str(Path(options.output) / "model.onnx")
        _append(os.environ.get("GITHUB_OUTPUT"), "".join(f"{name}={value}\n" for name, value in outputs.items()))
        print("\n".join(map(str, files)))
        return 0 if job.passed else VERDICT


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (SparankError, OSError) as error:
        print(f"sparank-ci: {error}", file=sys.stderr)
        return ERROR


if __name__ == "__main__":
    sys.exit(main())
