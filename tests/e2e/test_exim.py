"""A real Exim as hosting server: what its customers hand to sendmail arrives, over verified TLS and AUTH."""
import sys

from support import ROOT, Relay, Sink, free_port, make_certificate, wait_until

sys.path.insert(0, str(ROOT / "tools"))

import samples  # noqa: E402
from peers import Peer, configure_exim  # noqa: E402
from test_clients import split  # noqa: E402

ADDED = {b"received", b"sender", b"message-id", b"date"}


def assert_arrived(sent, got):
    sent_fields, sent_body = split(sent.replace(b"\n", b"\r\n"))
    got_fields, got_body = split(got)
    rest = list(sent_fields)
    for field in got_fields:
        if rest and field == rest[0]:
            rest.pop(0)
        else:
            assert field.split(b":")[0].lower() in ADDED, field
    assert not rest and got_body == sent_body


def test_every_sample_arrives(folder, relay, sink):
    password = relay.add_server("houston")
    sent = {}
    with Peer("exim", share=[folder]) as exim:
        configure_exim(exim, relay.port, relay.cert, "houston", password, free_port())
        for number in range(len(samples.templates()) + 1):
            recipient = f"n{number}@dest.example"
            sent[recipient] = samples.message(number, "alice@shop.example", recipient)
            exim.run(["exim4", "-oi", "-odi", "-f", "alice@shop.example", recipient], sent[recipient], user="alice")
        log = exim.read("/var/log/exim4/mainlog")
    wait_until(lambda: len(sink.stored()) == len(sent), what="all samples")
    for envelope, content in sink.stored():
        assert envelope["sender"] == "alice@shop.example"
        assert_arrived(sent[envelope["recipients"][0]], content)
    assert "CV=yes" in log and "A=plain" in log and "X=TLS1.3" in log


def test_a_certificate_of_somebody_else_is_noticed(folder, start):
    """Exim defers rather than hand mail to a relay that it cannot verify."""
    destination = start(Sink, "--store", folder / "sink.store")
    relay = start(Relay, f'via = "127.0.0.1:{destination.port}"')
    password = relay.add_server("houston")
    other = folder / "other"
    other.mkdir()
    wrong, _ = make_certificate(other)
    with Peer("exim", share=[folder]) as exim:
        configure_exim(exim, relay.port, wrong, "houston", password, free_port())
        exim.run(["exim4", "-oi", "-odi", "-f", "alice@shop.example", "x@dest.example"], b"Subject: x\n\nx\n", user="alice")
        log = exim.read("/var/log/exim4/mainlog")
    assert "defer" in log and not destination.stored()
