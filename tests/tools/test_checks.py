"""The checkers themselves: each rule is seen to fail on a tree that breaks it."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = "core 0\nmail 1 core\nspool 2 core\n"


def tree(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    return tmp_path


def run(tool, root):
    return subprocess.run([ROOT / "tools" / tool, root], capture_output=True, text=True, check=False)


def test_allowed_includes_pass(tmp_path):
    root = tree(tmp_path, {"docs/layers.conf": LAYERS, "src/core/a.h": "/* a */\n", "src/mail/b.c": '#include "core/a.h"\n'})
    assert run("check-layers", root).returncode == 0


def test_upward_include_fails(tmp_path):
    root = tree(tmp_path, {"docs/layers.conf": LAYERS, "src/core/a.c": '#include "mail/b.h"\n', "src/mail/b.h": "/* b */\n"})
    result = run("check-layers", root)
    assert result.returncode == 1 and "core may not include mail/b.h" in result.stdout


def test_private_header_of_another_folder_fails(tmp_path):
    root = tree(tmp_path, {"docs/layers.conf": LAYERS, "src/core/a_priv.h": "/* a */\n", "src/mail/b.c": '#include "core/a_priv.h"\n'})
    assert "is private to core" in run("check-layers", root).stdout


def test_include_cycle_fails(tmp_path):
    root = tree(tmp_path, {"docs/layers.conf": LAYERS, "src/core/a.h": '/* a */\n#include "core/b.h"\n',
                           "src/core/b.h": '/* b */\n#include "core/a.h"\n'})
    assert "include cycle" in run("check-layers", root).stdout


def test_unknown_folder_fails(tmp_path):
    root = tree(tmp_path, {"docs/layers.conf": LAYERS, "src/attic/a.c": "int x;\n"})
    assert run("check-layers", root).returncode == 1


def style_output(tmp_path, files):
    result = run("check-style", tree(tmp_path, files))
    assert result.returncode == 1
    return result.stdout


def test_banned_function_fails(tmp_path):
    assert "banned function" in style_output(tmp_path, {"src/core/a.c": "void f(char *p)\n{\n\tstrcpy(p, p);\n}\n"})


def test_banned_word_in_a_comment_passes(tmp_path):
    root = tree(tmp_path, {"src/core/a.c": "/* never strcpy(a, b) */\nint x;\n"})
    assert run("check-style", root).returncode == 0


def test_raw_heap_fails(tmp_path):
    assert "raw heap" in style_output(tmp_path, {"src/core/a.c": "void *f(void)\n{\n\treturn malloc(1);\n}\n"})


def test_long_function_fails(tmp_path):
    body = "\tx++;\n" * 120
    assert "function of" in style_output(tmp_path, {"src/core/a.c": "int x;\nvoid f(void)\n{\n" + body + "}\n"})


def test_header_that_needs_another_fails(tmp_path):
    assert "does not compile alone" in style_output(tmp_path, {"src/core/a.h": "/* a */\nstruct missing x;\n"})


def test_unfinished_work_fails(tmp_path):
    word = "TO" + "DO"
    assert "unfinished" in style_output(tmp_path, {"src/core/a.c": f"int x; /* {word} */\n"})


def test_sleeping_test_fails(tmp_path):
    call = "time.sl" + "eep(1)"
    assert "must poll" in style_output(tmp_path, {"tests/e2e/test_a.py": f"import time\n{call}\n"})
