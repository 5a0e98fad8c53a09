"""Random SPF cases: a small DNS and a question. Mostly valid records, with a share of every mistake that people make."""
import random

HOSTS = [f"h{i}.example.com" for i in range(6)] + ["a.b.h0.example.com", "mail.example.org"]
DOMAINS = [f"d{i}.example.com" for i in range(4)] + ["example.org"]
INCLUDES = [f"inc{i}.example.net" for i in range(6)]
NOWHERE = ["nowhere.example.com", "gone.example.net"]
ADDRESSES4 = [f"192.0.2.{i}" for i in range(1, 7)]
ADDRESSES6 = [f"2001:db8::{i}" for i in range(1, 5)]
LOCALS = ["jo", "strong-bad", "a+b=c", "Mixed.Case", "x_y/z", "long" * 10]
BROKEN = ["moo", "ip4:1.2.3", "ip4:192.0.2.1/33", "ip6:2001:db8::/129", "ip4:192.0.2.01", "a:", "all:", "all.", "-all/8", "ptr/0", "include",
          "a:192.0.2.1", "exists", "mx//", "a/24/64", "redirect:x.example.com", "ipv4:192.0.2.1", "=x", "1up=x", "a:h0.example.com,", "+",
          "a:%{x}.example.com", "a:%.example.com", "exists:%{c}.example.com", "foo=%abc", "foo=%{", "include:example", "a:h0.example.com:25",
          "a:example.-com", "redirect=", "exp=", "ip6:192.0.2.1", "ip4:2001:db8::1", "a:%{d}x", "ip4:192.0.2.1/08", "mx:%{d0}.example.com",
          "exists:%{d!}.example.com", "a:%{d.example.com", "a:h0.example.com%%", "foo=%%%a", "a:h0..example.com", "a:%{d}.", "a:\x01.example.com",
          "all\x00", "exists:%{dr.example.com", "foo=%{i0}"]
LETTERS = "slodipvh"


class Case:
    """rows: (name, type, value) as the evaluator's driver takes them; question: ip, sender, helo."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.rows = []
        self.ip = self.r.choice(ADDRESSES4 * 2 + ADDRESSES6 * 2 + ["::ffff:192.0.2.1"])
        self.helo = self.r.choice(HOSTS + ["helo.example.com", "localhost", "xx" * 40 + ".example.com"])
        local = self.r.choice(LOCALS)
        self.sender = self.some([(12, f"{local}@{self.domain()}"), (1, ""), (1, f"@{self.domain()}"), (0.3, self.domain()),
                                 (0.3, f"{local}@{self.domain()}."), (0.2, f"{local}@single")])
        for name in DOMAINS + INCLUDES:
            self.add_domain(name)
        for name in HOSTS:
            self.add_host(name)
        self.add_reverse()
        self.add_special()

    def some(self, weighted):
        return self.r.choices([w[1] for w in weighted], [w[0] for w in weighted])[0]

    def chance(self, share):
        return self.r.random() < share

    def domain(self):
        return self.r.choice(DOMAINS) if self.chance(0.9) else self.r.choice(DOMAINS).upper()

    # ---- DNS ----

    def add(self, name, kind, value=None):
        self.rows.append((name, kind, value))

    def add_domain(self, name):
        number = self.some([(0.5, 0), (20, 1), (0.5, 2)])
        for _ in range(number):
            self.add(name, "TXT", self.record(name))
        if self.chance(0.1):
            self.add(name, "TXT", "something else")
        if self.chance(0.02):
            self.add(name, "TIMEOUT")
        if self.chance(0.5):
            self.add_addresses(name)
        if self.chance(0.6):
            self.add_mx(name)

    def add_mx(self, name):
        for i in range(self.some([(10, 1), (6, 2), (3, 3), (0.4, 10), (0.4, 11)])):
            self.add(name, "MX", [self.r.choice([0, 10, 20]) + i, self.some([(20, self.r.choice(HOSTS)), (3, self.r.choice(NOWHERE)), (0.5, "")])])

    def add_addresses(self, name):
        for pool, kind in ((ADDRESSES4, "A"), (ADDRESSES6, "AAAA")):
            for address in self.r.sample(pool, self.some([(4, 0), (6, 1), (3, 2)])):
                self.add(name, kind, address)

    def add_host(self, name):
        if self.chance(0.08):
            self.add(name, "CNAME", self.r.choice(HOSTS + NOWHERE))
            return
        self.add_addresses(name)
        if self.chance(0.03):
            self.add(name, "TIMEOUT")

    def add_reverse(self):
        for pool in (ADDRESSES4, ADDRESSES6):
            for address in pool:
                for _ in range(self.some([(3, 0), (6, 1), (3, 2), (0.3, 11)])):
                    self.add(reverse(address), "PTR", self.r.choice(HOSTS + DOMAINS + NOWHERE + ["Mail.Example.ORG"]))
                if self.chance(0.03):
                    self.add(reverse(address), "TIMEOUT")

    def add_special(self):
        for i in range(3):
            for _ in range(self.some([(1, 0), (12, 1), (0.5, 2)])):
                self.add(f"exp{i}.example.com", "TXT", self.explanation())
        for name in ("*x.example.com", "%x y.example.com"):
            self.add(name, "A", "127.0.0.2")

    def explanation(self):
        return self.some([(6, "%{i} is not allowed for %{s} by %{d}"), (3, "See http://example.com/?s=%{S}&i=%{C}&r=%{r}&t=%{t}"), (2, "%{p} %{h} %{v}%_%%"),
                          (1, "%{x} no"), (1, "50% off"), (1, "plain. text."), (0.5, "tab\tin it"), (0.5, "\u00e9"), (1, "%{s}. " * 12)])

    # ---- records ----

    def record(self, name):
        terms = [self.term() for _ in range(self.some([(1, 0), (4, 1), (6, 2), (6, 3), (4, 4), (2, 6), (1, 12)]))]
        if self.chance(0.1):
            terms.append("exp=" + self.some([(10, f"exp{self.r.randrange(3)}.example.com"), (1, self.spec())]))
            self.r.shuffle(terms)
        if self.chance(0.6):
            terms.append(self.r.choice(["-all", "-all", "~all", "?all", "+all", "all", "-ALL"]))
        if self.chance(0.15):
            terms.insert(self.r.randrange(len(terms) + 1), self.some([(8, "redirect="), (1, "Redirect="), (0.3, "REDIRECT=")]) + self.target(INCLUDES))
        if self.chance(0.06):
            terms.insert(self.r.randrange(len(terms) + 1), self.r.choice(BROKEN))
        version = self.some([(30, "v=spf1"), (1, "V=SPF1"), (0.3, "v=spf10"), (0.3, "v=spf1\t")])
        text = " ".join([version] + terms).replace(" ", "  " if self.chance(0.03) else " ") + (" " if self.chance(0.05) else "")
        if self.chance(0.01):
            text = text.replace("e", "\u00e9", 1)
        if self.chance(0.1) and len(text) > 4:
            at = self.r.randrange(1, len(text))
            return [text[:at], text[at:]]
        return text

    def term(self):
        q = self.some([(8, ""), (1, "+"), (2, "-"), (2, "~"), (2, "?")])
        kind = self.some([(5, "ip4"), (3, "ip6"), (5, "a"), (4, "mx"), (5, "include"), (2, "ptr"), (3, "exists"), (0.7, "modifier"), (0.3, "all")])
        name = kind.upper() if self.chance(0.05) else kind
        if kind == "all":
            return q + name
        if kind == "modifier":
            return self.r.choice(["foo=bar", "x-y=%{d}", "moo.cow_1=%{p}", "default=fail", "foo=", "v=spf1", "foo=%%", "foo=%{l1r+-}"])
        if kind == "ip4":
            return f"{q}{name}:{self.r.choice(ADDRESSES4 + ['198.51.100.7', '0.0.0.0'])}{self.some([(6, ''), (3, f'/{self.r.randrange(33)}')])}"
        if kind == "ip6":
            return f"{q}{name}:{self.r.choice(ADDRESSES6 + ['2001:DB8:1::', '::ffff:192.0.2.1', '::'])}{self.some([(6, ''), (3, f'/{self.r.randrange(129)}')])}"
        if kind in ("a", "mx"):
            cidr = self.some([(10, ""), (2, f"/{self.r.randrange(33)}"), (1, f"//{self.r.randrange(129)}"), (1, f"/{self.r.randrange(33)}//{self.r.randrange(129)}")])
            return q + name + self.some([(3, ""), (5, ":" + self.target(HOSTS if kind == "a" else DOMAINS))]) + cidr
        if kind == "ptr":
            return q + name + self.some([(3, ""), (3, ":" + self.target(DOMAINS + ["example.com"]))])
        return q + name + ":" + self.target(INCLUDES if kind == "include" else HOSTS)

    def target(self, names):
        return self.some([(12, self.r.choice(names)), (1, self.r.choice(NOWHERE)), (0.5, self.r.choice(names) + "."), (3, self.spec()), (0.5, self.r.choice(names).upper())])

    def spec(self):
        macros = "".join(self.macro() for _ in range(self.r.randrange(1, 3)))
        return self.some([(4, f"{macros}.example.com"), (2, macros), (2, f"inc{self.r.randrange(6)}.%{{o1}}"), (1, "%%x%_y.example.com"), (1, "*x.example.com"),
                          (1, "%{d}"), (1, "%{h}"), (0.5, ".".join(["%{s}"] * 12) + ".example.com"), (0.3, "x" * 64 + ".example.com"), (0.2, "a..example.com")])

    def macro(self):
        letter = self.r.choice(LETTERS)
        return "%{" + self.some([(5, letter), (1, letter.upper())]) + self.some([(6, ""), (2, str(self.r.randrange(1, 5))), (0.1, "128")]) + \
            self.some([(6, ""), (3, "r"), (0.3, "R")]) + self.some([(6, ""), (1, "-"), (1, "+-"), (0.5, "."), (0.3, "/_=,")]) + "}" + self.r.choice(["", "", "."])

    def table(self):
        """The rows as pyspf's driver takes them."""
        table = {}
        for name, kind, value in self.rows:
            table.setdefault((name.lower(), kind), []).append(convert(kind, value))
        return table


def convert(kind, value):
    if kind == "TIMEOUT":
        return "TIMEOUT"
    if kind == "MX":
        return int(value[0]), value[1]
    if kind == "TXT":
        return [text.encode("latin-1") for text in (value if isinstance(value, list) else [value])]
    return value


def reverse(address):
    import ipaddress
    return ipaddress.ip_address(address).reverse_pointer
