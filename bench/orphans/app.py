"""An app for hatchery; every worker loads it."""

import os
import sys
import time

from hatchery import tool

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import settle  # noqa: E402

settle.settle()


@tool
def busy():
    time.sleep(1000)


@tool
def spin():
    settle.spin()


@tool
def parent():
    """Has a child and waits for it."""
    settle.beget().wait()
