"""The relay on a file system of its own whose power is cut, for real: tests/crash/powercut says how."""
import os
import subprocess

import pytest

from support import ROOT

POWERCUT = ROOT / "tests/crash/powercut"


def reason(kind):
    """Why it cannot run here; "" if it can."""
    able = subprocess.run([POWERCUT, "--fs", kind, "--check"], capture_output=True, text=True, check=False)
    return able.stdout.strip() if able.returncode else ""


# What the machine cannot do at all is not collected; tools/check says so. Without root it is a skip.
KINDS = [kind for kind in ("ext4", "xfs") if os.geteuid() != 0 or not reason(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_power_cuts(kind):
    if os.geteuid() != 0:
        pytest.skip(reason(kind))
    result = subprocess.run([POWERCUT, "--fs", kind, "--cuts", "20"], capture_output=True, text=True, check=False, timeout=280,
                            env=dict(os.environ))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
