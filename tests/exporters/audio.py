"""Speech: Whisper's two halves, wav2vec2, and a network over feature frames."""

from __future__ import annotations

import torch
from case import Case
from torch import Tensor, nn


class WhisperEncoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_features: Tensor) -> Tensor:
        return self.model.model.encoder(input_features).last_hidden_state


class WhisperDecoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, decoder_input_ids: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        hidden = self.model.model.decoder(
            input_ids=decoder_input_ids,
            # Without a mask the model looks for packed sequences, with `diff`, which the
            # TorchScript exporter cannot write.
            attention_mask=torch.ones_like(decoder_input_ids),
            encoder_hidden_states=encoder_hidden_states,
            use_cache=False,
        ).last_hidden_state
        return self.model.proj_out(hidden)


class Wav2Vec2(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_values: Tensor) -> Tensor:
        return self.model(input_values).logits


class FrameClassifier(nn.Sequential):
    """Five valid convolutions over time: fewer than 15 frames leave nothing to compute."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        inner = 40
        for dilation in (1, 1, 1, 2, 2):
            layers += [nn.Conv1d(inner, 128, 3, dilation=dilation), nn.BatchNorm1d(128), nn.ReLU()]
            inner = 128
        super().__init__(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 10))


def whisper_tiny() -> nn.Module:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        d_model=384,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=6,
        decoder_attention_heads=6,
        encoder_ffn_dim=1536,
        decoder_ffn_dim=1536,
        attn_implementation="eager",
    )
    return WhisperForConditionalGeneration(config)


def make_wav2vec2() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        intermediate_size=1536,
        attn_implementation="eager",
    )
    return Wav2Vec2(Wav2Vec2ForCTC(config)), {"input_values": torch.rand(2, 16000)}


CASES = (
    Case(
        "whisper_tiny_encoder",
        lambda: (WhisperEncoder(whisper_tiny()), {"input_features": torch.rand(2, 80, 3000)}),
        ("last_hidden_state",),
        {"input_features": {0: "batch"}, "last_hidden_state": {0: "batch"}},
    ),
    Case(
        "whisper_tiny_decoder",
        lambda: (
            WhisperDecoder(whisper_tiny()),
            {
                "decoder_input_ids": torch.randint(0, 1000, (2, 5)),
                "encoder_hidden_states": torch.rand(2, 1500, 384),
            },
        ),
        ("logits",),
        {
            "decoder_input_ids": {0: "batch", 1: "sequence"},
            "encoder_hidden_states": {0: "batch"},
            "logits": {0: "batch", 1: "sequence"},
        },
    ),
    Case(
        "wav2vec2_small",
        make_wav2vec2,
        ("logits",),
        {"input_values": {0: "batch", 1: "samples"}, "logits": {0: "batch", 1: "frames"}},
    ),
    Case(
        "frame_classifier",
        lambda: (FrameClassifier(), {"features": torch.rand(2, 40, 98)}),
        ("scores",),
        {"features": {0: "batch", 2: "frames"}, "scores": {0: "batch"}},
    ),
)
