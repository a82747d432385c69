"""The guides, word for word: each block of Python runs with weir's address and a key in place of the examples'."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test_anthropic import new_key

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
BLOCKS = [
    pytest.param(code, id=f"{guide.stem}-{number}")
    for guide in sorted(GUIDES.glob("*.md"))
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", guide.read_text(), re.M | re.S), 1)
]


assert BLOCKS, f"no guide in {GUIDES} has a block of Python"


@pytest.mark.parametrize("code", BLOCKS)
def test_block(code):
    ours = code.replace("https://weir.example.com", os.environ["WEIR_ORIGIN"]).replace("sk-weir-...", new_key())
    done = subprocess.run([sys.executable, "-c", ours], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split("\n")) - {""} == {"All done."}
