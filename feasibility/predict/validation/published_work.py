"""How much work of each kind does a model have that a published table only names?

`profiles/model_work.csv` has convolutional networks, counted layer by layer, and
`profiles/transformers.csv` the sizes of transformers. Each also has a pattern for other names of
the network and of its larger or smaller variants.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from feasibility.paths import profiles_dir
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.validation.published_rows import PublishedRow

WORK_FILE: Final = "model_work.csv"
TRANSFORMERS_FILE: Final = "transformers.csv"


class Stage(NamedTuple):
    """Equal layers of a transformer.

    Attributes:
        tokens: Tokens of one inference; None if the operations of a row determine them.
        span: Tokens that one token attends to; None for all.
        share: Part of an inference that a row is about.
    """

    layers: float
    width: float
    feed_forward: float
    heads: float
    tokens: float | None
    span: float | None
    share: float


class Network(NamedTuple):
    """A network of the tables; either its work is counted, or it has the stages."""

    name: str
    pattern: re.Pattern[str] | None
    work: Work | None
    stages: tuple[Stage, ...]


def read_networks() -> tuple[Network, ...]:
    """The networks of both tables; transformers come first."""
    stages: dict[str, list[Mapping[str, str]]] = {}
    for line in _lines(TRANSFORMERS_FILE):
        stages.setdefault(line["model"], []).append(line)
    transformers = (
        Network(name, _pattern(lines[0]), None, tuple(map(_stage, lines)))
        for name, lines in stages.items()
    )
    counted = (
        Network(line["model"], _pattern(line), _work(line), ()) for line in _lines(WORK_FILE)
    )
    return (*transformers, *counted)


def network_of(name: str, networks: tuple[Network, ...]) -> Network | None:
    """The network with this name, else the first with a pattern that fits."""
    plain = _plain(name)
    exact = next((one for one in networks if one.name == plain), None)
    return exact or next(
        (one for one in networks if one.pattern and one.pattern.search(plain.lower())), None
    )


def network_name(name: str, networks: tuple[Network, ...]) -> str:
    """Name of the network; the published name without one."""
    network = network_of(name, networks)
    return name if network is None else network.name


def work_of(row: PublishedRow, networks: tuple[Network, ...]) -> Work | None:
    """Work of the row's model; None if the tables do not have such a network."""
    network = network_of(row.model, networks)
    # A variant of unknown size has no known work.
    if network is None or (row.operations is None and network.name != _plain(row.model)):
        return None
    if network.work is None:
        return _transformer(network.stages, row.operations)
    if row.operations is None:
        return network.work
    return _variant(network.work, row.operations, row.weight_count)


def _plain(name: str) -> str:
    return name.removeprefix("ncnn ").removesuffix("_int8")


def _variant(work: Work, operations: float, weights: float | None) -> Work:
    """A variant with the same mix of operators.

    Channels change operations and weights alike, and activations by the square root. The size of
    the input changes operations and activations alike, and no weights.
    """
    ratio = operations / work.total
    own = work.weight_count + work.vector_weight_count
    weight_ratio = (weights or own) / own
    return work._replace(
        operations={kind: amount * ratio for kind, amount in work.operations.items()},
        activation_count=work.activation_count * ratio / math.sqrt(weight_ratio),
        weight_count=work.weight_count * weight_ratio,
        vector_weight_count=work.vector_weight_count * weight_ratio,
    )


def _transformer(stages: tuple[Stage, ...], operations: float | None) -> Work | None:
    """Work of all stages. Other operations belong to the convolutions before the stages."""
    parts = []
    for stage in stages:
        tokens = stage.tokens or _tokens(stage, operations)
        if tokens is None:
            return None
        parts.append(transformer_work(stage, tokens))
    products = sum(part.operations["matmul"] for part in parts)
    return Work(
        operations={
            "matmul": products,
            "dense": max(0.0, (operations or 0.0) - products),
            "other": sum(part.operations["other"] for part in parts),
        },
        activation_count=sum(part.activation_count for part in parts),
        weight_count=sum(part.weight_count for part in parts),
        vector_weight_count=0.0,
        layer_count=sum(part.layer_count for part in parts),
    )


def transformer_work(stage: Stage, tokens: float) -> Work:
    """Work of one stage, as `work_of_model` counts it in an export without fused operators.

    Products: queries, keys, values and output, the two feed-forward layers, and attention.
    Activations and other operations: biases, softmax, residual additions, normalisation, GELU.
    """
    width, hidden = stage.width, stage.feed_forward
    span = tokens if stage.span is None else stage.span
    scores = stage.heads * tokens * span
    weights = 4 * width**2 + 2 * width * hidden
    count = stage.layers * stage.share
    return Work(
        operations={
            "matmul": 2 * count * (weights * tokens + 2 * tokens * span * width),
            "other": count * (20 * tokens * width + 12 * tokens * hidden + 8 * scores),
        },
        activation_count=count * (36 * tokens * width + 9 * tokens * hidden + 5 * scores),
        weight_count=count * weights,
        vector_weight_count=0.0,
        layer_count=33 * count,
    )


def _tokens(stage: Stage, operations: float | None) -> float | None:
    """Tokens with which a stage has these operations: the root of a quadratic equation."""
    if operations is None:
        return None
    linear = 4 * stage.width**2 + 2 * stage.width * stage.feed_forward
    square = 2 * stage.width
    wanted = operations / 2 / stage.layers / stage.share
    return (math.sqrt(linear**2 + 4 * square * wanted) - linear) / (2 * square)


def _stage(line: Mapping[str, str]) -> Stage:
    return Stage(*(float(line[name]) if line[name] else None for name in Stage._fields))  # type: ignore[arg-type]  # empty cells are of optional fields


def _pattern(line: Mapping[str, str]) -> re.Pattern[str] | None:
    return re.compile(line["names"]) if line["names"] else None


def _lines(name: str) -> Iterator[Mapping[str, str]]:
    with (profiles_dir() / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _work(line: Mapping[str, str]) -> Work:
    def value(column: str) -> float:
        return float(line[column])

    operations = 2e9 * value("gmacs")
    winograd = value("wino3x3s1_frac")
    shares = {
        "winograd": winograd,
        "dense": value("dense_kxk_frac") - winograd + value("deconv_frac"),
        "pointwise": value("dense_1x1_frac"),
        "depthwise": value("dw_frac"),
        "grouped": value("group_frac"),
        "vector": value("fc_frac"),
    }
    vector_weights = operations * shares["vector"] / 2
    return Work(
        operations={kind: operations * max(0.0, share) for kind, share in shares.items()},
        activation_count=1e6 * value("act_elems_rw_m"),
        weight_count=max(0.0, 1e6 * value("params_m") - vector_weights),
        vector_weight_count=vector_weights,
        layer_count=value("n_layers"),
    )
