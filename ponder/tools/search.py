"""Search in a folder of texts: the paragraphs that share the rarest words with a question (BM25, by bm25s)."""

from pathlib import Path
from typing import Any

import numpy as np

from ponder.errors import DataError
from ponder.files import expand_path

__all__ = ["ENDINGS", "Search"]

ENDINGS = (".txt", ".md")
_WORDS = r"(?u)[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+"
"""Words; of Chinese every sign."""


class Search:
    """An index of the paragraphs of all texts of a folder, its subfolders included. DataError where there are none."""

    def __init__(self, folder: str, results: int) -> None:
        try:
            import bm25s
        except ImportError:
            raise DataError(
                "The tool 'search' needs bm25s, which is not installed: pip install 'ponder[search]'."
            ) from None
        root = expand_path(folder)
        files = sorted(path for path in root.rglob("*") if path.suffix in ENDINGS and path.is_file())
        self._paragraphs = [
            (path.relative_to(root).as_posix(), paragraph)
            for path in files
            for paragraph in map(str.strip, _read(path).replace("\r\n", "\n").split("\n\n"))
            if paragraph
        ]
        if not self._paragraphs:
            raise DataError(
                f"The folder {folder!r}, which `search` looks through, has no text in files that end in "
                f"{' or '.join(ENDINGS)}. Expected some: one fact or section per paragraph."
            )
        self._results = results
        self._tokenize: Any = bm25s.tokenize
        self._index: Any = bm25s.BM25()
        self._index.index(self._tokens([paragraph for _, paragraph in self._paragraphs]), show_progress=False)

    def __call__(self, query: str) -> str:
        """The paragraphs that fit best, the best first, each after the name of its file."""
        (words,) = self._tokens([query])
        known = [word for word in words if word in self._index.vocab_dict]
        if not known:
            return "nothing found: none of these words occurs in the texts"
        scores = self._index.get_scores(known)
        best = np.argsort(-scores, kind="stable")[: self._results]
        found = [self._paragraphs[place] for place in best.tolist() if scores[place] > 0]
        return "\n\n".join(f"[{name}]\n{paragraph}" for name, paragraph in found)

    def _tokens(self, texts: list[str]) -> list[list[str]]:
        found: list[list[str]] = self._tokenize(
            texts, token_pattern=_WORDS, stopwords=None, return_ids=False, show_progress=False
        )
        return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r}, which `search` looks through, is no text in UTF-8 ({error}).") from None
