"""kill -9 of each child under load: the relay recovers, and nothing that got a 250 is missing."""
import os
import signal
import smtplib
import threading

import pytest

from support import Relay, Sink, wait_until

CHILDREN = ["smtpd.0", "auth.0", "queue.0", "resolver.0", "smtpc.0"]
PROCESSES = "process { smtpd = 2 smtpc = 2 }\nretry { schedule = {\"1s\"} jitter = 0 }"


class Load:
    """Clients that send numbered messages until told to stop, and remember which got a 250."""

    def __init__(self, relay, password, clients=4):
        self.relay, self.password = relay, password
        self.acked, self.sent = set(), set()
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def work(self, client):
        number = client * 1_000_000
        while not self.ending.is_set():
            try:
                with self.relay.client("houston", self.password) as smtp:
                    while not self.ending.is_set():
                        number += 1
                        self.send(smtp, number)
            except (OSError, smtplib.SMTPException):
                self.ending.wait(0.05)

    def send(self, smtp, number):
        with self.lock:
            self.sent.add(number)
        smtp.sendmail("a@shop.example", [f"n{number}@dest.example"],
                      b"Subject: %d\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@x.example>\r\n\r\n%s\r\n" % (number, number, b"x" * 2000))
        with self.lock:
            self.acked.add(number)

    def count(self):
        with self.lock:
            return len(self.acked)

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)


def numbers(sink):
    return [int(envelope["recipients"][0].split("@")[0][1:]) for envelope, _ in sink.stored()]


@pytest.mark.parametrize("victim", CHILDREN)
def test_kill_under_load(folder, start, victim):
    sink = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', PROCESSES)
    load = Load(relay, relay.add_server("houston"))
    try:
        wait_until(lambda: load.count() >= 30, 60, "load before the kill")
        before = relay.processes()[victim]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: relay.processes()[victim] not in (0, before), 30, f"a new {victim}")
        mark = load.count()
        wait_until(lambda: load.count() >= mark + 50, 60, "load after the kill")
    finally:
        load.stop()
    wait_until(lambda: relay.healthy() and relay.queued() == 0, 60, "an empty queue")
    wait_until(lambda: load.acked <= set(numbers(sink)), 30, "every acknowledged message")
    arrived = numbers(sink)
    assert set(arrived) <= load.sent
    # A duplicate needs an outcome that was not synced when its process died: only deliverers and the queue have those.
    if victim in ("smtpd.0", "auth.0", "resolver.0"):
        assert len(arrived) == len(set(arrived))
    others = {name: pid for name, pid in relay.processes().items() if name != victim}
    assert len(others) == 6
