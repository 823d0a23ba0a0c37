"""``python -m cryptosim_bt``: the same as the console script ``cryptosim-bt``."""

from cryptosim_bt.cli.signals import ending_on_signals


def main() -> None:
    """Run the command line."""
    with ending_on_signals():
        # Loading takes its time; a signal may come in it as well.
        from cryptosim_bt.cli.commands import main as run_commands

        run_commands()


if __name__ == "__main__":
    main()
