"""Which inputs does the model get? Generated, or read from files, as requested."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

CHUNK_ELEMENTS = 1 << 13

# Element types that numpy does not have, with a type of the same size.
FOREIGN_TYPES = {
    "bfloat16": "uint16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
}


class UnusableInput(Exception):  # noqa: N818 - it names what was found
    """An input that could not be made or read; `__cause__` is the original error."""

    def __init__(self, input_name: str) -> None:
        super().__init__(input_name)
        self.input_name = input_name


def warm_up(numpy: ModuleType) -> None:
    """Runs numpy's code for inputs once, so that its pages count as baseline."""
    make_elements(numpy, {"kind": "uniform", "low": 0.0, "high": 1.0}, 0, CHUNK_ELEMENTS, 0)


def make_feeds(numpy: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    """All inputs by name."""
    feeds = {}
    for position, spec in enumerate(request["inputs"]):
        try:
            value = make_value(numpy, spec, request["seed"] + position)
        except (OSError, ValueError, KeyError) as error:
            raise UnusableInput(spec["name"]) from error
        feeds[spec["name"]] = value
    return feeds


def make_value(numpy: ModuleType, spec: dict[str, Any], seed: int) -> Any:
    """One input value of any kind."""
    kind, fill = spec["kind"], spec["fill"]
    if kind == "optional" and fill["kind"] == "absent":
        return None
    if kind == "map":  # one entry, with a key of the model's type
        key = "0" if "map(string" in spec["type_text"] else 0
        return {key: "0" if spec["dtype"] == "string" else fill["low"]}
    array = make_array(numpy, spec, seed)
    return [array] if kind == "sequence" or "seq(" in spec["type_text"] else array


def make_array(numpy: ModuleType, spec: dict[str, Any], seed: int) -> Any:
    """A numpy array of the given type and shape."""
    fill, shape = spec["fill"], tuple(spec["shape"])
    if fill["kind"] == "file":
        return read_array(numpy, fill)
    dtype = spec["dtype"]
    if dtype == "string":
        return numpy.full(shape, "0", dtype=object)
    storage = FOREIGN_TYPES.get(dtype, dtype)
    array = numpy.empty(shape, dtype=storage)
    if dtype in FOREIGN_TYPES:
        array.fill(0)  # the bits of 0.0 in all these types
        return array
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK_ELEMENTS):
        part = flat[start : start + CHUNK_ELEMENTS]
        part[...] = make_elements(numpy, fill, start, part.size, seed)
    return array


def make_elements(
    numpy: ModuleType, fill: dict[str, Any], start: int, count: int, seed: int
) -> Any:
    """Elements from number `start` on: the same for the same seed on every machine.

    A hash of the index needs only one chunk of memory, and not the import of a
    random-number library (several MiB).
    Source: the finaliser of MurmurHash3, 32 bits.
    """
    low, high = fill["low"], fill["high"]
    if fill["kind"] == "constant":
        return numpy.full(count, low)
    bits = numpy.arange(start, start + count, dtype=numpy.uint32)
    bits += numpy.uint32((seed * 0x9E3779B9 + 0x7F4A7C15) & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits ^= bits >> numpy.uint32(shift)
        bits *= numpy.uint32(factor)
    bits ^= bits >> numpy.uint32(16)
    if fill["kind"] == "integers":
        span = int(high) - int(low) + 1
        return int(low) + (bits.astype(numpy.int64) * span >> 32)
    unit = (bits >> numpy.uint32(8)).astype(numpy.float64) / (1 << 24)
    return low + unit * (high - low)


def read_array(numpy: ModuleType, fill: dict[str, Any]) -> Any:
    """The array in a .npy file or in one member of a .npz file, without pickles."""
    loaded = numpy.load(fill["path"], allow_pickle=False)
    if fill.get("member") is None:
        return loaded
    with loaded:
        return loaded[fill["member"]]
