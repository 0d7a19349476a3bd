"""The install texts of the pages, before and after the first release: ``python -m tests.support.published`` rewrites them.

Until hotspare is published, the pages say so and install from a clone. Run once, in the commit of the first release, from the root of
the repository. `tests.support.release` refuses a release whose pages still say so.
"""

from __future__ import annotations

import re

from tests.support.installs import DISTRIBUTIONS, PAGES, ROOT

TEXTS = (*PAGES, "docs/tutorial.md", "docs/ko/tutorial.md")
_SENTENCES = (
    "hotspare is not published yet: install it from a clone of its repository.",
    "아직 공개되지 않았으므로 저장소를 클론한 폴더에서 설치합니다.",
)
_INSTALL = re.compile(r"^pip install .*\./(?:core|adapters)\b.*$", re.M)


def published(text: str) -> str:
    """The page's text without the sentence, and with the distributions' names in place of the clone's paths."""
    for sentence in _SENTENCES:
        text = text.replace(f" {sentence}", "").replace(f"{sentence}\n\n", "")
    return _INSTALL.sub(lambda line: _names(line[0]), text)


def outdated() -> list[str]:
    """The pages that say that hotspare is not published, or install it from a clone."""
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in TEXTS}
    return [page for page, text in texts.items() if published(text) != text]


def _names(line: str) -> str:
    """`./core ./adapters/litellm` is `litellm-hotspare`, which needs `hotspare` itself."""
    line = line.replace("./core ./", "./")
    for path, name in DISTRIBUTIONS.items():
        line = line.replace(path, name)
    return line


def main() -> None:
    """Rewrite the pages, and print their names."""
    for page in outdated():
        path = ROOT / page
        path.write_text(published(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(page)


if __name__ == "__main__":
    main()
