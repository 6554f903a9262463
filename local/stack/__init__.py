"""The embedded stack as processes: the command line, the process that it supervises, and their messages."""
