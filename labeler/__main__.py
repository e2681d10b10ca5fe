"""``python -m labeler``."""

from __future__ import annotations

from labeler.cli import main

if __name__ == "__main__":
    main()
