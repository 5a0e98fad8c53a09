"""A full disk, ten thousand idle connections, a client that sends an octet a second, a destination that never answers: the
relay goes on serving the others."""
import os
import resource
import smtplib
import socket
import threading
import time

import pytest

from support import TIDEGATED, Process, Relay, Sink, free_port, wait_until
from test_clients import MESSAGES
from test_kill import numbers

CLEAR = 'tls = "none" auth = "none"'
SOON = 'retry { schedule = {"1s"} jitter = 0 }'


def plain(relay):
    return smtplib.SMTP("127.0.0.1", relay.port, timeout=60)


def send(relay, *recipients):
    with plain(relay) as smtp:
        smtp.sendmail("a@shop.example", list(recipients), MESSAGES["plain"])


def code_of(relay, recipient):
    """The code that a whole message gets."""
    try:
        send(relay, recipient)
        return 250
    except smtplib.SMTPSenderRefused as error:
        return error.smtp_code
    except smtplib.SMTPDataError as error:
        return error.smtp_code


class SmallDisk(Relay):
    """Its state lies on a file system of 96 MiB, in a mount namespace of its own."""

    def launch(self):
        self.state.mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o size=96m,mode=755 tmpfs "{self.state}" && exec "$0" "$@"'
        Process.__init__(self, self.folder / "relay.log", ["unshare", "-m", "sh", "-c", mount, TIDEGATED, "-f", "-c", self.conf])

    def inside(self, name):
        return f"/proc/{self.popen.pid}/root{self.state}/{name}"

    def fill(self, leave):
        """Ballast, until only `leave` octets are free."""
        with open(self.inside("ballast"), "ab") as out:
            free = os.statvfs(self.inside(".")).f_bavail * os.statvfs(self.inside(".")).f_frsize
            while free > leave:
                out.write(bytes(min(1 << 20, free - leave)))
                out.flush()
                free = os.statvfs(self.inside(".")).f_bavail * os.statvfs(self.inside(".")).f_frsize

    def empty(self):
        os.truncate(self.inside("ballast"), 0)


@pytest.fixture
def small(folder, start):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    port = free_port()
    relay = start(SmallDisk, f'via = "127.0.0.1:{port}" tls = "none"', f'{SOON}\ndisk_reserve = "24M"', CLEAR)
    relay.sink_port = port
    return relay


def test_disk_at_its_reserve(folder, start, small):
    """New mail waits with its sender, queued mail moves; with room again everything goes on, without a restart."""
    relay = small
    for number in range(5):
        send(relay, f"n{number}@dest.example")
    relay.fill(leave=16 << 20)
    wait_until(lambda: code_of(relay, "n90@dest.example") == 452, 30, "452 for new mail")
    wait_until(lambda: "disk is nearly full" in (relay.status()["relay"]["reason"] or ""), 10, "the status to say so")
    sink = start(Sink, "--store", folder / "sink.store", port=relay.sink_port)
    wait_until(lambda: set(range(5)) <= set(numbers(sink)), 60, "queued mail to move")
    relay.empty()
    wait_until(lambda: code_of(relay, "n91@dest.example") == 250, 30, "new mail to be taken again")
    wait_until(lambda: relay.healthy() and 91 in numbers(sink), 30, "health")
    assert "event=process.ended" not in relay.output()


def test_disk_without_any_room(folder, start, small):
    """Also what recording results needs is gone: nothing gets a false 250, and all is well when there is room again."""
    relay, taken = small, set()
    sink = start(Sink, "--store", folder / "sink.store", port=relay.sink_port)
    send(relay, "n0@dest.example")
    relay.fill(leave=0)
    for number in range(1, 60):
        if code_of(relay, f"n{number}@dest.example") == 250:
            taken.add(number)
    assert code_of(relay, "n99@dest.example") in (451, 452)
    relay.empty()
    wait_until(lambda: code_of(relay, "n100@dest.example") == 250, 30, "new mail to be taken again")
    wait_until(lambda: relay.healthy() and relay.queued() == 0, 60, "an empty queue")
    assert taken | {0, 100} <= set(numbers(sink))
    assert "event=process.ended" not in relay.output()


IDLE = 10_000


def test_ten_thousand_idle_connections_and_a_slow_one(folder, start):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < IDLE + 2000:
        pytest.skip(f"only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sink = start(Sink, "--store", folder / "sink.store")
    many = f"limit {{ connections = {2 * IDLE} connections_per_network = {2 * IDLE} }}"
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', many, CLEAR)
    idle = []
    slow = socket.create_connection(("127.0.0.1", relay.port), timeout=60)
    ending = threading.Event()

    def one_octet_a_second():
        for octet in b"EHLO slow.example\r\nMAIL FROM:<a@shop.example>\r\n":
            if ending.wait(1):
                return
            slow.send(bytes([octet]))
    slowly = threading.Thread(target=one_octet_a_second, daemon=True)
    slowly.start()
    try:
        for _ in range(IDLE):
            idle.append(socket.create_connection(("127.0.0.1", relay.port), timeout=60))
        for s in idle[::997] + idle[-1:]:
            assert s.recv(200).startswith(b"220 ")
        assert relay.status()["relay"]["connections_in"] >= 0
        wait_until(lambda: relay.status()["relay"]["connections_in"] > IDLE, 20, "the status to count them")
        before = time.monotonic()
        for number in range(20):
            send(relay, f"n{number}@dest.example")
        wait_until(lambda: len(numbers(sink)) == 20, 30, "the messages of others")
        assert time.monotonic() - before < 20
        for s in idle[::997]:
            s.send(b"NOOP\r\n")
            assert s.recv(200).startswith(b"250 ")
    finally:
        ending.set()
        for s in [*idle, slow]:
            s.close()
        slowly.join(10)


def test_a_destination_that_never_answers(folder, start):
    """More mail for it than may be under way at once: the rest of the world does not notice."""
    hole = socket.create_server(("127.0.0.1", 0), backlog=1000)  # the kernel accepts; nobody speaks
    sink = start(Sink, "--store", folder / "sink.store")
    route = f'via = "127.0.0.1:{hole.getsockname()[1]}" tls = "none" }}\nroute "dest.example" {{ via = "127.0.0.1:{sink.port}" tls = "none"'
    relay = start(Relay, route, "process { smtpd = 1 smtpc = 1 }", CLEAR)
    try:
        with plain(relay) as smtp:
            for number in range(300):
                smtp.sendmail("a@shop.example", [f"x{number}@hole.example"], MESSAGES["plain"])
        for number in range(50):
            send(relay, f"n{number}@dest.example")
        wait_until(lambda: len(numbers(sink)) == 50, 30, "mail for others")
        wait_until(lambda: relay.queued() == 300, 10, "its own mail to be counted as queued")
    finally:
        hole.close()
