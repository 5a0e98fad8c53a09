"""Real mail, good and bad, through the relay: it arrives octet for octet but for the fields that a submission server adds and
removes. The corpus is not part of the project; where it does not lie beside it, there is nothing to test."""
import subprocess

from support import ROOT, need, wait_until
from test_clients import ADDED, split

CORPUS = ROOT.parent / "shared/data/mail/spamassassin.tar.zst"
COUNT = 300
REMOVED = {b"bcc", b"resent-bcc", b"return-path"}


def name_of(field):
    return field.split(b":")[0].strip().lower()


def as_submitted(raw):
    """What a sendmail interface makes of a file: without the mbox line, with CRLF at the ends of lines, without NUL."""
    if raw.startswith(b"From "):
        raw = raw.partition(b"\n")[2]
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join(line[:998] + b"\r\n" for line in lines)


def samples(folder):
    need("zstd")
    subprocess.run(["tar", "--zstd", "-xf", CORPUS, "-C", folder], check=True)
    files = sorted(folder.rglob("*.txt"))
    return [as_submitted(path.read_bytes()) for path in files[::len(files) // COUNT][:COUNT]]


def unchanged(sent, got):
    """Apart from fields that are added and removed."""
    sent_fields, sent_body = split(sent)
    got_fields, got_body = split(got)
    rest = [field for field in sent_fields if name_of(field) not in REMOVED]
    for field in got_fields:
        if rest and field == rest[0]:
            rest.pop(0)
        elif name_of(field) not in ADDED:
            return False
    return not rest and got_body == sent_body


if CORPUS.exists():
    def test_corpus(relay, sink, folder):
        (folder / "corpus").mkdir()
        messages = samples(folder / "corpus")
        assert len(messages) == COUNT
        with relay.client("houston", relay.add_server("houston")) as smtp:
            for number, message in enumerate(messages):
                smtp.sendmail("a@shop.example", [f"m{number}@dest.example"], message, mail_options=["BODY=8BITMIME"])
        wait_until(lambda: len(sink.stored()) == COUNT, 60, "all messages at the sink")
        changed = [envelope["recipients"] for envelope, got in sink.stored()
                   if not unchanged(messages[int(envelope["recipients"][0].split("@")[0][1:])], got)]
        assert not changed
