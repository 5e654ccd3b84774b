"""Every Python block of the documents runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCS = Path(os.environ.get("PINFOLD_DOCS") or REPOSITORY)
FILES = sorted(DOCS.glob("*.md")) if "PINFOLD_DOCS" in os.environ else [
    REPOSITORY / "docs" / "python.md",
    REPOSITORY / "bindings-python" / "README.md",
    REPOSITORY / "README.md",
]
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_blocks_of_a_document(file, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", file.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    # One program, in the order of the page, whose main module is a file.
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example(file):
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
