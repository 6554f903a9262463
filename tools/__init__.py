"""Commands of the Makefile: keys, locks, the API description, checks of a deployed stage."""
