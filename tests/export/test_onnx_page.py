"""What docs/onnx.md tells a reader to run runs, without torch and without anylead."""

import shutil
import subprocess
import sys

import pytest

from doc_pages import DOCS, blocks, run_page

PAGE = DOCS / "onnx.md"

pytestmark = pytest.mark.slow


@pytest.fixture
def reader(folders, tmp_path, monkeypatch):
    """Puts the reader where the page's files are."""
    shutil.copytree(folders["conv_transformer"], tmp_path / "runs" / "try" / "bundle")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("reader")
def test_it_prints_what_the_page_says():
    run_page(PAGE)


@pytest.mark.usefixtures("reader")
def test_it_needs_neither_torch_nor_anylead():
    (code,) = (block.code for block in blocks(PAGE) if block.language == "python")
    without = "import sys; sys.modules['torch'] = sys.modules['anylead'] = None\n"
    done = subprocess.run([sys.executable, "-c", without + code], capture_output=True, text=True, check=True)
    assert "500.0 mV" in done.stdout
