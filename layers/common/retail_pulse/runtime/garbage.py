"""Python's collector of cyclic garbage, set for functions that make many objects of which hardly any are cycles."""

import gc

# Objects more than those given back until the collector looks for cycles; by default 700, in Python 3.13 2,000.
_OBJECTS = 100_000


def tune_gc() -> None:
    """Have the collector leave alone what the cold start has made, and look at the rest less often.

    Called at the end of a cold start. A body of 50,000 images becomes some hundred thousand objects, and by default the
    collector walks over all that there are again and again meanwhile: more than half of the time of validating it.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS)
