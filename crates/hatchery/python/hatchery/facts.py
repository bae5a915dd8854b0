"""Facts that messages of numeric libraries hold: shapes, devices, memory (as Snakepit's host read them)."""

from __future__ import annotations

import re
from typing import Any, Optional


def facts(message: str) -> dict[str, Any]:
    """What can be told from an exception's message; empty for the ordinary one."""
    text = message.lower()
    for read in (_memory, _shape, _device):
        found = read(message, text)
        if found:
            return {name: value for name, value in found.items() if value is not None}
    return {}


def _shape(message: str, text: str) -> Optional[dict[str, Any]]:
    sizes = _SIZES.search(message)
    if sizes:
        a, b, dimension = map(int, sizes.groups())
        return {"category": "shape_mismatch", "expected_dim": a, "got_dim": b, "dimension": dimension}
    if "shape" not in text or not any(word in text for word in _SHAPE_WORDS):
        return None
    expected, got = _named_shape(_EXPECTED, message), _named_shape(_GOT, message)
    if expected is None or got is None:
        shapes = [_numbers(found) for found in _SHAPE.findall(message)]
        expected, got = (shapes[0], shapes[1]) if len(shapes) > 1 else (expected, got)
    return {
        "category": "shape_mismatch",
        "expected": expected,
        "got": got,
        "operation": _first(_OPERATION, message),
        **_difference(expected, got),
    }


def _difference(expected: Optional[list], got: Optional[list]) -> dict[str, int]:
    """The first dimension in which two shapes of one rank differ."""
    if expected is None or got is None or len(expected) != len(got):
        return {}
    for dimension, (a, b) in enumerate(zip(expected, got)):
        if a != b:
            return {"dimension": dimension, "expected_dim": a, "got_dim": b}
    return {}


def _memory(message: str, text: str) -> Optional[dict[str, Any]]:
    if not ("out of memory" in text or re.search(r"\boom\b|unable to allocate", text)
            or ("cuda" in text and "allocate" in text)):  # fmt: skip
        return None
    device = _first(_DEVICE, message) or _card(message) or ("cuda" if "cuda" in text else None)
    return {
        "category": "out_of_memory",
        "device": device or "cpu",
        "requested_bytes": _bytes(_REQUESTED, message),
        "available_bytes": _bytes(_AVAILABLE, message),
    }


def _device(message: str, text: str) -> Optional[dict[str, Any]]:
    if "device" not in text or not any(word in text for word in ("mismatch", "expected", "same device")):
        return None
    devices = _DEVICE.findall(message)
    if not devices:
        return None
    other = next((device for device in devices if device != devices[0]), None)
    operation = _first(_OPERATION, message)
    return {"category": "device_mismatch", "device": devices[0], "other_device": other, "operation": operation}


def _named_shape(pattern: "re.Pattern[str]", message: str) -> Optional[list[int]]:
    found = pattern.search(message)
    return _numbers(found.group(1)) if found else None


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _first(pattern: "re.Pattern[str]", message: str) -> Optional[str]:
    found = pattern.search(message)
    return found.group(1) if found else None


def _card(message: str) -> Optional[str]:
    number = _first(re.compile(r"\bGPU (\d+)"), message)
    return None if number is None else f"cuda:{number}"


def _bytes(pattern: "re.Pattern[str]", message: str) -> Optional[int]:
    found = pattern.search(message)
    if not found:
        return None
    number, unit = (group for group in found.groups() if group)
    return int(float(number) * _UNITS[unit[0].upper()])


_UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNT = r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B|bytes)\b"
_REQUESTED = re.compile(rf"allocate\s+{_AMOUNT}", re.IGNORECASE)
_AVAILABLE = re.compile(rf"(?:available|free)[:\s]+{_AMOUNT}|{_AMOUNT}\s+(?:is\s+)?(?:free|available)", re.IGNORECASE)
_DEVICE = re.compile(r"\b(cuda:\d+|cuda|mps|cpu|xpu:\d+)\b")
_SHAPE_WORDS = ("mismatch", "expected", "got", "broadcast", "aligned", "multiplied", "incompatible", "invalid for")
_SHAPE = re.compile(r"(?<=[\[(])\d[\d\s,]*(?=[\])])|\b\d+(?:x\d+)+\b")
_EXPECTED = re.compile(r"expected[^\[(]*[\[(]([\d\s,]+)[\])]", re.IGNORECASE)
_GOT = re.compile(r"\bgot[^\[(]*[\[(]([\d\s,]+)[\])]", re.IGNORECASE)
_OPERATION = re.compile(r"\b(?:in|during|for) (?:method )?(\w+)")
_SIZES = re.compile(r"tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)")
