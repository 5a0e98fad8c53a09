"""A child that stays silent is killed and replaced, and nothing is missing; a parent that stood still blames nobody.

The relay waits 30 s before it believes it, so the cases run beside each other, each with a relay of its own.
"""
import contextlib
import os
import pathlib
import signal

from support import Relay, Sink, wait_until
from test_kill import PROCESSES, Load, numbers

KILLED_AFTER = 30  # relay/parent/parent_priv.h: HUNG_TICKS


class Case:
    """A relay under load, one process of which is stopped."""

    def __init__(self, folder, victim):
        self.victim, self.folder = victim, folder / victim
        self.folder.mkdir()
        self.sink = Sink(self.folder, "--store", self.folder / "sink.store")
        self.relay = Relay(self.folder, f'via = "127.0.0.1:{self.sink.port}" tls = "none"', PROCESSES)
        self.pids = self.relay.processes()
        self.pid = self.relay.popen.pid if victim == "parent" else self.pids[victim]
        self.load = Load(self.relay, self.relay.add_server("houston"), clients=2)
        self.wait_for_load()

    def wait_for_load(self):
        mark = self.load.count()
        wait_until(lambda: self.load.count() >= mark + 20, 90, f"mail to be taken, beside {self.victim}")

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)

    def held(self):
        """Whether it still stands still: else the test would say nothing."""
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def go_on(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def wait_for_another(self):
        wait_until(lambda: self.relay.processes()[self.victim] not in (0, self.pid), KILLED_AFTER + 30, f"a new {self.victim}")
        for line in ("event=process.silent", "event=process.hung"):
            assert f"{line} process={self.victim} pid={self.pid}" in self.relay.output()
        assert "no sign of life" in self.relay.tidegate("--json", "status", check=False).stdout

    def settle(self):
        self.load.stop()
        wait_until(lambda: self.relay.healthy() and self.relay.queued() == 0, 120, f"an empty queue after {self.victim} stood still")
        wait_until(lambda: self.load.acked <= set(numbers(self.sink)), 30, "every acknowledged message")
        assert set(numbers(self.sink)) <= self.load.sent, self.victim

    def end(self):
        self.go_on()
        self.load.ending.set()
        self.relay.stop()
        self.sink.stop()


@contextlib.contextmanager
def cases(folder, *victims):
    with contextlib.ExitStack() as stack:
        made = []
        for victim in victims:
            made.append(Case(folder, victim))
            stack.callback(made[-1].end)
        yield made


def test_silent_child_is_killed_and_replaced(folder):
    with cases(folder, "parent", "queue.0", "smtpc.0") as made:
        parent, queue, smtpc = made
        for case in made:
            case.stop()
        # Its successor may not begin before every smtpc has reported: without the kill it would wait for ever.
        os.kill(smtpc.pids["queue.0"], signal.SIGKILL)
        for case in (queue, smtpc):
            case.wait_for_another()
            case.wait_for_load()
        assert parent.held()  # by now for longer than a child may
        parent.wait_for_load()
        parent.go_on()
        for case in made:
            case.settle()
        assert parent.relay.processes() == parent.pids, "children were killed because their parent stood still"
