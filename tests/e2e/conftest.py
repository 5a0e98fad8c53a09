import pathlib
import shutil
import tempfile

import pytest

from support import Relay, Sink


@pytest.fixture
def folder():
    """A directory of its own that every user may enter (the relay's processes are not root)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(folder):
    """start(Sink, ...) and start(Relay, ...): stopped in the opposite order, whatever happened."""
    running = []

    def begin(kind, *arguments, **options):
        process = kind(folder, *arguments, **options)
        running.append(process)
        return process

    yield begin
    for process in reversed(running):
        process.stop()


@pytest.fixture
def sink(folder, start):
    return start(Sink, "--store", folder / "sink.store")


@pytest.fixture
def relay(start, sink):
    return start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "may"')
