"""`tidegate spf` over master files (--dns): what the command line says, and that nobody else is asked."""
import json
import subprocess

import pytest

from support import BIN

TIDEGATE = BIN / "apps/tidegate/tidegate"

EXAMPLE = """$TTL 1h
@ IN SOA ns1 hostmaster ( 2026112301 ; serial
    1h 15m 2w 5m )
  NS ns1
  TXT ( "v=spf1 include:_spf.pro"
        "vider.example ip4:192.0.2.0/24 -all" ) ; one record, cut within a word
  TXT "a;b"
*\t300\tTXT\t"v=spf1 a -all"
*\tA\t198.51.100.7
mail CNAME www.other.example.
$INCLUDE more
"""


@pytest.fixture
def zones(folder):
    (folder / "zones").mkdir()
    (folder / "zones/example.com.db").write_text(EXAMPLE)
    (folder / "zones/more").write_bytes(b"sub TXT \"v=spf1 redirect=example.com\"\r\n")
    (folder / "zones/provider.zone").write_text('$ORIGIN provider.example.\n_spf TXT "v=spf1 ip6:2001:db8::/32 ~all"\n'
                                                'www.other.example. 60 TXT "v=spf1 +all"\n')
    return folder / "zones"


def run(*arguments, status=0):
    done = subprocess.run([TIDEGATE, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status, done.stderr
    return done


def check(zones, address, domain, *more):
    return json.loads(run("spf", "check", address, domain, "--dns", zones, "--json", *more).stdout)


@pytest.mark.parametrize("address, domain, result, matched, lookups, voids", [
    ("192.0.2.77", "example.com", "pass", "ip4:192.0.2.0/24", 1, 0),
    ("2001:db8::1", "example.com", "pass", "include:_spf.provider.example", 1, 0),
    ("203.0.113.1", "example.com", "fail", "-all", 1, 0),
    ("198.51.100.7", "any.thing.example.com", "pass", "a", 1, 0),
    ("2001:db9::1", "x.example.com", "fail", "-all", 1, 1),
    ("192.0.2.1", "sub.example.com", "pass", "ip4:192.0.2.0/24", 2, 0),
    ("203.0.113.1", "mail.example.com", "pass", "+all", 0, 0),
    ("203.0.113.1", "absent.example", "none", None, 0, 0),
])
def test_check(zones, address, domain, result, matched, lookups, voids):
    answer = check(zones, address, domain)
    assert (answer["result"], answer["matched"], answer["lookups"], answer["voids"]) == (result, matched, lookups, voids)


def test_case_and_sender(zones):
    assert check(zones, "192.0.2.1", "EXAMPLE.Com", "--sender", "jo@Example.COM")["result"] == "pass"


def test_show(zones):
    tree = json.loads(run("spf", "show", "example.com", "--dns", zones, "--json").stdout)
    assert tree["spf"]["lookups"] == 1
    assert "2001:db8::/32" in json.dumps(tree)
    assert "include:_spf.provider.example\n" in run("spf", "show", "example.com", "--dns", zones).stdout


def test_one_file(zones):
    """Nothing else is known then: the include leads nowhere, and that is permerror."""
    answer = check(zones / "example.com.db", "192.0.2.1", "example.com")
    assert answer["result"] == "permerror"
    assert "_spf.provider.example" in answer["problem"]


def test_nobody_is_asked(zones):
    """Not even the configuration, which names the resolver, is read."""
    assert check(zones, "192.0.2.1", "example.com", "--config", zones / "none")["result"] == "pass"
    run("spf", "check", "192.0.2.1", "example.com", "--config", zones / "none", status=1)


def test_errors(zones):
    (zones / "bad.zone").write_text("@ TXT (\n x\n")
    assert "/bad.zone:1:7: \"(\" without \")\"" in run("spf", "show", "example.com", "--dns", zones, status=1).stderr
    (zones / "bad.zone").write_text("$ORIGIN example.com.\n@ 1 SOA a b 1 2 3 4 5\n")
    assert "the zone example.com is also in" in run("spf", "show", "x", "--dns", zones, status=1).stderr
    assert "No such file" in run("spf", "show", "x", "--dns", zones / "none", status=1).stderr
    run("status", "--dns", zones, status=3)
