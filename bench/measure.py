"""What the benchmarks share: alternating runs, processor time of processes, and tables with min, median and max."""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/e2e")]
os.environ.setdefault("TIDEGATE_BIN", str(pathlib.Path(os.environ.get("TIDEGATE_BUILD", ROOT / "build")) / "release"))

from support import SMTPLOAD, Process, free_port  # noqa: E402,F401

TICK = os.sysconf("SC_CLK_TCK")


def arguments(text):
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind (5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a run (5; 30 for figures to be quoted)")
    parser.add_argument("--no-peers", action="store_true", help="leave out what Postfix is needed for")
    return parser.parse_args()


def folder():
    """On a disk: a memory file system would flatter whoever syncs."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-bench-", dir=os.environ.get("TIDEGATE_BENCH_DIR", "/var/tmp")))
    path.chmod(0o755)
    return path


def listening(port):
    """Whether somebody listens on 127.0.0.1:port; asks the kernel's table and disturbs nobody."""
    text = f"0100007F:{port:04X} 00000000:0000 0A"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(text in line for line in table)


def processes_below(pid):
    """pid and all its descendants that live."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def cpu_seconds(pid):
    """User and system time of a process, its threads and all its descendants, also those that it has waited for."""
    total = 0
    for each in processes_below(pid):
        try:
            fields = pathlib.Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(ticks) for ticks in fields[11:15])
    return total / TICK


class Run:
    """One run: messages per second and microseconds of processor time per message of the sender and of the receiver."""

    def __init__(self, count, seconds, sender, receiver, latency=None):
        self.rate, self.sender, self.receiver = count / seconds, sender * 1e6 / count, receiver * 1e6 / count
        self.latency = latency


def measure(send, receiver):
    """send() sends and returns (messages, seconds, processor seconds of the sender, p50 and p99 in ms or None)."""
    before = cpu_seconds(receiver)
    count, seconds, sender, latency = send()
    return Run(count, seconds, sender, cpu_seconds(receiver) - before, latency)


def smtpload(port, *options):
    """A sender for measure(). All messages must be accepted."""
    def send():
        result = subprocess.run([SMTPLOAD, "--json", *map(str, options), f"127.0.0.1:{port}"],
                                capture_output=True, text=True, check=False, timeout=600)
        if result.returncode:
            raise RuntimeError(f"smtpload: {result.stdout}{result.stderr}")
        summary = json.loads(result.stdout)
        latency = summary["message_us"]["p50"] / 1000, summary["message_us"]["p99"] / 1000
        return summary["accepted"], summary["elapsed_us"] / 1e6, summary["cpu_us"] / 1e6, latency
    return send


def command(run, count):
    """A sender for measure() that is another program: run() calls it, which sends `count` messages, and waits for it."""
    def send():
        def children():
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime
        cpu, start = children(), time.monotonic()
        run()
        return count, time.monotonic() - start, children() - cpu, None
    return send


def alternate(kinds, runs):
    """kinds: {name: function that gives a Run}. One unmeasured round, then `runs` rounds in turn, so that what else the machine
    does meets all of them. Gives {name: [Run, ...]}."""
    results = {name: [] for name in kinds}
    for number in range(runs + 1):
        for name, one in kinds.items():
            if sys.stderr.isatty():
                print(f"\r\033[K{name}: run {number} of {runs}", end="", file=sys.stderr, flush=True)
            run = one()
            if number:
                results[name].append(run)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return results


def spread(values, form="{:,.0f}"):
    return "  ".join(form.format(v).rjust(9) for v in (min(values), statistics.median(values), max(values)))


def print_header(title):
    print(f"\n{title}\n{'':38}{'messages/s':^31}   {'CPU us per message':^22}   {'latency ms':^15}")
    print(f"{'':38}{'min':>9}  {'median':>9}  {'max':>9}   {'sender':>10}  {'receiver':>10}   {'p50':>7} {'p99':>7}")


def print_runs(name, runs):
    latencies = [run.latency for run in runs if run.latency]
    latency = " ".join(f"{statistics.median(v):7.2f}" for v in zip(*latencies)) if latencies else ""
    print(f"{name:38}{spread([r.rate for r in runs])}   {statistics.median(r.sender for r in runs):10.1f}"
          f"  {statistics.median(r.receiver for r in runs):10.1f}   {latency}", flush=True)


def print_ratio(name, runs, base):
    """Round by round: the two runs of a round met the same machine."""
    print(f"{'  ratio, ' + name:38}{spread([a.rate / b.rate for a, b in zip(runs, base)], '{:.2f}')}", flush=True)
