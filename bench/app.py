"""The app that the benchmark calls: the same two tools as the floor's."""

from hatchery import tool


@tool
def echo(id: int, text: str, values: list):
    return {"id": id, "text": text, "values": values}


@tool
def ticks(n: int):
    for i in range(n):
        yield {"id": i, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8]}
