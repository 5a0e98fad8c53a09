"""What the documents name exists: files behind links, and paths of the tree in backquotes."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "src/spool/FORMAT.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[a-z_0-9.-]+(/[A-Za-z_0-9.-]+)+\.(?:[ch]|md|py|scn|conf|build|service|1|8)|(?:tests|tools|docs|packaging|apps)/[A-Za-z_0-9./-]+")
ROOTS = ("", "src", "apps", "tests")
BUILT = ("build/",)


def exists(path, folder):
    """As a path from the root of the tree or of a part of it, or beside the document."""
    return any((base / path).exists() for base in [folder, *(ROOT / root for root in ROOTS)])


def paths(text):
    for quoted in QUOTED.findall(re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        if PATH.fullmatch(quoted) and not quoted.startswith(BUILT) and not re.search(r"[<*{]", quoted):
            yield quoted


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_named_files_exist(document):
    text = document.read_text()
    missing = [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    missing += [path for path in paths(text) if not exists(path, document.parent)]
    assert not missing


def test_named_tests_exist():
    """ARCHITECTURE.md says which test shows an invariant; the short names it uses are files too."""
    text = (ROOT / "docs/ARCHITECTURE.md").read_text()
    names = set(re.findall(r"\btest_[a-z_0-9]+", text))
    known = {path.stem for path in (ROOT / "tests").rglob("test_*") if path.suffix in (".c", ".py")}
    scenarios = set(re.findall(r"[a-z_]+\.scn", text))
    assert names and not names - known
    assert scenarios and not scenarios - {path.name for path in (ROOT / "tests/replay").rglob("*.scn")}
