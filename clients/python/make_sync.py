"""Makes src/sparank/_sync from src/sparank/_async; with --check only says whether it is as it would be made."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent / "src" / "sparank"
WORDS = [
    (r"\bAsync([A-Z])", r"\1"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(iter_sse|iter_raw|read|close)\b", r"\1"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio\n", "", re.M),
    (r"\.\._async\b", ".._sync"),
]
NOTE = "# Made from ../_async/{} by make_sync.py.\n"


def synchronous(name: str, text: str) -> str:
    for pattern, by, *flags in WORDS:
        text = re.sub(pattern, by, text, flags=flags[0] if flags else 0)
    if "time.sleep" in text and not re.search(r"^import time$", text, re.M):
        # Where isort wants it: before what is imported by parts, behind the names before it.
        text = re.sub(r"^(?=import weakref\n|from collections)", "import time\n", text, count=1, flags=re.M)
    return NOTE.format(name) + text


def main() -> int:
    stale = []
    for source in sorted((HERE / "_async").glob("*.py")):
        made = HERE / "_sync" / source.name
        text = synchronous(source.name, source.read_text("utf-8"))
        if "--check" in sys.argv:
            if not made.exists() or made.read_text("utf-8") != text:
                stale.append(made.name)
        else:
            made.parent.mkdir(exist_ok=True)
            made.write_text(text, "utf-8")
    if stale:
        print(f"run python clients/python/make_sync.py: {', '.join(stale)} of _sync are not as _async makes them")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
