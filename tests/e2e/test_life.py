"""The daemon's life: checking, reloading, log files, socket activation, draining, daemonising."""
import os
import signal
import socket
import subprocess

from support import TIDEGATED, Relay, free_port, wait_until
from test_clients import MESSAGES


def check_conf(relay):
    return subprocess.run([TIDEGATED, "-t", "-c", relay.conf], capture_output=True, text=True, check=False)


def test_check_names_file_and_line(relay):
    assert check_conf(relay).returncode == 0
    relay.conf.write_text(relay.conf.read_text() + "limit { message_size = \"many\" }\n")
    result = check_conf(relay)
    line = len(relay.conf.read_text().splitlines())
    assert result.returncode == 1 and f"{relay.conf}:{line}" in result.stderr and "message_size" in result.stderr


def test_bad_reload_keeps_the_old_configuration(relay, sink):
    password = relay.add_server("houston")
    good = relay.conf.read_text()
    relay.conf.write_text(good + "nonsense = 1\n")
    relay.popen.send_signal(signal.SIGHUP)
    relay.wait_for("event=config.refused")
    assert relay.status()["relay"]["health"] == "degraded" and "nonsense" in relay.status()["relay"]["reason"]
    with relay.client("houston", password) as smtp:
        smtp.sendmail("a@shop.example", ["b@dest.example"], MESSAGES["plain"])
    relay.conf.write_text(good)
    relay.tidegate("reload")
    wait_until(relay.healthy, what="health after a good reload")
    wait_until(lambda: len(sink.stored()) == 1, what="the message")


def test_reload_moves_the_listener_and_keeps_sessions(relay):
    password = relay.add_server("houston")
    old = relay.port
    with relay.client("houston", password) as smtp:
        relay.port = free_port()
        relay.conf.write_text(relay.conf.read_text().replace(f"127.0.0.1:{old}", f"127.0.0.1:{relay.port}"))
        relay.tidegate("reload")
        smtp.sendmail("a@shop.example", ["b@dest.example"], MESSAGES["plain"])

    def new_port_answers():
        try:
            with relay.client("houston", password) as other:
                return other.noop()[0] == 250
        except OSError:
            return False
    wait_until(new_port_answers, what="the new port")
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", old)) != 0


def test_log_file_is_reopened(folder, start, sink):
    log = folder / "tidegate.log"
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}"', f'log {{ sink = "file" file = "{log}" }}')
    wait_until(lambda: "queue.opened" in log.read_text(), what="the log file")
    log.rename(folder / "tidegate.log.1")
    relay.popen.send_signal(signal.SIGUSR1)
    wait_until(lambda: log.exists() and "log.reopened" in log.read_text(), what="a new log file")
    password = relay.add_server("houston")
    with relay.client("houston", password):
        pass
    wait_until(lambda: "smtp.auth" in log.read_text(), what="lines of a child in the new file")


def test_sigterm_lets_sessions_finish(relay, sink):
    password = relay.add_server("houston")
    smtp = relay.client("houston", password)
    smtp.mail("a@shop.example")
    smtp.rcpt("b@dest.example")
    smtp.putcmd("data")
    assert smtp.getreply()[0] == 354
    relay.popen.send_signal(signal.SIGTERM)
    relay.wait_for("event=relay.stopping")
    smtp.send(MESSAGES["plain"] + b".\r\n")
    code, text = smtp.getreply()
    assert code in (250, 421, 451)
    smtp.close()
    assert relay.popen.wait(30) == 0
    if code == 250:
        relay.start()
        wait_until(lambda: len(sink.stored()) == 1, what="the acknowledged message")


def test_socket_activation_and_readiness(folder, start):
    """The service manager binds the port and hears READY=1 (systemd's protocols, played here)."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    relay = start(Relay, 'via = "127.0.0.1:1"', port=free_port())
    relay.stop()
    relay.conf.write_text(relay.conf.read_text().replace(f"127.0.0.1:{relay.port}", f"127.0.0.1:{port}"))
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(folder / "notify"))
    notify.settimeout(30)

    def inherit():
        os.dup2(listener.fileno(), 3)
        os.environ["LISTEN_PID"] = str(os.getpid())
    environment = dict(os.environ, LISTEN_FDS="1", NOTIFY_SOCKET=str(folder / "notify"))
    # exec through sh, so that LISTEN_PID is the pid of the daemon itself
    command = f'LISTEN_PID=$$ exec "{TIDEGATED}" -f -c "{relay.conf}"'
    with open(folder / "activated.log", "wb") as log:
        daemon = subprocess.Popen(["sh", "-c", command], pass_fds=(3,), env=environment, stdout=log, stderr=log,
                                  preexec_fn=lambda: os.dup2(listener.fileno(), 3)) if listener.fileno() != 3 else \
            subprocess.Popen(["sh", "-c", command], pass_fds=(3,), env=environment, stdout=log, stderr=log)
    try:
        assert notify.recv(100) == b"READY=1"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            assert client.recv(100).startswith(b"220 relay.test")
        for text in (relay.conf.read_text(), "nonsense {"):  # a refused reload ends as well
            relay.conf.write_text(text)
            daemon.send_signal(signal.SIGHUP)
            assert notify.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert notify.recv(100) == b"READY=1"
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
        listener.close()
        notify.close()


def test_daemon_returns_when_ready(relay):
    relay.stop()
    with open(relay.folder / "daemon.log", "wb") as log:  # the daemon goes on logging to it
        result = subprocess.run([TIDEGATED, "-c", relay.conf], stdout=log, stderr=log, check=False, timeout=60)
    assert result.returncode == 0
    assert relay.status()["relay"]["health"] in ("ok", "degraded")
    relay.tidegate("stop")
    wait_until(lambda: not relay.socket.exists(), 30, "the daemon to stop")


def test_daemon_that_cannot_start_says_so(relay):
    relay.stop()
    blocker = socket.create_server(("127.0.0.1", relay.port))
    try:
        result = subprocess.run([TIDEGATED, "-c", relay.conf], capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 1 and str(relay.port) in result.stderr
    finally:
        blocker.close()


def test_two_relays_do_not_share_a_spool(relay, start, folder):
    other = folder / "second.conf"
    other.write_text(relay.conf.read_text().replace(str(relay.socket), str(folder / "control2")).replace(f":{relay.port}", f":{free_port()}"))
    with open(folder / "second.log", "wb") as log:
        second = subprocess.Popen([TIDEGATED, "-f", "-c", other], stdout=log, stderr=log)
    try:
        wait_until(lambda: "another process has this spool open" in (folder / "second.log").read_text(), what="the refusal")
    finally:
        second.terminate()
        second.wait(30)


def test_drain_closes_the_edge_and_delivers_the_rest(relay, sink):
    password = relay.add_server("houston")
    sink.stop()
    with relay.client("houston", password) as smtp:
        smtp.sendmail("a@shop.example", ["b@dest.example"], MESSAGES["plain"])
    relay.tidegate("drain")

    def closed():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", relay.port)) != 0
    wait_until(closed, what="the edge to close")
    assert relay.status()["relay"]["reason"] == "drained: no new mail is taken"
    wait_until(lambda: relay.queued() == 1, what="the message to be counted as queued")
    relay.tidegate("stop")
    assert relay.popen.wait(30) == 0
