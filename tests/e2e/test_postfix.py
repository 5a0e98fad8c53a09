"""Postfix as a hosting server: verified TLS and AUTH to the relay; what it was given arrives."""
import smtplib
import sys

from support import ROOT, free_port, wait_until

sys.path.insert(0, str(ROOT / "tools"))

import samples  # noqa: E402
from peers import Peer, configure_postfix  # noqa: E402
from test_clients import split  # noqa: E402

ADDED = {b"received", b"message-id", b"date"}


def connect(port):
    try:
        return smtplib.SMTP("127.0.0.1", port, timeout=30)
    except OSError:
        return None


def test_every_sample_arrives(folder, relay, sink):
    password = relay.add_server("austin")
    sent, port = {}, free_port()
    with Peer("postfix", share=[folder]) as postfix:
        configure_postfix(postfix, relay.port, relay.cert, "austin", password, port)
        daemon = postfix.start(["postfix", "start-fg"], folder / "postfix.log")
        with wait_until(lambda: connect(port), 60, "Postfix") as smtp:
            for number in range(len(samples.templates()) + 1):
                recipient = f"n{number}@dest.example"
                sent[recipient] = samples.message(number, "bob@shop.example", recipient).replace(b"\n", b"\r\n")
                smtp.sendmail("bob@shop.example", [recipient], sent[recipient], mail_options=["BODY=8BITMIME"])
        wait_until(lambda: len(sink.stored()) == len(sent), 60, "all samples")
        log = postfix.read("/var/log/postfix.log")
        daemon.terminate()
    for envelope, content in sink.stored():
        fields, body = split(content)
        want_fields, want_body = split(sent[envelope["recipients"][0]])
        rest = list(want_fields)
        for field in fields:
            if rest and field == rest[0]:
                rest.pop(0)
            else:
                assert field.split(b":")[0].lower() in ADDED, field
        assert not rest and body == want_body
    assert log.count("status=sent (250 2.0.0 Ok: queued as ") == len(sent)
