"""How a job looks: a bar in terminals and notebooks, tables in notebooks and summaries."""

from __future__ import annotations

import html as escaping
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

from tqdm.auto import tqdm  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .types import Job, LayerRow, Point, Warning

PERCENT = 100


@contextmanager
def bar(wanted: bool) -> Iterator[Callable[[Job], None]]:
    """Nothing is shown where nobody looks: neither a terminal nor a notebook."""
    with tqdm(
        total=PERCENT,
        disable=None if wanted else True,
        bar_format="{desc}: {percentage:3.0f} %|{bar}| {postfix}",
        leave=True,
    ) as shown:

        def show(view: Job) -> None:
            progress = view["progress"]
            shown.n = round(progress["fraction"] * PERCENT)
            shown.set_description_str(f"{view['id']} {_doing(view)}", refresh=False)
            eta = progress["eta_seconds"]
            shown.set_postfix_str("" if eta is None or progress["fraction"] == 1 else f"about {_duration(eta)} left")

        yield show


def _doing(view: Job) -> str:
    if view["status"] != "running":
        return view["status"]
    progress = view["progress"]
    if view["phase"] == "layers":
        return f"layers {progress['layers_done']}/{progress['layers_total']}"
    return view["phase"]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _target(target: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in target.items())


def _verdict(point: Any) -> str:
    if point["error"] is not None:
        return str(point["error"]["detail"])
    if point["verdict"] is None:
        return "-"
    failed = [check["name"] for check in point["verdict"]["checks"] if not check["passed"]]
    return "passed" if point["verdict"]["passed"] else f"FAILED {', '.join(failed)}"


def _rows(view: Job) -> tuple[list[str], list[list[str]]]:
    batches = next(([one["batch"] for one in p["metrics"]["latency"]] for p in view["points"] if p["metrics"]), [])
    header = [
        "target",
        "parameters",
        "MACs",
        "file",
        *(f"batch {n}" for n in batches),
        "accuracy",
        "agreement",
        "verdict",
    ]
    rows = []
    for point in view["points"]:
        metrics = point["metrics"]
        if metrics is None:
            rows.append([_target(point["target"]), *["-"] * (len(header) - 2), _verdict(point)])  # type: ignore[arg-type]
            continue
        accuracy, agreement = metrics["accuracy"], metrics["fidelity"]["top1_agreement"]
        rows.append(
            [
                _target(point["target"]),  # type: ignore[arg-type]
                *(_ratio(one["ratio"]) for one in (metrics["parameters"], metrics["macs"], metrics["bytes"])),
                *(_ratio(one["speedup"]) for one in metrics["latency"]),
                "-" if accuracy is None else f"{accuracy['before']:.2%} → {accuracy['after']:.2%}",
                "-" if agreement is None else f"{agreement:.2%}",
                _verdict(point),
            ]
        )
    return header, rows


LAYERS = ["layer", "low rank", "groups", "parameters", "after", "error", "decision"]


def _layer(row: LayerRow) -> list[str]:
    low_rank = "-" if row["rank"] is None else f"{row['low_rank_shape']} {row['rank']}"
    groups = "-" if row["groups"] is None else f"{row['groups']}/{row['groups_total']}"
    error = "-" if row["relative_error"] is None else f"{row['relative_error']:.4f}"
    before, after = row["parameters"]["before"], row["parameters"]["after"]
    return [row["name"], low_rank, groups, f"{before:,}", f"{after:,}", error, str(row["decision"] or "-")]


def _cell(text: str) -> str:
    """Names come from the model: nothing of them may end a cell, or be taken for markup."""
    return escaping.escape(text).replace("|", "\\|").replace("\n", " ").replace("`", "\\`")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell if cell == '---' else _cell(cell) for cell in line)} |" for line in lines)


def _warnings(point: Point) -> Sequence[Warning]:
    return [] if point["verdict"] is None else point["verdict"].get("warnings") or []


def _notes(view: Job) -> list[str]:
    error = view["error"]
    notes = [] if error is None else [f"{error['code']}: {error['detail']}"]
    for point in view["points"]:
        for warning in _warnings(point):
            notes.append(f"{warning['code']}: {warning['cause']}; {warning['next']}")
    return notes


def markdown(view: Job, layers: Sequence[LayerRow] | None = None) -> str:
    """For summaries of pipelines."""
    parts = [f"**{view['id']}** {view['status']}", _table(*_rows(view))]
    if notes := _notes(view):
        parts.append("\n".join(f"- {_cell(note)}" for note in notes))
    if layers is not None:
        parts.append(
            f"<details><summary>Layers</summary>\n\n{_table(LAYERS, [_layer(row) for row in layers])}\n\n</details>"
        )
    return "\n\n".join(parts) + "\n"


def html(view: Job) -> str:
    """For notebooks."""
    header, rows = _rows(view)

    def line(cells: Sequence[str], kind: str) -> str:
        return f"<tr>{''.join(f'<{kind}>{escaping.escape(cell)}</{kind}>' for cell in cells)}</tr>"

    progress = f" ({view['progress']['fraction']:.0%})" if view["status"] == "running" else ""
    notes = "".join(f"<li>{escaping.escape(note)}</li>" for note in _notes(view))
    return (
        f"<div><p><b>{escaping.escape(view['id'])}</b> {view['status']}{progress}</p>"
        f"<table><thead>{line(header, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"
        f"{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )
