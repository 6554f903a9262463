"""The AWS emulator with this project deployed into it: the settings of ministack, and the gateway to it."""
