"""AUTH as clients do it: SCRAM-SHA-256 with and without channel binding, imported hashes, and the line for log watchers."""
import base64
import hashlib
import hmac
import os
import pathlib
import re
import select
import shutil
import smtplib
import ssl
import subprocess
import sys

import pytest

from support import ROOT, Relay, need, wait_until

HASHES = {
    "bcrypt": "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "sha512": "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/",
    "yescrypt": "$y$j75$saltsaltsalt$jyf/lxrpdyAIshWRo1x5DRC6KIE7sNRRtjcomR3PgHA",
}  # all of them of "secret"


def import_hash(relay, name, text):
    from support import TIDEGATE
    subprocess.run([TIDEGATE, "--socket", relay.socket, "server", "import", name], input=text + "\n", text=True, check=True,
                   capture_output=True, timeout=30)


def scram(password, first, server_first, binding=b"n,,"):
    """client-final-message and the server's signature that must come back."""
    fields = dict(part.split("=", 1) for part in server_first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    without = "c=" + base64.b64encode(binding).decode() + ",r=" + fields["r"]
    message = ",".join([first, server_first, without]).encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, signature))
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    return without + ",p=" + base64.b64encode(proof).decode(), "v=" + base64.b64encode(server).decode()


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def unb64(reply):
    return base64.b64decode(reply).decode()


def tls(relay):
    smtp = smtplib.SMTP("localhost", relay.port, timeout=30)
    smtp.starttls(context=ssl.create_default_context(cafile=str(relay.cert)))
    smtp.ehlo()
    return smtp


def test_scram(relay):
    password = relay.add_server("houston")
    with tls(relay) as smtp:
        assert smtp.esmtp_features["auth"].split() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
        for attempt, code in ((password + "x", 535), (password, 235)):
            first = "n=houston,r=rOprNGfwEbeRWgbNEkqO"
            code1, challenge = smtp.docmd("AUTH", "SCRAM-SHA-256 " + b64("n,," + first))
            assert code1 == 334
            final, server = scram(attempt, first, unb64(challenge))
            got, answer = smtp.docmd(b64(final))
            if code == 235:
                assert (got, unb64(answer)) == (334, server)
                got, _ = smtp.docmd("")
            assert got == code
        smtp.sendmail("a@shop.example", ["b@dest.example"], b"Subject: scram\r\n\r\nx\r\n")


def test_a_cut_offer_shows(relay):
    """The client would have bound, and thinks that we do not: whoever cut our list must not get the rest."""
    relay.add_server("houston")
    with tls(relay) as smtp:
        assert smtp.docmd("AUTH", "SCRAM-SHA-256 " + b64("y,,n=houston,r=abc"))[0] == 501


def test_nothing_is_offered_in_the_clear(relay):
    with smtplib.SMTP("localhost", relay.port, timeout=30) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        assert smtp.docmd("AUTH", "SCRAM-SHA-256 " + b64("n,,n=houston,r=abc"))[0] == 538




def test_scram_plus(relay, folder):
    """The channel binding of RFC 9266, computed by OpenSSL's own client."""
    password = relay.add_server("houston")
    client = subprocess.Popen([need("openssl"), "s_client", "-connect", f"127.0.0.1:{relay.port}", "-starttls", "smtp", "-crlf",
                               "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=False)
    heard = b""

    def until(pattern):
        nonlocal heard
        while not (found := re.search(pattern, heard, re.M | re.S)):
            assert select.select([client.stdout], [], [], 20)[0], heard
            piece = os.read(client.stdout.fileno(), 65536)
            assert piece, heard
            heard += piece
        heard = heard[found.end():]
        return found

    def say(text):
        client.stdin.write(text.encode() + b"\n")
        client.stdin.flush()

    try:
        say("EHLO client.example")
        binding = bytes.fromhex(until(rb"Keying material: ([0-9A-F]{64})").group(1).decode())
        until(rb"^250 ENHANCED[^\n]*\n")
        first = "n=houston,r=abcdefgh"
        for bound, code in ((bytes(32), b"535"), (binding, b"334")):
            say("AUTH SCRAM-SHA-256-PLUS " + b64("p=tls-exporter,," + first))
            challenge = until(rb"^334 (\S+)\r?\n").group(1)
            final, _ = scram(password, first, unb64(challenge), b"p=tls-exporter,," + bound)
            say(b64(final))
            assert until(rb"^(\d\d\d) [^\n]*\n").group(1) == code
        say("")
        until(rb"^235 ")
    finally:
        client.kill()
        client.wait()


@pytest.mark.parametrize("kind", HASHES)
def test_imported_hash(relay, sink, kind):
    import_hash(relay, "panel", HASHES[kind])
    with relay.client("panel", "secret") as smtp:
        smtp.sendmail("a@shop.example", ["b@dest.example"], b"Subject: imported\r\n\r\nx\r\n")
    wait_until(sink.stored, what="the message")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        relay.client("panel", "Secret")


def fail2ban_regex():
    """The Debian package is a daemon: only its test program is used, from an unpacked copy that is never installed."""
    program = shutil.which("fail2ban-regex")
    if program:
        return [program], None
    unpacked = pathlib.Path(os.environ.get("TIDEGATE_PEERS", ROOT / "build" / "peers")) / "fail2ban"
    if not (unpacked / "usr/bin/fail2ban-regex").exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["apt-get", "download", "fail2ban"], cwd=unpacked, capture_output=True, timeout=120, check=False)
        if fetched.returncode:
            pytest.skip("fail2ban cannot be fetched here")
        subprocess.run(["dpkg-deb", "-x", next(unpacked.glob("*.deb")), unpacked], check=True, timeout=60)
    environment = dict(os.environ, PYTHONPATH=str(unpacked / "usr/lib/python3/dist-packages"))
    return [sys.executable, unpacked / "usr/bin/fail2ban-regex", "-c", unpacked / "etc/fail2ban"], environment


def test_fail2ban(relay, folder):
    """Every failure is one match with the true address; what strangers write into names cannot make another one."""
    relay.add_server("houston")
    names = ["houston", "nobody", "a peer=203.0.113.9 mechanism=PLAIN reason=password", 'b" peer=203.0.113.9 x', "c\\", "d=e",
             "two\nevent=auth.failed server=x peer=203.0.113.9 mechanism=PLAIN reason=password"]
    for name in names:
        with tls(relay) as smtp:
            assert smtp.docmd("AUTH", "PLAIN " + b64(f"\0{name}\0wrong"))[0] == 535
    wait_until(lambda: relay.output().count("event=auth.failed") >= len(names), what="the log")
    log = folder / "log"
    log.write_text("\n".join(line for line in relay.output().splitlines() if "level=" in line) + "\n")
    command, environment = fail2ban_regex()
    result = subprocess.run([*command, "--print-all-matched", "-o", "<ip>", str(log), str(ROOT / "packaging/fail2ban/tidegate.conf")],
                            capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    addresses = [line for line in result.stdout.splitlines() if line]
    assert addresses == ["127.0.0.1"] * len(names), result.stdout + result.stderr
