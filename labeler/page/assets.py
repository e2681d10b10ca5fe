"""The page's own scripts and styles: plain ES modules, served as they are under a name that changes with them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeler.ids import digest_of

FOLDER = Path(__file__).with_name("assets")
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
SHEETS = {"compare.js": ("sides.css",), "review.js": ("sides.css", "review.css"), "insights.js": ("insights.css",)}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, packed once: every browser takes gzip."""

    packed: bytes
    media_type: str


def packed(body: bytes) -> bytes:
    """As gzip, the same bytes every time."""
    return gzip.compress(body, mtime=0)


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by name, below one path that holds their digest: a browser may keep them for ever.

    ``base`` is relative to the page, so that a proxy may serve it below a path of its own.
    """

    files: Mapping[str, Asset]
    base: str

    @staticmethod
    def read(folder: Path = FOLDER) -> Assets:
        """Read the files once; they do not change while the page is served."""
        paths = sorted(path for path in folder.iterdir() if path.suffix in KINDS)
        files = {path.name: Asset(packed(path.read_bytes()), KINDS[path.suffix]) for path in paths}
        digest = digest_of(part for path in paths for part in (path.name.encode(), path.read_bytes()))
        return Assets(files, f"page/{digest[:12]}")

    def head(self, settings: Mapping[str, Any], entry: str, up: str) -> str:
        """What belongs at the very top of the document: settings, styles and the script, before Gradio's own.

        ``entry`` is the script's name, ``up`` leads from the document to the root.

        Gradio adds its ``head`` argument from JavaScript, too late to say which language the page speaks.
        """
        known = json.dumps(settings).replace("<", "\\u003c")
        base = f"{up}{self.base}"
        sheets = [name for name in ("page.css", *SHEETS.get(entry, ())) if name in self.files]
        styles = "".join(f'<link rel="stylesheet" href="{base}/{name}">' for name in sheets)
        modules = [name for name in self.files if name.endswith(".js")]
        preloads = "".join(f'<link rel="modulepreload" href="{base}/{name}">' for name in modules)
        return (
            f'<script type="application/json" id="labeler-settings">{known}</script>'
            f"{styles}"
            f'<link rel="icon" type="image/svg+xml" href="{base}/mark.svg">'
            f'<script type="module" src="{base}/{entry}"></script>{preloads}'
        )
