#!/usr/bin/python3
"""Runs suites of SPF cases (YAML as openspf.org wrote them) against the evaluator.

    suite.py BINARY FILE [DEVIATIONS]

DEVIATIONS: lines "SCENARIO/TEST RESULT" of cases whose expectation is not RFC 7208's; the result must then be RESULT. An
absent FILE is a skip (exit status 77); what RFC 7208 says about each deviation is in docs/rfc-coverage.md.
"""
import pathlib
import sys

import yaml

from spf_line import Evaluator

SKIPPED = 77


class Loader(yaml.SafeLoader):
    """As SafeLoader, but a time like 1:2:3 and dates stay text."""


Loader.yaml_implicit_resolvers = {
    key: [(tag, regexp) for tag, regexp in rows if tag.rsplit(":", 1)[1] in ("int", "null", "bool") and key not in "~"]
    for key, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def rows_of(zonedata):
    """SPF stands for TXT too where a name has no TXT of its own; "TXT: NONE" is none."""
    for name, records in (zonedata or {}).items():
        pairs, timeout = [], False
        for record in records:
            if isinstance(record, str) or set(record) & {"TIMEOUT", "SERVFAIL"}:
                timeout = True
            else:
                pairs += record.items()
        if not any(kind == "TXT" for kind, value in pairs):
            pairs = [("TXT" if kind == "SPF" else kind, value) for kind, value in pairs]
        empty = True
        for kind, value in pairs:
            if kind != "SPF" and value != "NONE" and not (kind == "CNAME" and not value):
                empty = False
                yield str(name), kind, value
        if timeout:
            yield str(name), "TIMEOUT", None
        elif empty:
            yield str(name), "NODATA", None


def verdict(evaluator, case, deviation):
    """Why the case fails, or None."""
    got = evaluator.check(case["host"], str(case.get("mailfrom") or ""), str(case.get("helo") or ""), case.get("receiver", ""))
    wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
    if deviation:
        if got["result"] in wanted:
            return "is listed as a deviation, but agrees"
        wanted = [deviation]
    if got["result"] not in wanted:
        return f"{got['result']} instead of {' or '.join(wanted)} ({got['problem']})"
    explanation = case.get("explanation")
    if explanation and not deviation and got["explanation"] != explanation.replace("DEFAULT", ""):
        return f"explained as \"{got['explanation']}\" instead of \"{explanation}\""
    return None


def read_deviations(path):
    if not path:
        return {}
    lines = (line.split("#")[0].split() for line in pathlib.Path(path).read_text().splitlines())
    return {words[0]: words[1] for words in lines if words}


def main(binary, path, deviations=None):
    if not pathlib.Path(path).exists():
        print(f"{path} is not there")
        return SKIPPED
    listed = read_deviations(deviations)
    evaluator = Evaluator(binary)
    passed = deviating = failed = 0
    for number, scenario in enumerate(yaml.load_all(pathlib.Path(path).read_text(), Loader), 1):
        evaluator.zone(rows_of(scenario.get("zonedata")))
        for name, case in scenario["tests"].items():
            key = f"{number}/{name}"
            why = verdict(evaluator, case, listed.get(key))
            if why:
                failed += 1
                print(f"FAILED {key}: {why}")
            elif listed.pop(key, None):
                deviating += 1
            else:
                passed += 1
    for key in listed:
        failed += 1
        print(f"FAILED {key}: is listed as a deviation, but there is no such case or it fails otherwise")
    print(f"{pathlib.Path(path).name}: {passed} passed, {deviating} deviate as listed, {failed} failed, {passed + deviating + failed} in all")
    return 1 if failed or evaluator.close() else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
