"""The domain of Retail Pulse and its adapters, shared by the functions."""
