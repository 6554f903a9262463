"""The commands, each a function that typer calls."""
