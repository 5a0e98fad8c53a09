#!/usr/bin/python3
"""Equal results of the evaluator and pyspf on generated records.

    differential.py BINARY [COUNT [SEED]]

Results, explanations and costs are compared. Each case is a random DNS and a question (generate.py). Where the results differ, pyspf is asked again with single
corrections after RFC 7208 (pyspf.py); what no correction explains is a failure. Prints each class with its clause.
"""
import collections
import sys

try:
    from pyspf import CORRECTIONS, check
except ImportError:
    check = None
from generate import Case
from spf_line import Evaluator

SKIPPED, SHOWN, NOW = 77, 5, 1700000000


def ours(evaluator, case):
    evaluator.zone(case.rows)
    got = evaluator.check(case.ip, case.sender, case.helo, "relay.example", NOW)
    return got["result"], got["explanation"], got


def theirs(case, fixes):
    return check(fixes, case.table(), case.ip, case.sender, case.helo, "relay.example", NOW)[:2]


def same_cost(case, details):
    """Lookups and voids, against pyspf with all corrections; where it asks nothing after the result, nor for a first record that
    is not there."""
    if details["result"] not in ("pass", "softfail", "neutral", "temperror"):
        return True
    got = check(set(CORRECTIONS), case.table(), case.ip, case.sender, case.helo, "relay.example", NOW)
    return got[2:] == (details["lookups"], details["voids"])


def classify(case, wanted):
    """The corrections that make pyspf agree: one, a pair, or all; None if not even those do."""
    names = list(CORRECTIONS)
    for name in names:
        if theirs(case, {name}) == wanted:
            return name
    for i, name in enumerate(names):
        for other in names[i + 1:]:
            if theirs(case, {name, other}) == wanted:
                return f"{name}+{other}"
    return "several" if theirs(case, set(names)) == wanted else None


def main(binary, count="2000", seed="7208"):
    if not check:
        print("python3-spf is not installed")
        return SKIPPED
    evaluator = Evaluator(binary)
    results, classes, unexplained = collections.Counter(), collections.Counter(), 0
    for number in range(int(count)):
        case = Case(f"{seed}-{number}")
        result, explanation, details = ours(evaluator, case)
        results[result] += 1
        cost = same_cost(case, details)
        if cost and theirs(case, set()) == (result, explanation):
            classes["equal"] += 1
            continue
        kind = classify(case, (result, explanation)) if cost else None
        classes[kind or "unexplained"] += 1
        if kind is None:
            unexplained += 1
            if unexplained <= SHOWN:
                print(f"case {seed}-{number}: {case.ip} {case.sender!r} {case.helo!r}\n  ours   {result} {explanation!r} {details}\n"
                      f"  pyspf  {theirs(case, set())}, corrected {theirs(case, set(CORRECTIONS))}")
                for row in case.rows:
                    if row[1] in ("TXT", "TIMEOUT"):
                        print("   ", row)
    print(f"{count} cases:", ", ".join(f"{n} {name}" for name, n in results.most_common()))
    for kind, number in classes.most_common():
        print(f"{number:8}  {kind:24} {CORRECTIONS.get(kind, '')}")
    return 1 if unexplained or evaluator.close() else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
