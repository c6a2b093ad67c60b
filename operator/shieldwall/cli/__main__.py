"""``python -m shieldwall.cli``: the command without an installed script."""

from shieldwall.cli.main import main

main()
