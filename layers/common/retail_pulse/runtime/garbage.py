"""Garbage collection, tuned for functions that make many objects and hardly any cycles."""

import gc

# Net allocations that start a collection; the default is 700, and 2,000 from Python 3.13 on.
_OBJECTS = 100_000


def resume_gc() -> None:
    """Start the garbage collector, which no longer walks over the objects of the cold start.

    Handlers stop it before their first import and call this at the end of the cold start. Imports make over 100,000
    objects that stay and some hundred that do not, and looking for those took up to a sixth of the cold start.
    """
    gc.freeze()
    gc.enable()


def tune_gc() -> None:
    """Start the garbage collector as `resume_gc` does, and let it collect less often.

    A body of 50,000 images becomes some hundred thousand objects. With the default, the collector walks over all of
    them repeatedly, which takes more than half of the time of the validation.
    """
    resume_gc()
    gc.set_threshold(_OBJECTS)
