import os

from hatchery import tool


@tool
def meet(folder: str):
    """Waits until all workers are here."""
    with open(os.path.join(folder, "arrived"), "w") as arrived:
        arrived.write("%d\n" % os.getpid())
    open(os.path.join(folder, "gate")).close()
