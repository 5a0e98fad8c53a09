"""The evaluator as a child process, and DNS data for it: what the suites and the differential test share."""
import ipaddress
import subprocess
import time

RESULTS = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}


def octets(text):
    """Test data holds octets as characters; names from people may hold anything."""
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def escape(name):
    """A name as the evaluator asks for it: lower case, no last dot, odd octets as \\DDD."""
    raw = octets(name)
    raw = (raw[:-1] if raw.endswith(b".") else raw).lower()
    return "".join(chr(c) if chr(c).isalnum() and c < 128 or c in b"-_." else f"\\{c:03d}" for c in raw)


def wire_name(name):
    raw = octets(name).rstrip(b".")
    if not raw:
        return b"\0"
    return b"".join(bytes([len(label)]) + label for label in raw.split(b".") if 0 < len(label) < 64) + b"\0"


def wire_txt(value):
    strings = value if isinstance(value, list) else [value]
    out = b""
    for string in strings:
        raw = octets(string)
        for at in range(0, len(raw), 255):
            piece = raw[at:at + 255]
            out += bytes([len(piece)]) + piece
    return out


def rdata(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        return int(value[0]).to_bytes(2, "big") + wire_name(value[1])
    if kind == "PTR":
        return wire_name(value)
    if kind == "CNAME":
        return escape(value).encode()
    return wire_txt(value)


def word(text):
    return octets(text).hex() or "-" if text else "-"


class Evaluator:
    """One child; zone() and then any number of check()."""

    def __init__(self, binary):
        self.child = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1 << 16)

    def close(self):
        self.child.stdin.close()
        return self.child.wait(timeout=60)

    def zone(self, rows):
        """rows: (name, type, value); type "TIMEOUT": whatever has no record of its own there times out."""
        lines = ["zone"]
        for name, kind, value in rows:
            if kind == "TIMEOUT":
                lines.append(f"status {escape(name)} * temporary")
            elif kind == "NODATA":
                lines.append(f"status {escape(name)} * nodata")
            else:
                lines.append(f"rr {escape(name)} {kind} {rdata(kind, value).hex()}")
        self.child.stdin.write("\n".join(lines) + "\n")

    def check(self, ip, sender, helo, receiver="", now=None):
        now = int(time.time()) if now is None else now
        self.child.stdin.write(f"check {ip} {word(sender)} {word(helo)} {word(receiver)} {now}\n")
        self.child.stdin.flush()
        fields = self.child.stdout.readline().split()
        if len(fields) != 7 or fields[0] not in RESULTS:
            raise RuntimeError(f"the evaluator ended or said {fields}")
        term, explanation, problem = (b"" if f == "-" else bytes.fromhex(f) for f in fields[4:])
        return {"result": fields[0], "lookups": int(fields[1]), "voids": int(fields[2]), "questions": int(fields[3]),
                "term": term.decode("latin-1"), "explanation": explanation.decode("latin-1"),
                "problem": problem.decode("latin-1")}
