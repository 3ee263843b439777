"""Fuzzes the readers of `readers.py` with atheris, which varies the inputs that reached new lines of code.

`python tests/campaigns/guided.py --runs 20000 --seed 1` takes one kind of file after the other, each in a process of
its own, and prints the number of inputs and what happened to the first one that was neither read nor refused in one
line; that input is kept in the folder `--keep`. atheris is not part of the extras: `pip install atheris`.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

KINDS = ("results", "metadata of LAV-DF", "metadata of AV-Deepfake1M", "proposals, JSON")  # read by Python code alone
LONGEST_INPUT, MOST_MB, MOST_S = 20_000, 1500, 20


def fuzz(kind: str, n_runs: int, seed: int, keep: Path) -> None:
    """In this process, which libFuzzer ends: exit code 0 if nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["fakespan"]):
        from campaigns.readers import kinds_of, outcome, too_long

        signal.signal(signal.SIGPROF, too_long)
        folder = Path(tempfile.mkdtemp())
        good, read = kinds_of(folder)[kind]
        assert outcome(read, good) == "read"
    path, corpus = good.with_stem("fuzzed"), folder / "corpus"
    corpus.mkdir()
    (corpus / "good").write_bytes(good.read_bytes())

    def one(content: bytes) -> None:
        path.write_bytes(content)
        result = outcome(read, path)
        if result not in ("read", "refused"):
            raise RuntimeError(result)

    limits = [f"-max_len={LONGEST_INPUT}", f"-rss_limit_mb={MOST_MB}", f"-timeout={MOST_S}"]
    kept = f"-artifact_prefix={keep}/{kind.replace(' ', '-')}-"
    atheris.Setup(["fuzz", f"-runs={n_runs}", f"-seed={seed}", *limits, kept, str(corpus)], one)
    atheris.Fuzz()


def campaign(n_runs: int, seed: int, keep: Path) -> int:
    """All kinds; the number of kinds with a fault."""
    n_faults = 0
    for kind in KINDS:
        command = [
            sys.executable,
            __file__,
            "--kind",
            kind,
            "--runs",
            str(n_runs),
            "--seed",
            str(seed),
            "--keep",
            str(keep),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told = re.findall(r"^#(\d+)\s+\w+\s+cov: (\d+)", done.stderr, re.MULTILINE)
        if not told:
            print(done.stderr[-2000:], file=sys.stderr)
            return len(KINDS)
        errors = re.findall(r"(?:Error|ERROR|Exception): (.*)", done.stderr)
        fault = "no fault" if done.returncode == 0 else f"FAULT: {errors[0] if errors else done.stderr[-300:]}"
        print(
            f"{kind}: {told[-1][0]} inputs, {told[0][1]} to {told[-1][1]} places in the code reached, {fault}",
            flush=True,
        )
        n_faults += done.returncode != 0
    return n_faults


def main() -> int:
    """Run the campaign; 1 if a kind of file has a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for inputs with a fault")
    parser.add_argument("--kind", help="this one alone, in this process")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.kind:
        fuzz(options.kind, options.runs, options.seed, options.keep)
    return 1 if campaign(options.runs, options.seed, options.keep) else 0


if __name__ == "__main__":
    sys.exit(main())
