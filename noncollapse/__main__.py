"""The command `noncollapse`: an interrupt is one sentence from the first import on, and imports take most of the start."""

from __future__ import annotations

import sys

from noncollapse.errors import STARTS_ANEW


def main() -> int:
    """Run the command line on this process's words; returns its exit code."""
    try:
        from noncollapse.cli import main as command

        return command()
    except KeyboardInterrupt:  # before a verb runs: from there on the command line says what is kept
        if "--json" in sys.argv:
            print(f'{{"error": "{STARTS_ANEW}"}}', flush=True)
        print(f"noncollapse: {STARTS_ANEW}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
