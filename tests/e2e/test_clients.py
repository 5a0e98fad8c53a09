"""Real clients hand mail to the relay over STARTTLS and AUTH; it arrives octet for octet, apart from listed headers."""
import email
import smtplib
import subprocess

import pytest

from support import need, wait_until

ADDED = {b"received", b"date", b"message-id"}

MESSAGES = {
    "plain": b"From: a@shop.example\r\nTo: b@dest.example\r\nSubject: plain\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
             b"Message-ID: <1@shop.example>\r\n\r\nHello\r\n",
    "dots": b"Subject: dots\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <2@x.example>\r\n\r\n.\r\n..\r\n.a\r\n...b\r\n",
    "empty-body": b"Subject: empty\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <3@x.example>\r\n\r\n",
    "long-lines": b"Subject: long\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <4@x.example>\r\n\r\n" + b"x" * 900 + b"\r\n",
    "eight-bit": "Subject: acht\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <5@x.example>\r\n\r\nGrüße aus Köln\r\n".encode(),
    "missing-headers": b"From: a@shop.example\r\nSubject: no date\r\n\r\nbody\r\n",
    "two-megabytes": b"Subject: big\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <6@x.example>\r\n\r\n" + b"0123456789abcdef" * 4 * 64 * 1 + b"\r\n"
                     + (b"The quick brown fox jumps over the lazy dog 0123456789.\r\n" * 37000),
}


def split(content):
    header, _, body = content.partition(b"\r\n\r\n")
    fields = []
    for line in header.split(b"\r\n"):
        if line[:1] in b" \t" and fields:
            fields[-1] += b"\r\n" + line
        elif line:
            fields.append(line)
    return fields, body


def assert_equal_but_for_added(sent, got):
    """Every field that was sent is there in its order, others are of the kinds the relay adds, the body is the same."""
    sent_fields, sent_body = split(sent)
    got_fields, got_body = split(got)
    rest = list(sent_fields)
    for field in got_fields:
        if rest and field == rest[0]:
            rest.pop(0)
        else:
            assert field.split(b":")[0].lower() in ADDED, field
    assert not rest, rest
    assert got_body == sent_body


@pytest.mark.parametrize("name", MESSAGES)
def test_smtplib(relay, sink, name):
    password = relay.add_server("houston")
    content = MESSAGES[name]
    with relay.client("houston", password) as smtp:
        options = ["BODY=8BITMIME"] if name == "eight-bit" else []
        smtp.sendmail("a@shop.example", ["b@dest.example", "c@dest2.example"], content, mail_options=options)
    (envelope, got), = wait_until(sink.stored, what="the message at the sink")
    assert envelope["sender"] == "a@shop.example"
    assert sorted(envelope["recipients"]) == ["b@dest.example", "c@dest2.example"]
    assert_equal_but_for_added(content, got)
    assert got.startswith(b"Received: from ")
    parsed = email.message_from_bytes(got)
    assert parsed["Date"] and parsed["Message-ID"]
    assert "authenticated as houston" in parsed["Received"].replace("\r\n\t", " ")


def test_swaks(relay, sink):
    password = relay.add_server("houston")
    for mechanism in ("PLAIN", "LOGIN"):
        subprocess.run([need("swaks"), "--server", "127.0.0.1", "--port", str(relay.port), "-tls", "--tls-verify", "--tls-ca-path",
                        str(relay.cert), "--auth", mechanism, "--auth-user", "houston", "--auth-password", password,
                        "--from", "a@shop.example", "--to", "b@dest.example", "--body", "line\n.dot\n"],
                       check=True, capture_output=True, timeout=60)
    wait_until(lambda: len(sink.stored()) == 2, what="both messages")
    for envelope, content in sink.stored():
        assert envelope["recipients"] == ["b@dest.example"]
        assert content.endswith(b"line\r\n.dot\r\n\r\n\r\n")


def test_wrong_password_is_refused(relay):
    relay.add_server("houston")
    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        relay.client("houston", "wrong")
    assert caught.value.smtp_code == 535
    with pytest.raises(smtplib.SMTPAuthenticationError) as unknown:
        relay.client("dallas", "wrong")
    assert unknown.value.smtp_error == caught.value.smtp_error


def test_mail_without_auth_is_refused(relay):
    with smtplib.SMTP("localhost", relay.port, timeout=30) as smtp:
        smtp.ehlo()
        code, _ = smtp.docmd("MAIL", "FROM:<a@shop.example>")
        assert code == 530


def test_queued_while_the_destination_is_down(relay, sink):
    password = relay.add_server("houston")
    sink.stop()
    with relay.client("houston", password) as smtp:
        smtp.sendmail("a@shop.example", ["b@dest.example"], MESSAGES["plain"])
    wait_until(lambda: relay.json("queue", "list")["messages"][0]["state"] == "deferred", what="a deferral")
    events = {row["event"] for row in relay.json("trace", "recent")["events"]}
    assert events == {"accepted", "deferred"}
