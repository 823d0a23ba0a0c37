"""``python -m cryptosim_bt``: the same as the console script ``cryptosim-bt``."""

import sys
from pathlib import Path

from cryptosim_bt.cli.signals import ending_on_signals

# Commands for a finished run, which may be a stranger's: nothing is imported from where they stand.
_READERS = {"report", "compare", "verify", "plot"}


def main() -> None:
    """Run the command line."""
    here, home = Path(sys.path[0] or ".").resolve(), Path(__file__).resolve().parents[1]
    if _READERS & {*sys.argv[1:2]} and here == Path.cwd() != home:
        del sys.path[0]
    with ending_on_signals():
        # Loading takes its time; a signal may come in it as well.
        from cryptosim_bt.cli.commands import main as run_commands

        run_commands()


if __name__ == "__main__":
    main()
