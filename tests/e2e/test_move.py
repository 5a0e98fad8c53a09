"""Queued mail moves from one relay to another, also when it is interrupted: nothing is lost, nothing is delivered twice."""
import collections
import contextlib
import os
import random
import re
import signal
import subprocess

import pytest

from support import TIDEGATE, Relay, Sink, free_port, wait_until
from test_kill import numbers

WAITING = "process { smtpd = 1 smtpc = 1 }\nretry { schedule = {\"1h\"} jitter = 0 }"
SIZES = [700, 2000, 4000, 300_000]  # the last goes to a file of its own


class Pair:
    """Two relays: A has mail that it cannot deliver, B could."""

    def __init__(self, folder, start):
        self.folder = folder
        self.sink = start(Sink, "--store", folder / "sink.store")
        self.dead = free_port()
        self.a = start(lambda f: self.relay("a", self.dead))
        self.b = start(lambda f: self.relay("b", self.sink.port))
        self.sent, self.site_down = 0, False

    def relay(self, name, port):
        (self.folder / name).mkdir()
        return Relay(self.folder / name, f'via = "127.0.0.1:{port}" tls = "none"', WAITING)

    def submit(self, count):
        with self.a.client("houston", self.password()) as smtp:
            for _ in range(count):
                self.sent += 1
                smtp.sendmail("a@shop.example", [f"n{self.sent}@dest.example"], message(self.sent))
        # Once an attempt has failed, the site is down: what comes later waits without one.
        wait_until(lambda: (self.site_down or "deferred" in states(self.a)) and "active" not in states(self.a), 30, "an attempt to fail")
        self.site_down = True

    def password(self):
        if not hasattr(self, "known"):
            self.known = self.a.add_server("houston")
        return self.known

    def export(self, name="mail", *options):
        file = self.folder / name
        answer = self.a.json("queue", "export", str(file), *options)["moves"][0]
        return file, answer["export"]

    def check_arrived(self):
        wait_until(lambda: len(self.sink.stored()) >= self.sent, 60, "every message")
        wait_until(lambda: self.b.queued() == 0, 30, "an empty queue at B")
        assert "Sanitizer" not in self.a.output() + self.b.output()
        assert sorted(numbers(self.sink)) == list(range(1, self.sent + 1))
        for envelope, content in self.sink.stored():
            number = int(envelope["recipients"][0][1:].split("@")[0])
            assert content.split(b"\r\n\r\n", 1)[1] == message(number).split(b"\r\n\r\n", 1)[1]


def message(number):
    body = (b"%d:" % number + b"0123456789abcdef" * (SIZES[number % len(SIZES)] // 16))
    lines = b"\r\n".join(body[i:i + 76] for i in range(0, len(body), 76))
    return b"Subject: %d\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@x.example>\r\n\r\n%s\r\n" % (number, number, lines)


def states(relay):
    return {row["state"]: row["messages"] for row in relay.json("queue", "stats")["queue"] if row["messages"]}


def moves(relay):
    return {row["export"]: row["state"] for row in relay.json("queue", "moves")["moves"]}


@pytest.fixture
def pair(folder, start):
    return Pair(folder, start)


def test_moves(pair):
    pair.submit(40)
    file, export = pair.export()
    assert states(pair.a) == {"exported": 40} and moves(pair.a) == {export: "exported"}
    answer = pair.b.json("queue", "import", str(file))["moves"][0]
    assert (answer["export"], answer["state"], answer["messages"]) == (export, "imported", 40)
    pair.a.tidegate("queue", "acknowledge", export)
    assert states(pair.a) == {} and moves(pair.a) == {}
    pair.check_arrived()
    again = pair.b.json("queue", "import", str(file))["moves"][0]
    assert (again["state"], again["messages"]) == ("imported before", 0)
    pair.check_arrived()
    shown = pair.a.json("trace", "recent")["events"]
    assert [row["reply"] for row in shown[:3]] == ["moved to another relay"] * 3


def restart(relay):
    assert relay.stop() == 0
    relay.start()


def test_both_sides_remember(pair):
    pair.submit(8)
    file, export = pair.export("mail", "--limit", "5")
    waiting = sum(states(pair.a).values())
    assert waiting == 8 and states(pair.a)["exported"] == 5
    restart(pair.a)
    assert states(pair.a)["exported"] == 5 and moves(pair.a) == {export: "exported"}
    pair.b.tidegate("queue", "import", str(file))
    restart(pair.b)
    assert moves(pair.b) == {export: "imported"}
    assert pair.b.json("queue", "import", str(file))["moves"][0]["state"] == "imported before"
    assert "too late" in pair.b.tidegate("queue", "refuse", export, check=False).stderr
    pair.a.tidegate("queue", "acknowledge", export)
    assert pair.a.tidegate("queue", "acknowledge", export, check=False).returncode == 1
    pair.b.tidegate("queue", "import", str(pair.export("rest")[0]))
    pair.check_arrived()


def test_refused_and_reclaimed(pair):
    pair.submit(6)
    file, export = pair.export()
    pair.b.tidegate("queue", "refuse", export)
    restart(pair.b)
    assert "was refused here" in pair.b.tidegate("queue", "import", str(file), check=False).stderr
    pair.a.tidegate("queue", "reclaim", export)
    assert "exported" not in states(pair.a) and sum(states(pair.a).values()) == 6
    wait_until(lambda: "active" not in states(pair.a), 30, "the attempts to fail")
    pair.b.tidegate("queue", "import", str(pair.export("again")[0]))
    pair.check_arrived()


@pytest.mark.parametrize("damage", ["cut", "bit", "end", "empty", "other", "own"])
def test_bad_file_changes_nothing(pair, damage):
    pair.submit(8)
    file, export = pair.export()
    good = file.read_bytes()
    half = len(good) // 2
    words, bad = {
        "cut": ("ends too early", good[:half]),
        "bit": ("damaged", good[:half] + bytes([good[half] ^ 1]) + good[half + 1:]),
        "end": ("ends too early", good[:-48]),
        "empty": ("ends too early", b""),
        "other": ("not a file of", message(1)),
        "own": ("itself exported", good),
    }[damage]
    file.write_bytes(bad)
    victim = pair.a if damage == "own" else pair.b
    answer = victim.tidegate("queue", "import", str(file), check=False)
    assert answer.returncode == 1 and words in answer.stderr
    assert states(pair.b) == {} and not pair.sink.stored()
    assert states(pair.a) == {"exported": 8}
    file.write_bytes(good)
    pair.b.tidegate("queue", "import", str(file))
    pair.check_arrived()


def test_what_cannot_be_exported(pair):
    file = pair.folder / "mail"
    assert "no mail waits" in pair.a.tidegate("queue", "export", str(file), check=False).stderr
    assert not file.exists()
    file.touch()
    assert "File exists" in pair.a.tidegate("queue", "export", str(file), check=False).stderr
    assert "not a regular file" in pair.b.tidegate("queue", "import", "/dev/zero", check=False).stderr
    pair.submit(3)
    assert "No such file" in pair.a.tidegate("queue", "export", str(pair.folder / "none/mail"), check=False).stderr
    assert sum(states(pair.a).values()) == 3 and "exported" not in states(pair.a)


def answers(relay):
    return relay.healthy() and relay.tidegate("queue", "stats", check=False).returncode == 0


class Operator:
    """Somebody who follows the manual, whatever was interrupted, until A has nothing left."""

    def __init__(self, pair, rng):
        self.pair, self.rng, self.files = pair, rng, 0
        self.did = collections.Counter()

    def run(self, relay, *arguments, interrupt):
        """Runs the command, which may die, as may the queue process of its relay, or the relay is stopped in good order. The
        command's exit status; -9: it died itself."""
        victim = self.rng.choice(["none", "command", "queue", "relay"]) if interrupt else "none"
        queue = relay.processes()["queue.0"]
        command = subprocess.Popen([str(c) for c in (TIDEGATE, "--socket", relay.socket, *arguments)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.did[arguments[1], victim] += 1
        try:
            if victim != "none":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.wait(self.rng.uniform(0, 0.02))  # the moment
                if victim == "command":
                    command.kill()
                elif victim == "queue":
                    os.kill(queue, signal.SIGKILL)
                else:
                    restart(relay)
            return command.wait(60), command.stderr.read()
        finally:
            command.kill()
            command.wait()
            if victim == "queue":
                wait_until(lambda: relay.processes()["queue.0"] not in (0, queue) and answers(relay), 30, "a new queue")

    def export(self):
        self.files += 1
        file = self.pair.folder / f"mail.{self.files}"
        self.run(self.pair.a, "queue", "export", file, interrupt=True)
        return file

    def import_until_known(self, file):
        """True: B has it. False: B can never take it."""
        for attempt in range(20):
            status, words = self.run(self.pair.b, "queue", "import", file, interrupt=attempt < 4)
            if status == 0:
                return True
            if status == 1 and re.search("ends too early|damaged", words):
                return False
        raise AssertionError(f"import: {words}")

    def until_done(self, verb, relay, export):
        for attempt in range(20):
            status, words = self.run(relay, "queue", verb, export, interrupt=attempt < 4)
            if status == 0 or "no export of that number" in words or "was refused before" in words:
                return
        raise AssertionError(f"{verb}: {words}")

    def move(self):
        file = self.export()
        for export, state in moves(self.pair.a).items():
            assert state == "exported"
            if self.import_until_known(file):
                self.until_done("acknowledge", self.pair.a, export)
            else:
                self.until_done("refuse", self.pair.b, export)
                self.until_done("reclaim", self.pair.a, export)


def test_interrupted_anywhere(pair):
    seed = int(os.environ.get("MOVE_SEED", random.randrange(1 << 32)))
    print(f"MOVE_SEED={seed}")
    operator = Operator(pair, random.Random(seed))
    for _ in range(int(os.environ.get("MOVE_ROUNDS", "4"))):
        pair.submit(30)
        operator.move()
    for _ in range(50):
        if not states(pair.a):
            break
        wait_until(lambda: "active" not in states(pair.a), 30, "the attempts to fail")
        operator.move()
    print(dict(operator.did))
    assert states(pair.a) == {} and moves(pair.a) == {}
    pair.check_arrived()
