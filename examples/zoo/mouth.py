"""A mouth generator of our own, trained on a bank's genuine faces; its output joins the bank as twins.

    python examples/zoo/mouth.py KIND --bank runs/pairs/picture --out runs/zoo/mouth --minutes 10
    python examples/zoo/mouth.py KIND --bank runs/pairs/picture --out runs/zoo/mouth --write

KIND is deconv, nearest, quantised, shuffle or denoise (`mouth_nets`). It need not fool anybody: it leaves its family's
traces on people of whom no other generator's output is at hand. The first line trains, the second writes a twin of
every genuine clip, in which the mouth does what it did at another time.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fakespan.practice.picture_bank import BankWriter, Entry, PictureBank
from mouth_nets import KINDS, Critic, MouthGenerator, build_generator

Faces = NDArray[np.uint8]
TOP = 0.44  # the masked part begins here
BATCH = 12


def pictures(faces: Faces, side: int) -> Tensor:
    """(n, 160, 160, 3) uint8 -> (n, 3, S, S) in -1..1."""
    small: list[Any] = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1


def masked(x: Tensor) -> Tensor:
    """Without its lower part."""
    out = x.clone()
    out[..., int(TOP * x.shape[-1]) :, :] = 0
    return out


def batch(bank: PictureBank, entries: list[Entry], side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Frames, and another of the same clip for each."""
    both = []
    for _ in range(BATCH):
        entry = entries[rng.integers(len(entries))]
        faces = bank.faces(entry)
        pair = np.array(faces[rng.integers(0, entry.n_frames, 2)])
        both.append(pictures(pair[:, :, :: 1 if rng.random() < 0.5 else -1], side))
    stacked = torch.stack(both)
    return stacked[:, 0], stacked[:, 1]


def train(net: MouthGenerator, bank: PictureBank, minutes: float, seed: int, adversarial: float) -> None:
    """Fits the generator to the genuine clips, later also against a critic."""
    rng = np.random.default_rng(seed)
    entries = [entry for entry in bank.entries if entry.role == "real"]
    critic = Critic()
    options: dict[str, Any] = {"lr": 6e-4, "betas": (0.5, 0.99)}
    both = torch.optim.Adam(net.parameters(), **options), torch.optim.Adam(critic.parameters(), **options)
    begin, step, shown = time.monotonic(), 0, 0.0
    low = int(TOP * net.side)
    while (passed := (time.monotonic() - begin) / 60 / minutes) < 1:
        both[0].param_groups[0]["lr"] = 6e-4 * (1 - 0.95 * passed)
        real, other = batch(bank, entries, net.side, rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn, penalty = net(masked(real), other, real)
        drawn = drawn.float()
        error = (drawn - real).abs()[..., low:, :].mean() + 0.3 * (drawn - real).abs().mean()
        loss = error + penalty
        if passed > 0.4 and adversarial:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss - adversarial * critic(drawn).float().mean()
        both[0].zero_grad()
        loss.backward()
        both[0].step()
        if passed > 0.35 and adversarial:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                judged = critic(torch.cat([real, drawn.detach()])).float()
            n = len(real)
            hinge = torch.relu(1 - judged[:n]).mean() + torch.relu(1 + judged[n:]).mean()
            both[1].zero_grad()
            hinge.backward()
            both[1].step()
        step, shown = step + 1, 0.95 * shown + 0.05 * float(error.detach())
        if step % 50 == 0:
            print(f"step {step}, {60 * minutes * passed:.0f} s, error {shown:.4f}", flush=True)


@torch.no_grad()
def twin(net: MouthGenerator, faces: Faces, rng: np.random.Generator) -> Faces:
    """The clip with other mouths."""
    n, size = len(faces), faces.shape[1]
    lead = int(rng.integers(8, 40))
    order = np.clip(np.arange(n) + lead, 0, n - 1) if n < 2 * lead else (np.arange(n) + lead) % n
    other = pictures(np.array(faces[[int(rng.integers(n))]]), net.side)
    mask = _mask(rng, size)
    out = np.array(faces)
    net.eval()
    for k in range(0, n, 25):
        x, mouths = pictures(faces[k : k + 25], net.side), pictures(faces[order[k : k + 25]], net.side)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = net(masked(x), other.expand_as(x), mouths)[0]
        images = ((drawn.float().permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255)
        for i, image in enumerate(images):
            large: Any = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
            out[k + i] = np.clip(mask * large + (1 - mask) * faces[k + i] + 0.5, 0, 255).astype(np.uint8)
    return out


def _mask(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """The lower part, hard or soft at its borders; one clip in four is all drawn."""
    if rng.random() < 0.25:
        return np.ones((size, size, 1), np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    distance = np.maximum(np.abs(x - 0.5) - rng.uniform(0.32, 0.45), TOP + rng.uniform(0, 0.04) - y)
    return np.asarray(np.clip(0.5 - distance / rng.uniform(0.005, 0.1), 0, 1)[..., None], np.float32)


def write(net: MouthGenerator, bank: PictureBank, seed: int) -> None:
    """Adds a twin of every genuine clip to the bank, once."""
    rng, writer, name = np.random.default_rng(seed), BankWriter(bank.folder), f"mouth-{net.kind}"
    done = {entry.pair for entry in bank.entries if entry.generator == name}
    left = [entry for entry in bank.entries if entry.role == "real" and entry.file not in done]
    writer.add((_entry(name, entry), twin(net, bank.faces(entry), rng)) for entry in left)
    print(f"{len(left)} twins by {name}")


def _entry(name: str, real: Entry) -> Entry:
    file = f"fake-{hashlib.sha256(f'{name} {real.file}'.encode()).hexdigest()[:12]}.npy"
    return Entry(file, "fake", real.file, name, "own", real.person, real.source, real.n_frames, real.face_px)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--adversarial", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="twins of all genuine clips, by the trained generator")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    bank, weights = PictureBank(options.bank), options.out / f"{options.kind}.pt"
    net = build_generator(options.kind)
    if options.write:
        net.load_state_dict(torch.load(weights))
        write(net, bank, options.seed)
        return
    train(net, bank, options.minutes, options.seed, options.adversarial)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), weights)


if __name__ == "__main__":
    main()
