"""Convolutional networks and a vision transformer."""

from __future__ import annotations

import itertools

import torch
from case import Case
from torch import Tensor, nn

IMAGE = {0: "batch"}
SIZED_IMAGE = {0: "batch", 2: "height", 3: "width"}


class BasicBlock(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outer),
        )
        self.skip = nn.Identity()
        if stride != 1 or inner != outer:
            self.skip = nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class ResNet18(nn.Sequential):
    def __init__(self) -> None:
        blocks = []
        inner = 64
        for outer in (64, 128, 256, 512):
            for block in range(2):
                blocks.append(BasicBlock(inner, outer, 2 if outer > 64 and block == 0 else 1))
                inner = outer
        super().__init__(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            *blocks,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(512, 1000),
        )


class InvertedResidual(nn.Module):
    def __init__(self, inner: int, outer: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = inner * expansion
        self.residual = stride == 1 and inner == outer
        self.body = nn.Sequential(
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            nn.Conv2d(width, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Sequential):
    def __init__(self) -> None:
        blocks = []
        inner = 32
        for expansion, outer, count, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for block in range(count):
                blocks.append(InvertedResidual(inner, outer, expansion, stride if not block else 1))
                inner = outer
        super().__init__(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU6(),
            *blocks,
            nn.Conv2d(inner, 1280, 1),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(1280, 1000),
        )


class UNet(nn.Module):
    """Halves the picture three times: a side that 8 does not divide fails where skips join."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 192)) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(
            [_double(3, widths[0]), *(_double(inner, outer) for inner, outer in pairs)]
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(outer, inner, 2, 2) for inner, outer in reversed(pairs)
        )
        self.join = nn.ModuleList(_double(2 * inner, inner) for inner, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        skips = []
        x = image
        for number, block in enumerate(self.down):
            x = block(x if number == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([up(x), skips.pop()], dim=1))
        return self.head(x)


def _double(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
        nn.Conv2d(outer, outer, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    )


def make_vit() -> tuple[nn.Module, dict[str, Tensor]]:
    from transformers import ViTConfig, ViTForImageClassification

    model = ViTForImageClassification(
        ViTConfig(hidden_size=384, num_attention_heads=6, intermediate_size=1536, num_labels=100)
    )

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Tensor) -> Tensor:
            return self.model(pixel_values).logits

    return Logits(), {"pixel_values": torch.rand(2, 3, 224, 224)}


CASES = (
    Case(
        "resnet18",
        lambda: (ResNet18(), {"image": torch.rand(2, 3, 224, 224)}),
        ("logits",),
        {"image": IMAGE, "logits": IMAGE},
    ),
    Case(
        "mobilenet_v2",
        lambda: (MobileNetV2(), {"image": torch.rand(1, 3, 224, 224)}),
        ("logits",),
        opset=13,
    ),
    Case(
        "unet",
        lambda: (UNet(), {"image": torch.rand(2, 3, 64, 96)}),
        ("mask",),
        {"image": SIZED_IMAGE, "mask": SIZED_IMAGE},
    ),
    Case("vit_small", make_vit, ("logits",), {"pixel_values": IMAGE, "logits": IMAGE}),
)
