"""A service of its own for the tests: the one of this repository, on an embedded database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import network
import numpy as np
import pytest

ROOT = Path(os.environ.get("SPARANK_ROOT") or Path(__file__).parents[3])
MAIN = ROOT / "dist" / "cli" / "main.js"
KEY = "spk_a-key-for-the-python-client"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Service:
    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {
            "DATA_DIR": str(self.directory),
            "PORT": str(self.port),
            "BOOTSTRAP_API_KEY": KEY,
            "LOG_LEVEL": "warn",
            "THREADS": "1",
            "LEASE_SECONDS": "2",
            "SHUTDOWN_SECONDS": "1",
        }
        environment = {"PATH": os.environ["PATH"], **settings}
        self.process = subprocess.Popen(
            ["node", str(MAIN), "start", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        lines = ""
        assert self.process.stdout is not None
        while not lines.rstrip().endswith("}"):
            line = self.process.stdout.readline().decode()
            assert line, f"the service ended: {lines}"
            lines += line
        assert json.loads(lines)["url"] == self.url

    def stop(self, how: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    if shutil.which("node") is None or not MAIN.exists():
        pytest.skip("the service is not built: npm run build")
    one = Service(tmp_path_factory.mktemp("service") / "data")
    one.start()
    yield one
    one.stop()
    # PostgreSQL ends with the last process that leaves.
    for _ in range(200):
        if not (one.directory / "postgres" / "postmaster.pid").exists():
            break
        time.sleep(0.1)


@pytest.fixture
def environment(service, monkeypatch):
    monkeypatch.setenv("SPARANK_URL", service.url)
    monkeypatch.setenv("SPARANK_API_KEY", KEY)
    return service


@pytest.fixture
def files(tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(network.model())
    calibration = tmp_path / "calibration.npz"
    np.savez(calibration, x=network.samples())
    return model, calibration


@pytest.fixture
def quick():
    """A specification that is done in a moment."""
    return {
        "target": {"parameter_ratio": 2},
        "effort": "quick",
        "method": {"samples": 500, "max_iterations": 2, "inputs": "symmetric"},
        "benchmark": {"batch_sizes": [1]},
    }
