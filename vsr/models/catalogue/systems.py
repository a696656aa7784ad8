"""The systems that the field knows by name and that load from the files their authors give out: whose they
are, and under which terms. `docs/models.md` has the same table with what was measured.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class System:
    """A network of others."""

    name: str
    network: str
    """What `ModelSpec.network` says of its files."""
    kind: Literal["picture", "video"]
    licence: str
    """Of the weights that its authors, or for the oldest those whose layout became usual, give out."""
    reader: Literal["", "spandrel", "ONNX", "TensorFlow"] = ""
    """What reads it besides PyTorch's own files."""


SYSTEMS = (
    System("SRCNN", "SRCNN", "picture", "none stated"),
    System("VDSR", "VDSR", "picture", "MIT"),
    System("FSRCNN", "FSRCNN", "picture", "none stated"),
    System("ESPCN", "ESPCN", "picture", "none stated"),
    System("ESPCN of EGVSR", "ESPCN", "picture", "MIT"),
    System("FSRCNN of OpenCV", "TensorFlow graph", "picture", "Apache-2.0", "TensorFlow"),
    System("ESPCN of OpenCV", "TensorFlow graph", "picture", "Apache-2.0", "TensorFlow"),
    System("LapSRN of OpenCV", "TensorFlow graph", "picture", "Apache-2.0", "TensorFlow"),
    System("EDSR of OpenCV", "TensorFlow graph", "picture", "Apache-2.0", "TensorFlow"),
    System("EDSR baseline", "EDSR", "picture", "MIT"),
    System("EDSR", "EDSR", "picture", "MIT"),
    System("SRResNet, SRGAN (MSRResNet)", "SRResNet", "picture", "Apache-2.0"),
    System(
        "SRGAN with batch normalisation", "SRGAN, with batch normalisation", "picture", "MIT or Apache-2.0"
    ),
    System("ESRGAN", "RRDB (ESRGAN, Real-ESRGAN)", "picture", "Apache-2.0"),
    System("Real-ESRGAN x4plus", "RRDB (ESRGAN, Real-ESRGAN)", "picture", "BSD-3-Clause"),
    System("Real-ESRGAN x2plus", "RRDB (ESRGAN, Real-ESRGAN)", "picture", "BSD-3-Clause"),
    System("Real-ESRGAN x4plus anime 6B", "RRDB (ESRGAN, Real-ESRGAN)", "picture", "BSD-3-Clause"),
    System("Real-ESRGAN animevideov3", "compact (Real-ESRGAN's SRVGGNetCompact)", "picture", "BSD-3-Clause"),
    System("Real-ESRGAN general-x4v3", "compact (Real-ESRGAN's SRVGGNetCompact)", "picture", "BSD-3-Clause"),
    System("SPAN", "SPAN", "picture", "none stated"),
    System("SPAN of NTIRE 2025, fused", "SPAN", "picture", "MIT"),
    System("SAFMN", "SAFMN", "picture", "Apache-2.0"),
    System("SwinIR light", "SwinIR", "picture", "Apache-2.0"),
    System("SwinIR classical", "SwinIR", "picture", "Apache-2.0"),
    System("SwinIR real", "SwinIR", "picture", "Apache-2.0"),
    System("DeblurGAN-v2 MobileNet", "DeblurGAN-v2", "picture", "BSD-2-Clause"),
    System("DeblurGAN-v2 Inception", "DeblurGAN-v2", "picture", "BSD-2-Clause"),
    System("MPRNet", "MPRNet", "picture", "Academic Public License, non-commercial", "spandrel"),
    System("NAFNet", "NAFNet", "picture", "MIT", "spandrel"),
    System("Restormer", "Restormer", "picture", "Academic Public License, non-commercial", "spandrel"),
    System("AnimeJaNai Compact", "ONNX graph", "picture", "CC BY-NC-SA 4.0", "ONNX"),
    System("AnimeJaNai SuperUltraCompact", "ONNX graph", "picture", "CC BY-NC-SA 4.0", "ONNX"),
    System("BasicVSR", "BasicVSR", "video", "Apache-2.0"),
    System("BasicVSR++", "BasicVSR++", "video", "Apache-2.0"),
    System("RealBasicVSR", "RealBasicVSR", "video", "Apache-2.0"),
    System("EDVR-M", "EDVR", "video", "Apache-2.0"),
    System("RLSP", "RLSP", "video", "CC BY-NC-SA 4.0, academic use"),
    System("RRN", "RRN", "video", "none stated"),
)


def licences_of(network: str) -> str:
    """The terms under which weights of such a network are given out by those who are known for it.

    Args:
        network: as `ModelSpec.network`.

    Returns:
        Such as `Apache-2.0 (ESRGAN), BSD-3-Clause (Real-ESRGAN x4plus)`; empty for graphs, which may be
        anything, and for networks that none of `SYSTEMS` is.
    """
    if network.endswith("graph"):
        return ""
    first: dict[str, str] = {}
    for system in SYSTEMS:
        if system.network == network:
            first.setdefault(system.licence, system.name)
    return ", ".join(f"{licence} ({name})" for licence, name in first.items())
