"""BA-TFD on a clip of 125 frames: told that the rest of the 512 is padding, against running over the padding.

Same weights and input, published sizes, one process. Run: python benchmarks/bench_batfd_clip.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.models import build_model

SILENCE = -4.605  # log(0.01)


def padded_clip(n_frames: int, n_padded: int) -> tuple[Tensor, Tensor]:
    video, audio = torch.zeros(1, 3, n_padded, 96, 96), torch.full((1, 64, 4 * n_padded), SILENCE)
    video[:, :, :n_frames] = torch.rand(1, 3, n_frames, 96, 96)
    audio[..., : 4 * n_frames] = torch.randn(1, 64, 4 * n_frames)
    return video, audio


def timed(network: nn.Module, video: Tensor, audio: Tensor, n_frames: int | None) -> tuple[float, Tensor]:
    start = time.perf_counter()
    fused = network(video, audio, n_frames).fused
    return time.perf_counter() - start, fused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=125)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    config = ModelConfig()
    network, clip = build_model(config).eval(), padded_clip(args.frames, config.n_frames)
    with torch.inference_mode():
        short = [timed(network, *clip, args.frames) for _ in range(args.runs)]
        padded = [timed(network, *clip, None) for _ in range(args.runs)]
    short_s, padded_s = (statistics.median(seconds for seconds, _ in runs) for runs in (short, padded))
    print(f"{args.frames} of {config.n_frames} frames: share {args.frames / config.n_frames:.2f}")
    print(f"over the padding {padded_s:7.1f} s")
    print(f"the clip alone   {short_s:7.1f} s, share {short_s / padded_s:.2f}")
    print(f"largest difference of the maps {(short[0][1] - padded[0][1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
