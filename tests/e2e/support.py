"""Running the real programs on loopback: a relay, a destination, certificates; bounded waiting."""
import json
import os
import pathlib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TIDEGATE_BIN", ROOT / "build/release"))
TIDEGATED, TIDEGATE = BIN / "apps/tidegated/tidegated", BIN / "apps/tidegate/tidegate"
SMTPSINK, SMTPLOAD = BIN / "apps/smtpsink/smtpsink", BIN / "apps/smtpload/smtpload"


def wait_until(condition, seconds=20, what="condition"):
    """Polls until condition() is true and returns what it gave; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(folder):
    cert, key = folder / "relay.pem", folder / "relay.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


class Process:
    """A program that is stopped at the end by its own pid; its output is kept in a file."""

    def __init__(self, log, command):
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text, seconds=20):
        def seen():
            if self.popen.poll() is not None:
                raise AssertionError(f"ended with {self.popen.returncode}: {self.output()[-2000:]}")
            return text in self.output()
        wait_until(seen, seconds, f"{text!r} in {self.log}")

    def stop(self, signo=signal.SIGTERM, seconds=30):
        if self.popen.poll() is None:
            self.popen.send_signal(signo)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"did not stop: {self.output()[-2000:]}") from None


class Sink(Process):
    def __init__(self, folder, *options, port=None, name="sink"):
        self.port = port or free_port()
        self.store = folder / f"{name}.store"
        self.store.mkdir(exist_ok=True)
        super().__init__(folder / f"{name}.log", [SMTPSINK, "--listen", f"127.0.0.1:{self.port}", "--json", *options])
        self.wait_for("listening on")

    def summary(self):
        """Asks for the counts so far."""
        before = self.output().count("{")
        self.popen.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.output().count("{") > before and self.output().endswith("\n"), what="summary of smtpsink")
        return json.loads(self.output().splitlines()[-1])

    def stored(self):
        """Messages that came whole, as (envelope, content), in the order of arrival."""
        found = sorted(self.store.glob("*.json"), key=lambda p: int(p.stem))
        return [(json.loads(p.read_text()), p.with_suffix(".eml").read_bytes()) for p in found]


class Relay(Process):
    def __init__(self, folder, route, extra="", listener='tls = "starttls" auth = "required"', certificate=None, port=None, state=None):
        self.folder, self.port = folder, port or free_port()
        self.cert, self.key = certificate or make_certificate(folder)
        self.socket, self.conf = folder / "control", folder / "tidegated.conf"
        self.state = state or folder / "state"
        self.user = "nobody"
        folder.chmod(0o755)
        self.write_conf(route, extra, listener)
        self.start()

    def write_conf(self, route, extra="", listener='tls = "starttls" auth = "required"'):
        self.conf.write_text(f'''
hostname = "relay.test"
state_directory = "{self.state}"
control_socket = "{self.socket}"
user = "{self.user}"
tls {{ certificate = "{self.cert}" key = "{self.key}" }}
listener submission {{ address = {{"127.0.0.1:{self.port}"}} {listener} }}
route "*" {{ {route} }}
{extra}
''')

    def launch(self):
        super().__init__(self.folder / "relay.log", [TIDEGATED, "-f", "-c", self.conf])

    def start(self):
        self.launch()
        wait_until(self.healthy, 30, f"a healthy relay; its log: {self.log}")

    def healthy(self):
        if self.popen.poll() is not None:
            raise AssertionError(f"tidegated ended with {self.popen.returncode}: {self.output()[-2000:]}")
        return self.tidegate("status", check=False).returncode == 0

    def tidegate(self, *arguments, check=True):
        result = subprocess.run([TIDEGATE, "--socket", self.socket, *arguments], capture_output=True, text=True, check=False, timeout=60)
        if check and result.returncode:
            raise AssertionError(f"tidegate {' '.join(arguments)}: {result.returncode}: {result.stderr}")
        return result

    def json(self, *arguments):
        return json.loads(self.tidegate("--json", *arguments).stdout)

    def status(self):
        """Also of a relay that is not well: its exit status then is not 0."""
        return json.loads(self.tidegate("--json", "status", check=False).stdout)

    def add_server(self, name):
        return self.json("server", "add", name)["credential"]["password"]

    def processes(self):
        """pid of each child by name, as "smtpd.0"."""
        rows = self.status()["processes"]
        return {f"{row['role']}.{row['number']}": row["pid"] for row in rows}

    def queued(self):
        return self.status()["relay"]["queued"]

    def client(self, server, password):
        context = ssl.create_default_context(cafile=str(self.cert))
        smtp = smtplib.SMTP("localhost", self.port, timeout=30)
        smtp.starttls(context=context)
        smtp.login(server, password)
        return smtp


def need(program):
    path = shutil.which(program)
    assert path, f"{program} is missing: run tools/deps"
    return path
