"""The quick start of README.md does what it says: its `sh` fences are run as they stand, in order, by one bash."""
import os
import re
import signal
import subprocess

from support import BIN, ROOT, TIDEGATE, free_port, need, wait_until

SECONDS = 60
# The ports of the text may be taken on a machine that is used for other things too.
PORTS = ("10587", "10025")


def fences():
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)


def with_free_ports(script):
    for port in PORTS:
        assert port in script
        script = script.replace(port, str(free_port()))
    return script


def write_script(folder):
    """All fences. Before the last two, which look at the result and stop, it waits for a line on standard input: a reader
    is slower than the relay, a shell is not."""
    *steps, look, stop = fences()
    path = folder / "readme.sh"
    path.write_text(with_free_ports("\n".join(["set -euo pipefail", *steps, "read -r _", look, stop])))
    return path


def only(paths):
    found = list(paths)
    assert len(found) <= 1, found
    return found[0] if found else None


def run(script, folder, log):
    environment = dict(os.environ, TMPDIR=str(folder))
    with open(log, "wb") as out:
        return subprocess.Popen(["bash", script], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=out,
                                stderr=subprocess.STDOUT, start_new_session=True)


def delivered(folder):
    socket = only(folder.glob("*/control"))
    if not socket or not only(folder.glob("*/inbox/*.eml")):
        return False
    recent = subprocess.run([TIDEGATE, "--socket", socket, "trace", "recent"], capture_output=True, text=True, check=False, timeout=SECONDS)
    return "delivered" in recent.stdout


def clean_up(bash, folder):
    """Whatever a failure left: the relay has left the group of the shell, the destination is in it."""
    for socket in folder.glob("*/control"):
        subprocess.run([TIDEGATE, "--socket", socket, "stop"], capture_output=True, check=False, timeout=SECONDS)
    try:
        os.killpg(bash.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    bash.wait()


def test_quick_start(folder):
    need("swaks")
    (folder / "build").mkdir()
    (folder / "build/release").symlink_to(BIN.resolve())
    log = folder / "readme.log"
    bash = run(write_script(folder), folder, log)

    def delivered_unless_ended():
        assert bash.poll() is None, f"ended early with {bash.returncode}: {log.read_text()[-3000:]}"
        return delivered(folder)

    try:
        wait_until(delivered_unless_ended, SECONDS, f"the message at the destination: {log}")
        bash.stdin.write(b"\n")
        bash.stdin.close()
        assert bash.wait(SECONDS) == 0, log.read_text()[-3000:]
        wait_until(lambda: not only(folder.glob("*/control")), SECONDS, "the end of the relay")
    finally:
        clean_up(bash, folder)
    content, shown = only(folder.glob("*/inbox/*.eml")).read_text(), log.read_text()
    assert content.startswith("Received: ")
    assert "Subject: the first one" in content
    assert content in shown
    assert "no messages" in shown
    assert re.search(r"accepted\s+houston\s+alice@shop\.example\s+bob@dest\.example", shown), shown[-3000:]
