"""Find a font with Korean letters for the pictures: matplotlib's own draws boxes for them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# As they are named on Linux, Windows and macOS, the most legible in small sizes first.
KOREAN_FONTS = (
    "NanumGothic", "NanumBarunGothic", "Noto Sans KR", "Noto Sans CJK KR", "Noto Sans CJK JP",
    "Pretendard", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "NanumSquare",
    "Source Han Sans KR", "Source Han Sans K", "UnDotum", "Baekmuk Dotum", "Gulim", "Dotum",
    "Batang",
)  # fmt: skip
_FALLBACK = "DejaVu Sans"  # comes with matplotlib
_SAMPLE = "한글"


def known_fonts() -> dict[str, str]:
    """Return the file of each font family that matplotlib has in its list."""
    return {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}


def korean_font(fonts: Mapping[str, str] | None = None) -> str | None:
    """Return the name of a family that can write Korean, None where there is none.

    Parameters
    ----------
    fonts
        Family names and their files; default: matplotlib's list, and then, because that list is
        kept from an earlier day, the fonts that have been installed since.
    """
    found = _first(known_fonts() if fonts is None else fonts)
    if found is None and fonts is None and _add_new_fonts():
        found = _first(known_fonts())
    return found


def lettering(family: str | None) -> AbstractContextManager[None]:
    """Draw with a font within a ``with`` block; matplotlib's settings are as before after it."""
    families = [_FALLBACK] if family is None else [family, _FALLBACK]
    return mpl.rc_context({"font.family": families, "axes.unicode_minus": False})


def _first(fonts: Mapping[str, str]) -> str | None:
    return next((name for name in KOREAN_FONTS if name in fonts and _is_korean(fonts[name])), None)


def _is_korean(path: str) -> bool:
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return False  # gone since, or broken
    return all(font.get_char_index(ord(letter)) for letter in _SAMPLE)


def _add_new_fonts() -> bool:
    """Tell matplotlib of fonts whose files are named like ours and that it does not know."""
    known = set(known_fonts().values())
    names = {name.replace(" ", "").lower() for name in KOREAN_FONTS} | {"malgun", "notosanscjk"}
    added = False
    for path in font_manager.findSystemFonts():
        plain = Path(path).stem.replace("-", "").replace(" ", "").lower()
        if path not in known and plain.removesuffix("regular") in names and _is_korean(path):
            font_manager.fontManager.addfont(path)
            added = True
    return added
