"""Files that are sent, and files that arrive."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 2**20


@dataclass
class FileToSend:
    """A file that can be sent more than once: its bytes, or where it is."""

    filename: str
    content: bytes | Path

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        if isinstance(self.content, bytes):
            digest.update(self.content)
            self.size = len(self.content)
        else:
            self.size = self.content.stat().st_size
            with self.content.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        self.sha256 = digest.hexdigest()
        self.repr_digest = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"


def file_at(path: str | os.PathLike[str]) -> FileToSend:
    return FileToSend(Path(path).name, Path(path))


def part_of(target: Path, sha256: str) -> Path:
    """Its name holds the hash, so that it is not taken for a part of another content."""
    return target.with_name(f"{target.name}.{sha256[:16]}.part")


class Part:
    """What there is of a download that has not ended."""

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.hash = hashlib.sha256()
        size = path.stat().st_size if path.exists() else 0
        self.there = size if size <= most else 0
        if self.there > 0:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self.hash.update(chunk)

    def open(self) -> BinaryIO:
        return self.path.open("wb" if self.there == 0 else "ab")
