"""The command `pulse`; also ``python -m pulse``."""

import os
import sys
import traceback

from pulse.errors import ExitCode, PulseError


def main() -> None:
    """Run the command line and exit with its code; an error is a line or two, never a traceback."""
    try:
        # Here, so that Ctrl-C during these imports ends without a traceback, too.
        from pulse.commands.app import app
        from pulse.output import show_error
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    try:
        app(prog_name="pulse")
    except PulseError as error:
        show_error(error)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # a bug must not end in a traceback, which may show the key
        if os.environ.get("PULSE_TRACEBACK"):
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"pulse has a bug: {type(error).__name__} in {place.name}, line {place.lineno}."
        show_error(PulseError(text, "please report it; with PULSE_TRACEBACK=1, the same command prints more"))
        sys.exit(ExitCode.NO_SERVICE)


if __name__ == "__main__":
    main()
