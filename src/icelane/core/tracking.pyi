from typing import TypeVar

T = TypeVar("T")

def untracked(value: T) -> T: ...
