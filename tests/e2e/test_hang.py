"""Processes that stand still, or run out of descriptors or memory: it is told, the others go on, nothing acknowledged is lost."""
import contextlib
import os
import pathlib
import re
import resource
import signal
import smtplib
import socket
import subprocess
import threading

import pytest

from support import Relay, Sink, wait_until
from test_clients import MESSAGES
from test_kill import PROCESSES, Load, numbers

BIG = b"Subject: big\r\n\r\n" + b"The quick brown fox jumps over the lazy dog 0123456789.\r\n" * 20000


@contextlib.contextmanager
def standing_still(*pids):
    """Stopped for the length of the block. What the relay itself killed meanwhile is gone."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def silent(relay):
    return {line.split("process=")[1].split()[0] for line in relay.output().splitlines() if "event=process.silent" in line}


def settled(relay, sink, load):
    wait_until(lambda: relay.healthy() and relay.queued() == 0, 90, "an empty queue")
    wait_until(lambda: load.acked <= set(numbers(sink)), 30, "every acknowledged message")


def test_stopped_processes_are_told_and_the_others_go_on(folder, start):
    sink = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', PROCESSES)
    load = Load(relay, relay.add_server("houston"))
    victims = ["smtpd.0", "smtpc.0", "resolver.0"]
    try:
        wait_until(lambda: load.count() >= 30, 60, "load before the stop")
        pids = relay.processes()
        with standing_still(*(pids[name] for name in victims)):
            mark, arrived = load.count(), len(numbers(sink))
            wait_until(lambda: load.count() >= mark + 30, 60, "mail to be taken meanwhile")
            wait_until(lambda: len(numbers(sink)) >= arrived + 10, 60, "mail to be delivered meanwhile")
            wait_until(lambda: silent(relay) >= set(victims), 25, "the log to name them")
            reason = relay.status()["relay"]["reason"]
            assert "does not answer" in reason or "is not running" in reason
            assert silent(relay) == set(victims)
    finally:
        load.stop()
    settled(relay, sink, load)


def test_stopped_queue_loses_nothing(folder, start):
    """Clients wait for their 250, the edge and the status go on answering; afterwards everything is as it was."""
    sink = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', PROCESSES)
    password = relay.add_server("houston")
    load = Load(relay, password)
    try:
        wait_until(lambda: load.count() >= 30, 60, "load before the stop")
        queue = relay.processes()["queue.0"]
        with standing_still(queue):
            with relay.client("houston", password) as smtp:
                assert smtp.noop()[0] == 250
            mark = load.count()
            wait_until(lambda: "process queue.0 does not answer" in (relay.status()["relay"]["reason"] or ""), 25, "the status to say so")
            assert load.count() <= mark + len(load.threads)  # no 250 without the queue
        mark = load.count()
        wait_until(lambda: load.count() >= mark + 30, 60, "load afterwards")
    finally:
        load.stop()
    settled(relay, sink, load)


def test_stopped_auth_stops_only_logins(folder, start):
    sink = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', PROCESSES)
    password = relay.add_server("houston")
    with relay.client("houston", password) as smtp:
        with standing_still(relay.processes()["auth.0"]):
            smtp.sendmail("a@shop.example", ["n1@dest.example"], MESSAGES["plain"])
            wait_until(lambda: numbers(sink) == [1], 30, "the message")
            late = smtplib.SMTP("localhost", relay.port, timeout=60)
            late.ehlo()
            assert late.noop()[0] == 250
        late.close()
    with relay.client("houston", password) as smtp:
        smtp.sendmail("a@shop.example", ["n2@dest.example"], MESSAGES["plain"])


def limit(relay, pid, name, value):
    """The soft limit of one process, as its own user: that needs no capability."""
    run = ["setpriv", f"--reuid={relay.user}", "--regid=nogroup", "--clear-groups", "prlimit", f"--pid={pid}", f"--{name}={value}:"]
    subprocess.run(run, check=True)


def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def greeting(port):
    """The first reply on a new connection; "" if none comes within a second. The socket stays open."""
    s = socket.create_connection(("127.0.0.1", port), timeout=1)
    try:
        return s, s.recv(200).decode()
    except TimeoutError:
        return s, ""


def test_without_descriptors_those_inside_are_served(folder, start):
    sink = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', "process { smtpd = 1 }")
    password = relay.add_server("houston")
    pid = relay.processes()["smtpd.0"]
    with relay.client("houston", password) as inside:
        room = 3
        limit(relay, pid, "nofile", descriptors(pid) + room)
        waiting = []
        for _ in range(room + 5):
            waiting.append(greeting(relay.port))
        greeted = [text for _, text in waiting if text.startswith("220")]
        assert 1 <= len(greeted) <= room
        assert all(text[:3] in ("220", "421", "") for _, text in waiting)
        wait_until(lambda: "event=smtpd.exhausted" in relay.output(), 20, "the log to say so")
        inside.sendmail("a@shop.example", ["n1@dest.example"], MESSAGES["plain"])
        for s, _ in waiting:
            s.close()

        def comes_in():
            s, text = greeting(relay.port)
            s.close()
            return text.startswith("220")
        wait_until(comes_in, 20, "new connections to be taken again")
    wait_until(lambda: numbers(sink) == [1], 30, "the message")
    assert relay.processes()["smtpd.0"] == pid


def address_space(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


@pytest.mark.parametrize("victim", ["smtpd.0", "queue.0", "smtpc.0"])
def test_without_memory_nothing_acknowledged_is_lost(folder, start, victim):
    """Whether it gets by or dies and starts again is its own affair."""
    sink = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "none"', PROCESSES)
    password = relay.add_server("houston")
    load = Load(relay, password)
    ending = threading.Event()

    def big_ones(number):
        while not ending.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException), relay.client("houston", password) as smtp:
                smtp.sendmail("a@shop.example", [f"n{number}@dest.example"], BIG)
    threads = [threading.Thread(target=big_ones, args=(9_000_000 + i,), daemon=True) for i in range(4)]
    try:
        wait_until(lambda: load.count() >= 30, 60, "load before the shortage")
        pid = relay.processes()[victim]
        limit(relay, pid, "as", address_space(pid) + (1 << 20))
        for thread in threads:
            thread.start()
        mark = load.count()
        wait_until(lambda: load.count() >= mark + 500 or relay.output().count("code=45") >= 50, 60, "the shortage to be felt")
        with contextlib.suppress(subprocess.CalledProcessError):  # it is gone
            limit(relay, pid, "as", "unlimited")
        mark = load.count()
        wait_until(lambda: load.count() >= mark + 100, 60, "mail to be taken afterwards")
    finally:
        ending.set()
        load.stop()
        for thread in threads:
            thread.join(60)
    assert not re.search(r"event=smtp.refused .*code=5", relay.output())  # want of memory is never final
    settled(relay, sink, load)
