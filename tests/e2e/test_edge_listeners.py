"""Ways in: Unix sockets, balancers with the PROXY protocol (also in front of implicit TLS), mail proxies with XCLIENT,
content by BDAT."""
import smtplib
import socket
import ssl
import struct

import pytest

from support import Relay, free_port, wait_until

MESSAGE = b"Subject: edge\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <e1@x.example>\r\n\r\n.dot\r\nlast line\r\n"


class UnixSMTP(smtplib.SMTP):
    def _get_socket(self, host, port, timeout):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(host)
        return s


def received(sink, count=1):
    wait_until(lambda: len(sink.stored()) >= count, what=f"{count} messages at the sink")
    return sink.stored()[count - 1][1].split(b"\r\n\r\n")[0].decode()


def test_unix_socket(start, sink, folder):
    path = folder / "submit"
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "may"',
                  extra=f'listener local {{ address = {{"unix:{path}"}} tls = "none" auth = "none" }}')
    with UnixSMTP(str(path), timeout=30) as smtp:
        smtp.sendmail("a@shop.example", ["b@dest.example"], MESSAGE)
    assert "by relay.test" in received(sink)
    assert relay.queued() == 0
    relay.stop()
    assert not path.exists()


def test_bdat(start, sink):
    port = free_port()
    start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "may"',
          extra=f'listener local {{ address = {{"127.0.0.1:{port}"}} tls = "none" auth = "none" }}')
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.ehlo("client.example")
        assert smtp.has_extn("chunking")
        half = len(MESSAGE) // 2
        smtp.send(b"MAIL FROM:<a@shop.example>\r\nRCPT TO:<b@dest.example>\r\n"
                  + b"BDAT %d\r\n" % half + MESSAGE[:half] + b"BDAT %d LAST\r\n" % (len(MESSAGE) - half) + MESSAGE[half:])
        assert [smtp.getreply()[0] for _ in range(4)] == [250] * 4
    wait_until(sink.stored, what="the message at the sink")
    assert sink.stored()[0][1].endswith(b"\r\n\r\n.dot\r\nlast line\r\n")


def v1(client):
    return f"PROXY TCP4 {client} 192.0.2.1 40000 465\r\n".encode()


def v2(client):
    body = socket.inet_aton(client) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 40000, 465)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(body) + 5) + body + b"\x04\0\2xx"


class TLSByHand:
    """TLS whose first flight leaves in one segment with what stands before it."""

    def __init__(self, port, prefix, cafile):
        context = ssl.create_default_context(cafile=cafile)
        self.inbound, self.outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inbound, self.outbound, server_hostname="localhost")
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.prefix = prefix
        self.call(self.tls.do_handshake)

    def call(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("closed") from None
                self.inbound.write(data)

    def flush(self):
        data = self.prefix + self.outbound.read()
        self.prefix = b""
        if data:
            self.socket.sendall(data)

    def dialogue(self, text, until):
        self.call(self.tls.write, text)
        heard = b""
        while until not in heard:
            heard += self.call(self.tls.read, 65536)
        return heard.decode()


@pytest.mark.parametrize("header", [v1, v2])
def test_proxy_in_front_of_implicit_tls(start, sink, header):
    port = free_port()
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "may"',
                  extra=f'listener smtps {{ address = {{"127.0.0.1:{port}"}} tls = "implicit" proxy = {{"127.0.0.1"}} }}')
    password = relay.add_server("houston")
    client = TLSByHand(port, header("198.51.100.77"), str(relay.cert))
    heard = client.dialogue(b"EHLO c.example\r\n", b"ENHANCEDSTATUSCODES")
    assert "AUTH" in heard and "STARTTLS" not in heard
    import base64
    token = base64.b64encode(f"\0houston\0{password}".encode())
    assert "235" in client.dialogue(b"AUTH PLAIN " + token + b"\r\n", b"\r\n")
    heard = client.dialogue(b"MAIL FROM:<a@shop.example>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\n", b"354")
    assert "250" in client.dialogue(MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n", b"\r\n")
    assert "[198.51.100.77]" in received(sink)
    client.socket.close()


def test_nobody_else_is_believed(start, sink):
    port = free_port()
    relay = start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "may"',
                  extra=f'listener far {{ address = {{"127.0.0.1:{port}"}} tls = "none" auth = "none" proxy = {{"192.0.2.80"}} }}')
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        assert s.recv(1000).startswith(b"220 ")
        s.sendall(v1("198.51.100.77"))
        assert s.recv(1000).startswith(b"421 ")
    assert "198.51.100.77" not in relay.output().replace("argument", "")


def test_xclient(start, sink):
    port = free_port()
    start(Relay, f'via = "127.0.0.1:{sink.port}" tls = "may"',
          extra=f'listener front {{ address = {{"127.0.0.1:{port}"}} tls = "none" auth = "none" xclient = {{"127.0.0.1"}} }}')
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.ehlo("front.example")
        assert smtp.docmd("XCLIENT", "ADDR=198.51.100.78 NAME=client.example")[0] == 220
        smtp.ehlo("client.example")
        smtp.sendmail("a@shop.example", ["b@dest.example"], MESSAGE)
    assert "client.example ([198.51.100.78])" in received(sink).replace("\r\n\t", " ")
