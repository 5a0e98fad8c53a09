"""pyspf against DNS from a table: as it comes, and with single behaviours corrected after RFC 7208.

Where the evaluator and pyspf disagree, the correction that removes the difference says what it is about, and the clause
who is right. Nothing here corrects towards the evaluator: each correction is what its clause says.
"""
import re
import sys

import spf

LITERAL, SPACES = r"[\x21-\x24\x26-\x7e]", r"[\x20-\x24\x26-\x7e]"
MACRO = r"%(?:%|_|-|\{[slodiphcrtvSLODIPHCRTV](?:0*[1-9][0-9]*)?[rR]?[.\-+,/_=]*\})"
STRING = re.compile(f"(?:{LITERAL}|{MACRO})*")
EXPLANATION = re.compile(f"(?:{SPACES}|{MACRO})*")
NEVER = re.compile(r"(?!)")
PLAIN = {"%%": "%", "%_": " ", "%-": "%20"}
KNOWN = re.compile(r"(?i)^(redirect|exp)=")
UNKNOWN = re.compile(r"^([A-Za-z][A-Za-z0-9_.-]*)=")

# What the corrections are about, and where RFC 7208 says so.
CORRECTIONS = {
    "syntax": "7.1: macros as in the grammar: %{d0}, %{d!}, an open brace or %x after %% are errors, %% at the end is none",
    "parts": "7.3: parts are joined with \".\" for every letter; 12: \"r\" in either case",
    "length": "7.3: labels are removed until the name fits; explanations are not cut",
    "redirect": "4.6.4: a redirect counts when it is evaluated, not when the record is read",
    "lazy": "4.6.2, 5.2: what is not evaluated is not expanded, not asked for, and no trivial recursion",
    "ptr": "5.5: an error with a PTR name or its address is no match, not temperror; 7.3: %{p} is \"unknown\" then",
    "validated": "7.3: %{p} prefers the current domain in any case, also within an include",
    "modifiers": "12: names of modifiers in any case; 6: only redirect and exp must not be there twice",
    "domain": "4.3: a domain of one label is none, a dot at the end is allowed",
    "explanation": "6.2, 12: an explanation with other octets than macro-string and SP is not used",
    "sender": "4.3: postmaster stands for an absent local part in %{s} too",
}


class Lazy(str):
    """A domain-spec that is checked but not yet expanded."""
    spec, query = "", None

    def lower(self):
        return self.query.force(self).lower()


class Explanation(str):
    """The target of exp=, and the domain it is of."""
    spec = domain = ""


class Dots(dict):
    """Whatever parted the parts, a dot joins them."""

    def get(self, key, default=None):
        return "."


class Query(spf.query):
    """A pyspf query with some corrections."""

    def __init__(self, fixes, **arguments):
        super().__init__(**arguments)
        self.fixes, self.levels, self.known = fixes, [], None
        if "domain" in fixes and self.d.endswith("."):
            self.d = self.o = self.d[:-1]
        if "sender" in fixes:
            self.s = f"{self.l}@{self.o}"

    # ---- expansion ----

    def expand(self, s, stripdot=True):
        if "syntax" in self.fixes and not (STRING if stripdot else EXPLANATION).fullmatch(s):
            raise spf.PermError("macro syntax", s)
        if "lazy" in self.fixes and sys._getframe(1).f_code.co_name == "check0":
            return self.without_lookups(s) # an unknown modifier
        if "length" in self.fixes:
            return self.expand_long(s, stripdot)
        return super().expand(s, stripdot)

    def expand_long(self, s, stripdot):
        if spf.RE_INVALID_MACRO.search(s):
            raise spf.PermError("invalid macro", s)
        result, end = "", 0
        for macro in spf.RE_CHAR.finditer(s):
            text = macro.group()
            if stripdot and text[2:3].lower() in tuple("crt"):
                raise spf.PermError("in explanations only", text)
            result += s[end:macro.start()] + (PLAIN.get(text) or super().expand(text, False))
            end = macro.end()
        result += s[end:]
        if not stripdot:
            return result
        result = result[:-1] if result.endswith(".") else result
        while len(result) > 253 and "." in result:
            result = result.partition(".")[2]
        return result

    def without_lookups(self, s):
        self.getp, keep, self.p = (lambda: "unknown"), self.p, "unknown"
        try:
            return Query.expand(self, s)
        finally:
            del self.getp
            self.p = keep

    def expand_domain(self, arg):
        if "lazy" not in self.fixes:
            return super().expand_domain(arg)
        if spf.RE_TOPLAB.split(arg)[-1]:
            raise spf.PermError("Invalid domain found (use FQDN)", arg)
        self.without_lookups(arg)
        lazy = Lazy(f"<{arg}>" if arg else "")
        lazy.spec, lazy.query = arg, self
        return lazy

    def force(self, name):
        return self.expand(name.spec) if isinstance(name, Lazy) else name

    # ---- lookups ----

    def dns_spf(self, domain):
        domain = self.force(domain)
        if "domain" in self.fixes and "." not in domain:
            return None
        return super().dns_spf(domain)

    def dns_a(self, domainname, A="A"):
        return super().dns_a(self.force(domainname), A)

    def dns_mx(self, domainname):
        return super().dns_mx(self.force(domainname))

    def validated_ptrs(self):
        if "validated" not in self.fixes:
            return self.look_up_ptrs()
        if self.known is None:
            self.known = [name.lower() for name in self.look_up_ptrs()]
        return self.known

    def look_up_ptrs(self):
        if "ptr" not in self.fixes:
            return super().validated_ptrs()
        try:
            names = self.dns_ptr(self.i)[:spf.MAX_PTR]
        except spf.TempError:
            return []
        return [name for name in names if self.is_valid(name)]

    def is_valid(self, name):
        try:
            return self.cidrmatch(self.dns_a(name, self.A), self.cidrmax)
        except spf.TempError:
            return False

    def getp(self):
        if "validated" not in self.fixes:
            return super().getp()
        names, domain = self.validated_ptrs(), self.d.lower()
        best = [n for n in names if n == domain] + [n for n in names if n.endswith("." + domain)] + names
        self.p = best[0] if best else "unknown"
        return self.p

    def check_lookups(self):
        self.known = None # each term pays for itself
        caller = sys._getframe(1)
        if "redirect" in self.fixes and caller.f_code.co_name == "check0" and "result" not in caller.f_locals:
            return # a redirect was read; check1 counts it
        super().check_lookups()

    # ---- records ----

    def check1(self, spf, domain, recursion):
        followed = self.levels and self.levels[-1] == recursion
        if "redirect" in self.fixes and followed:
            self.check_lookups()
        domain = self.force(domain)
        self.levels.append(recursion)
        try:
            return super().check1(spf, domain, recursion)
        finally:
            self.levels.pop()

    def check0(self, spf, recursion):
        if "modifiers" in self.fixes and spf:
            terms = [KNOWN.sub(lambda m: m.group(0).lower(), term) for term in spf.split(" ")]
            spf = " ".join([terms[0]] + [term if KNOWN.match(term) else UNKNOWN.sub(rf"x.{i}=", term)
                                         for i, term in enumerate(terms[1:])])
        return super().check0(spf, recursion)

    def get_explanation(self, spec):
        if "lazy" not in self.fixes:
            return self.explain(spec)
        later = Explanation(spec)
        later.spec, later.domain = spec, self.d
        return later

    def explain(self, spec):
        if "explanation" in self.fixes:
            texts = self.dns_txt(spec, ignore_void=True)
            if len(texts) != 1 or not EXPLANATION.fullmatch(texts[0].decode("latin-1")):
                return None
        return super().get_explanation(spec)

    def verdict(self):
        """(result, explanation or "")"""
        result, _, text = self.check()
        if result != "fail":
            return result, ""
        if isinstance(text, Explanation):
            self.d, self.void_lookups = text.domain, -1000 # the result stands
            try:
                text = self.explain(self.force(text.spec))
            except (spf.PermError, spf.TempError):
                text = None
        return result, "" if text in (None, spf.EXPLANATIONS["fail"]) else text


def check(fixes, table, ip, sender, helo, receiver, now):
    """table: {(name, type): [values]} with lower-case names; (name, None): a name that exists; a value that is an exception is
    raised. Answers come as pyspf's own driver over dnspython gives them: CNAMEs are followed."""

    def lookup(name, kind, *_):
        asked = name = name.lower().rstrip(".")
        for _ in range(10):
            target = table.get((name, "CNAME"))
            if not target:
                break
            name = target[0].lower()
        else:
            raise spf.TempError("a chain of CNAMEs without an end")
        values = table.get((name, kind), table.get((name, "TIMEOUT"), []))
        if values == ["TIMEOUT"]:
            raise spf.TempError("time-out")
        return [((asked, kind), value) for value in values]

    kept = spf.DNSLookup, spf.JOINERS, spf.RE_ARGS, spf.RE_INVALID_MACRO
    spf.DNSLookup = lookup
    if "parts" in fixes:
        spf.JOINERS, spf.RE_ARGS = Dots(), re.compile(r"([0-9]*)([rR]?)([^0-9a-zA-Z]*)")
    if "syntax" in fixes:
        spf.RE_INVALID_MACRO = NEVER
    try:
        query = Query(fixes, i=ip, s=sender, h=helo, receiver=receiver)
        query.t = str(now)
        return query.verdict() + (query.lookups, query.void_lookups)
    finally:
        spf.DNSLookup, spf.JOINERS, spf.RE_ARGS, spf.RE_INVALID_MACRO = kept
