"""The domain of Retail Pulse, its use cases and its adapters, shared by the functions."""

# As in pyproject.toml, which is not deployed.
VERSION = "0.1.0"
