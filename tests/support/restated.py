"""The published video networks once more, as their papers say them: slowly, and pixel by pixel where it matters.

Nothing of the product is used; weights are looked up by their published names.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]


def conv(weights: Weights, name: str, x: Tensor) -> Tensor:
    weight = weights[f"{name}.weight"]
    return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def block(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x + conv(weights, f"{name}.conv2", conv(weights, f"{name}.conv1", x).clamp(min=0))


def trunk(weights: Weights, name: str, x: Tensor) -> Tensor:
    x = lrelu(conv(weights, f"{name}.main.0", x))
    number = 0
    while f"{name}.main.2.{number}.conv1.weight" in weights:
        x = block(weights, f"{name}.main.2.{number}", x)
        number += 1
    return x


def sample(picture: Tensor, y: float, x: float, outside: str) -> Tensor:
    """(C, H, W) between four pixels → (C,)."""
    _, height, width = picture.shape
    if outside == "border":
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    total = torch.zeros(len(picture))
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * picture[:, row, column]
    return total


def warp(picture: Tensor, flow: Tensor, outside: str = "zeros") -> Tensor:
    """(1, C, H, W) read where (1, 2, H, W), x and y, says."""
    _, _, height, width = picture.shape
    out = torch.zeros_like(picture)
    for i in range(height):
        for j in range(width):
            x, y = flow[0, :, i, j].tolist()
            out[0, :, i, j] = sample(picture[0], i + y, j + x, outside)
    return out


def deformed(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Deformable convolution of one picture, (1, C, H, W), sum by sum."""
    _, channels, height, width = x.shape
    sets = mask.shape[1] // 9
    share = channels // sets
    out = torch.zeros(1, len(weight), height, width)
    for i in range(height):
        for j in range(width):
            for g in range(sets):
                for k in range(9):
                    place = g * 9 + k
                    y = i + k // 3 - 1 + float(offset[0, 2 * place, i, j])
                    z = j + k % 3 - 1 + float(offset[0, 2 * place + 1, i, j])
                    read = sample(x[0, g * share : (g + 1) * share], y, z, "zeros") * mask[0, place, i, j]
                    out[0, :, i, j] += weight[:, g * share : (g + 1) * share, k // 3, k % 3] @ read
    return out + bias[:, None, None]


def flow_of(weights: Weights, name: str, frame: Tensor, other: Tensor) -> Tensor:
    """SPyNet, from one frame, (1, 3, H, W), to another."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    height, width = frame.shape[-2:]
    size = (math.ceil(height / 32) * 32, math.ceil(width / 32) * 32)
    sizes = [[(F.interpolate(p, size, mode="bilinear") - mean) / std for p in (frame, other)]]
    for _ in range(5):
        sizes.insert(0, [F.avg_pool2d(p, 2) for p in sizes[0]])
    flow = torch.zeros(1, 2, size[0] // 32, size[1] // 32)
    for level, (now, there) in enumerate(sizes):
        if level:
            flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True) * 2
        x = torch.cat([now, warp(there, flow, "border"), flow], 1)
        for layer in (0, 2, 4, 6):
            x = conv(weights, f"{name}.basic_module.{level}.basic_module.{layer}", x).clamp(min=0)
        flow = flow + conv(weights, f"{name}.basic_module.{level}.basic_module.8", x)
    flow = F.interpolate(flow, (height, width), mode="bilinear")
    return flow * torch.tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)


def basicvsr(weights: Weights, clip: list[Tensor], prefix: str = "") -> list[Tensor]:
    """A whole clip of (1, 3, H, W)."""
    p, last = prefix, len(clip) - 1
    channels = len(weights[f"{p}forward_trunk.main.0.weight"])
    nothing = torch.zeros(1, channels, *clip[0].shape[-2:])
    feature, backward = nothing, {}
    for t in range(last, -1, -1):
        if t < last:
            feature = warp(feature, flow_of(weights, f"{p}spynet", clip[t], clip[t + 1]))
        feature = backward[t] = trunk(weights, f"{p}backward_trunk", torch.cat([clip[t], feature], 1))
    feature, out = nothing, []
    for t in range(last + 1):
        if t > 0:
            feature = warp(feature, flow_of(weights, f"{p}spynet", clip[t], clip[t - 1]))
        feature = trunk(weights, f"{p}forward_trunk", torch.cat([clip[t], feature], 1))
        x = lrelu(conv(weights, f"{p}fusion", torch.cat([backward[t], feature], 1)))
        for layer in ("upconv1", "upconv2"):
            x = lrelu(F.pixel_shuffle(conv(weights, p + layer, x), 2))
        x = conv(weights, f"{p}conv_last", lrelu(conv(weights, f"{p}conv_hr", x)))
        out.append(x + F.interpolate(clip[t], scale_factor=4, mode="bilinear"))
    return out


def realbasicvsr(weights: Weights, clip: list[Tensor]) -> tuple[list[Tensor], int]:
    """A whole clip, and how many times it was cleaned."""
    times = 0
    while times < 3:
        changes = [
            conv(weights, "image_cleaning.1", trunk(weights, "image_cleaning.0", frame)) for frame in clip
        ]
        clip = [frame + change for frame, change in zip(clip, changes, strict=True)]
        times += 1
        if torch.stack(changes).abs().mean() < 5 / 255:
            break
    return basicvsr(weights, clip, "basicvsr."), times


def rrn(weights: Weights, clip: list[Tensor], scale: int) -> list[Tensor]:
    """A whole clip; the first frame is its own predecessor."""
    channels = len(weights["neuro.conv_h.weight"])
    size = clip[0].shape[-2:]
    hidden, given, out = torch.zeros(1, channels, *size), torch.zeros(1, 3 * scale**2, *size), []
    for t, now in enumerate(clip):
        x = conv(weights, "neuro.conv_1", torch.cat([clip[max(0, t - 1)], now, hidden, given], 1)).clamp(
            min=0
        )
        number = 0
        while f"neuro.recon_trunk.{number}.conv1.weight" in weights:
            x = block(weights, f"neuro.recon_trunk.{number}", x)
            number += 1
        hidden, small = conv(weights, "neuro.conv_h", x).clamp(min=0), conv(weights, "neuro.conv_o", x)
        picture = torch.zeros(1, 3, size[0] * scale, size[1] * scale)
        for i in range(scale):
            for j in range(scale):
                picture[..., i::scale, j::scale] = small[:, i * scale + j :: scale**2]
        picture += F.interpolate(now, scale_factor=scale, mode="bilinear")
        parts = [
            picture[:, c, i::scale, j::scale] for c in range(3) for i in range(scale) for j in range(scale)
        ]
        given = torch.stack(parts, 1)
        out.append(picture)
    return out


def rlsp(weights: Weights, clip: list[Tensor]) -> list[Tensor]:
    """Luma, 16 to 235 of 255, of a whole clip of RGB 0–1; the first and last frame are their own neighbours."""
    last, size = len(clip) - 1, clip[0].shape[-2:]
    hidden, given, out = torch.zeros(1, len(weights["layer0.weight"]), *size), torch.zeros(1, 16, *size), []
    for t, now in enumerate(clip):
        frames = [255 * clip[max(0, t - 1)], 255 * now, 255 * clip[min(last, t + 1)]]
        x = torch.cat([*frames, hidden, given], 1)
        depth = sum(key.endswith("weight") for key in weights) - 2
        for i in range(depth):
            x = conv(weights, f"layer{i}", x).clamp(min=0)
        red, green, blue = now.unbind(1)
        luma = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
        given = conv(weights, f"layer{depth + 1}", x) + luma[:, None]
        hidden = conv(weights, f"layer{depth}", x).clamp(min=0)
        out.append(F.pixel_shuffle(given, 4))
    return out
