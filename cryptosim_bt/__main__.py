"""``python -m cryptosim_bt``: the same as the console script ``cryptosim-bt``."""

from cryptosim_bt.cli.commands import main

if __name__ == "__main__":
    main()
