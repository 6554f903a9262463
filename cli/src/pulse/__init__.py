"""The command line of Retail Pulse, and the client of its API that the rest of the project uses too."""

__version__ = "0.1.0"
