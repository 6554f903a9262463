"""Garbage collection, tuned for functions that make many objects and hardly any cycles."""

import gc

# Net allocations that start a collection; the default is 700, and 2,000 from Python 3.13 on.
_OBJECTS = 100_000


def tune_gc() -> None:
    """Exclude cold-start objects from garbage collection, and collect the rest less often.

    Called at the end of a cold start. A body of 50,000 images becomes some hundred thousand objects. With the default,
    the collector walks over all of them repeatedly, which takes more than half of the time of the validation.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS)
