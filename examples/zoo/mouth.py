"""Networks of our own that draw faces anew, trained on a bank's genuine faces; their copies join the bank as twins.

    python examples/zoo/mouth.py train deconv --bank runs/pairs/picture --out runs/zoo/mouth --minutes 8
    python examples/zoo/mouth.py copy --bank runs/pairs/picture --out runs/zoo/mouth --systems 4

The kinds are those of `mouth_nets`. `train` keeps two networks of each: `KIND-early`, before its critic joins in, and
`KIND`. `copy` writes twins of every genuine clip by some of all the networks in the folder: the lower part of the face,
or all of it, copied at a random resolution. They need not fool anybody: they leave their family's traces on people of
whom no other generator's output is at hand.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fakespan.practice.picture_bank import OWN_FAMILY, BankWriter, Entry, PictureBank
from mouth_nets import KINDS, Critic, FaceCopier

Faces = NDArray[np.uint8]
PATCH, BATCH, RATE = 64, 12, 6e-4
SIDES = (64, 160)  # of the pictures that are copied, in pixels
CRITIC_FROM = 0.35  # share of the time after which the critic joins in
MATCHED = 0.8  # share of copies with the original's light and colours, as tools blend them
ENLARGE = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def to_tensor(faces: Sequence[Faces] | Faces, side: int) -> Tensor:
    """Pictures (S, S, 3) uint8 of any side -> (n, 3, side, side) in -1..1."""
    small: list[Any] = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1


def patches(bank: PictureBank, entries: Sequence[Entry], rng: np.random.Generator) -> Tensor:
    """(B, 3, 64, 64): patches of faces at random resolutions, half of them mirrored."""
    chosen = []
    for _ in range(BATCH):
        entry = entries[rng.integers(len(entries))]
        face = np.array(bank.faces(entry)[rng.integers(entry.n_frames)])
        picture = to_tensor([face[:, :: 1 if rng.random() < 0.5 else -1]], int(rng.integers(SIDES[0], SIDES[1] + 1)))[0]
        y, x = rng.integers(0, picture.shape[-1] - PATCH + 1, 2)
        chosen.append(picture[:, y : y + PATCH, x : x + PATCH])
    return torch.stack(chosen)


def train(kind: str, bank: PictureBank, out: Path, minutes: float, seed: int) -> None:
    """Fits the network to genuine faces, later also against a critic; writes both."""
    torch.manual_seed(seed)
    rng, entries = np.random.default_rng(seed), [entry for entry in bank.entries if entry.role == "real"]
    net, critic = FaceCopier(KINDS[kind]), Critic()
    ours, its = (torch.optim.Adam(module.parameters(), lr=RATE, betas=(0.5, 0.99)) for module in (net, critic))
    began, step, shown, has_critic = time.monotonic(), 0, 0.0, False
    out.mkdir(parents=True, exist_ok=True)
    while (passed := (time.monotonic() - began) / 60 / minutes) < 1:
        ours.param_groups[0]["lr"] = RATE * (1 - 0.95 * passed)
        if passed > CRITIC_FROM and not has_critic:
            torch.save(net.state_dict(), out / f"{kind}-early.pt")
            has_critic = True
        real = patches(bank, entries, rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn, penalty = net(real)
        drawn = drawn.float()
        error = (drawn - real).abs().mean()
        loss = error + _slopes(drawn - real) + penalty
        if has_critic and KINDS[kind].adversarial:
            loss = loss + KINDS[kind].adversarial * _against(critic, real, drawn)
        ours.zero_grad()
        loss.backward()
        ours.step()
        if has_critic and KINDS[kind].adversarial:
            its.zero_grad()
            _hinge(critic, real, drawn.detach()).backward()
            its.step()
        step, shown = step + 1, 0.98 * shown + 0.02 * float(error.detach())
        if step % 200 == 0:
            print(f"{kind}: step {step}, {60 * minutes * passed:.0f} s, error {shown:.4f}", flush=True)
    torch.save(net.state_dict(), out / f"{kind}.pt")


def _slopes(error: Tensor) -> Tensor:
    """Mean error of the differences between neighbouring pixels."""
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def _against(critic: Critic, real: Tensor, drawn: Tensor) -> Tensor:
    """What the critic finds wrong, and the distance of its features."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        judged, features = critic(drawn)
        _, wanted = critic(real)
    apart = [(a.float() - b.float().detach()).abs().mean() for a, b in zip(features, wanted, strict=True)]
    return torch.stack(apart).sum() - judged.float().mean()


def _hinge(critic: Critic, real: Tensor, drawn: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        judged = critic(torch.cat([real, drawn]))[0].float()
    n = len(real)
    return torch.relu(1 - judged[:n]).mean() + torch.relu(1 + judged[n:]).mean()


@torch.no_grad()
def twin(net: FaceCopier, faces: Faces, rng: np.random.Generator) -> Faces:
    """The clip with faces drawn anew: resolution, way of enlarging and mask are those of the whole clip."""
    size, side = faces.shape[1], 8 * int(rng.integers(SIDES[0] // 8, SIDES[1] // 8 + 1))
    enlarge, mask = ENLARGE[rng.integers(len(ENLARGE))], lower_part(rng, size)
    is_matched = rng.random() < MATCHED
    out = np.array(faces)
    net.eval()
    for k in range(0, len(faces), 25):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = net(to_tensor(faces[k : k + 25], side))[0]
        images = ((drawn.float().permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255)
        for i, image in enumerate(images):
            large: Any = cv2.resize(image, (size, size), interpolation=enlarge)
            if is_matched:
                large += cv2.GaussianBlur(faces[k + i] - large, (0, 0), size / 12)
            out[k + i] = np.clip(mask * large + (1 - mask) * faces[k + i] + 0.5, 0, 255).astype(np.uint8)
    return out


def lower_part(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A mask (S, S, 1) of the lower part, hard or soft at its borders; of all the picture in one of four."""
    if rng.random() < 0.25:
        return np.ones((size, size, 1), np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    distance = np.maximum(np.abs(x - 0.5) - rng.uniform(0.28, 0.45), rng.uniform(0.4, 0.5) - y)
    return np.asarray(np.clip(0.5 - distance / rng.uniform(0.005, 0.1), 0, 1)[..., None], np.float32)


def copy(bank: PictureBank, out: Path, n_systems: int, seed: int) -> None:
    """Adds twins of every genuine clip by some systems, drawn by the clip's name; clips that have them are kept."""
    nets = {path.stem: _loaded(path) for path in sorted(out.glob("*.pt"))}
    done = {(entry.pair, entry.generator) for entry in bank.entries}
    writer = BankWriter(bank.folder)
    for real in (entry for entry in bank.entries if entry.role == "real"):
        rng = np.random.default_rng([seed, *real.file.encode()])
        names = [str(name) for name in rng.permutation(sorted(nets))[:n_systems]]
        left = [name for name in names if (real.file, f"mouth-{name}") not in done]
        writer.add(_copies(bank, real, {name: nets[name] for name in left}, rng))
        print(f"{real.file}: {', '.join(left) or 'kept'}", flush=True)


def _copies(
    bank: PictureBank, real: Entry, nets: dict[str, FaceCopier], rng: np.random.Generator
) -> Iterator[tuple[Entry, Faces]]:
    for name, net in nets.items():
        file = f"fake-{hashlib.sha256(f'{name} {real.file}'.encode()).hexdigest()[:12]}.npy"
        entry = Entry(
            file, "fake", real.file, f"mouth-{name}", OWN_FAMILY, real.person, real.source, real.n_frames, real.face_px
        )
        yield entry, twin(net, bank.faces(real), rng)


def _loaded(path: Path) -> FaceCopier:
    net = FaceCopier(KINDS[path.stem.removesuffix("-early")])
    net.load_state_dict(torch.load(path))
    return net


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    learn, write = commands.add_parser("train"), commands.add_parser("copy")
    learn.add_argument("kind", choices=sorted(KINDS))
    learn.add_argument("--minutes", type=float, default=8.0)
    write.add_argument("--systems", type=int, default=4, help="twins of each clip")
    for command in (learn, write):
        command.add_argument("--bank", type=Path, required=True)
        command.add_argument("--out", type=Path, required=True, help="folder of the networks")
        command.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    bank = PictureBank(options.bank)
    if options.command == "train":
        train(options.kind, bank, options.out, options.minutes, options.seed)
    else:
        copy(bank, options.out, options.systems, options.seed)


if __name__ == "__main__":
    main()
