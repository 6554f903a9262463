"""Figures that the documentation quotes, and the programs that measure them."""
