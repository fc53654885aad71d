"""What the pages refer to is there: files, headings, modules."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:engine|server|client_web|trt_build|tests|docs)/[\w./]+)`")
RUN = re.compile(r"python -m ((?:engine|server|trt_build|tests|docs)\.?[\w.]*)")


def anchors(page: Path) -> set[str]:
    """What GitHub calls the page's headings: lower case, hyphens for spaces, nothing but words and hyphens."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestPages:
    def test_link_to_what_is_there(self, page: Path) -> None:
        for link in LINK.findall(page.read_text()):
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), f"{link}: no such file"
            assert not anchor or anchor in anchors(target), f"{link}: no such heading"

    def test_name_files_that_exist(self, page: Path) -> None:
        missing = [name for name in NAMED.findall(page.read_text()) if not (ROOT / name).exists()]
        assert not missing

    def test_run_modules_that_exist(self, page: Path) -> None:
        for module in RUN.findall(page.read_text()):
            path = ROOT.joinpath(*module.rstrip(".").split("."))
            assert path.is_dir() or path.with_suffix(".py").exists(), f"python -m {module}"
