"""Sample messages: the templates in tests/samples, numbered, for several senders; and one of 2 MB, made here.

Deterministic: the same number gives the same octets. Lines end with LF, as a program hands them to sendmail.
"""
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/samples"
BIG_LINE = b"The quick brown fox jumps over the lazy dog; line %06d of a large message.\n"


def templates():
    return [path.read_bytes() for path in sorted(FOLDER.glob("*.eml"))]


def big(number):
    head = (b"From: big@shop.example\nTo: big@dest.example\nSubject: [%d] two megabytes\n"
            b"Date: Mon, 23 Nov 2026 11:00:00 +0000\nMessage-ID: <%d.big@shop.example>\n\n" % (number, number))
    return head + b"".join(BIG_LINE % i for i in range(2 * 1024 * 1024 // len(BIG_LINE % 0)))


def message(number, sender, recipient):
    """The message of that number, 0 and up; number 0 is the large one."""
    if number == 0:
        return big(number)
    all_templates = templates()
    text = all_templates[number % len(all_templates)]
    values = {b"@N@": b"%d" % number, b"@FROM@": sender.encode(), b"@TO@": recipient.encode(),
              b"@MIN@": b"%02d" % (number % 60), b"@HOST@": sender.split("@")[1].encode()}
    for name, value in values.items():
        text = text.replace(name, value)
    return text
