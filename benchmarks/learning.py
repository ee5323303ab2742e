"""What each objective teaches the same small trunk with the same arithmetic: k-NN and linear probe, several seeds.

The budget are floating-point operations, as `--dry-run` counts them, and not minutes, so that other work on the machine
changes no figure. Every run is the command that a person would type. What is there already is not trained again, so the
benchmark can be stopped and started, and several may work at once on objectives of their own; `--print` only shows the
table.

    python benchmarks/learning.py --train cifar10_shards --test cifar10 --out runs/learning
        [--objectives simclr moco-v3 dino dinov2 mae supervised] [--teraflops 20] [--seeds 3] [-- --trunk.depth 4 ...]

Options after `--` go to every training command. The baselines are a trunk of the same settings that never learned,
and raw pixels. Runs are watched by k-NN on the test pictures as they go, outside their time. What looks like success
and may be a fault is told: test pictures among those of training, vectors that are nearly one, accuracy lost again on
the way, a linear probe far better than the neighbours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

OBJECTIVES = ("simclr", "moco-v3", "dino", "dinov2", "mae", "supervised")
UNTRAINED, RAW = "untrained", "raw-pixels"
IMPLAUSIBLE_POINTS = 25.0
"""A linear probe so far above the neighbours hints at leakage or features that only look good, not at learning."""
LOST_POINTS = 5.0
NARROW_SPREAD = 0.05
NUM_PROBES = 5
LEAK = "are among the training pictures"
"""What a card says of them."""


def chiasm(*words: str) -> Any:
    """Run a command; its JSON answer."""
    line = [sys.executable, "-m", "chiasm", *words, "--json"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    return json.loads(done.stdout)


def trained(name: str, seed: int, options: argparse.Namespace) -> Path:
    """The folder of a finished run, made now unless it is there."""
    folder = options.out / f"{name}-{seed}"
    if (folder / "model.safetensors").exists():
        return folder
    recipe, more = name, list(options.more)
    if name == UNTRAINED:
        # One step at a rate that moves nothing: the weights are those that every run begins with.
        recipe = "simclr"
        more += ["--engine.lr", "1e-30", "--engine.weight-decay", "0", "--engine.final-weight-decay", "0"]
    words = ["train", recipe, "--data", options.train, "--out", str(folder), "--seed", str(seed), *more]
    if name == "distillation":
        words += ["--teacher", str(trained(options.teacher, seed, options))]
    if folder.exists():
        words += ["--resume"]
    if not (folder / "checkpoint.safetensors").exists():
        words += ["--steps", str(1 if name == UNTRAINED else steps_of(words, options.teraflops))]
    words += ["--probe", options.test, "--engine.num-probes", str(NUM_PROBES)]
    chiasm(*words)
    return folder


def steps_of(words: Sequence[str], teraflops: float) -> int:
    """As many steps as the budget allows."""
    return max(1, round(teraflops / chiasm(*words, "--steps", "1", "--dry-run")["teraflops_per_step"]))


def scores(model: str, options: argparse.Namespace) -> dict[str, float]:
    """k-NN and linear accuracy of one model."""
    return {
        how: chiasm("evaluate", how, model, "--data", options.test)["results"][0]["scores"]["accuracy"]["value"]
        for how in ("knn", "linear")
    }


def measure(options: argparse.Namespace) -> None:
    """Train and judge what is missing from the results, a line of JSON for each run."""
    options.out.mkdir(parents=True, exist_ok=True)
    known = {(row["name"], row["seed"]) for row in results(options.out)}
    wanted = [(RAW, 0), *((name, seed) for seed in range(options.seeds) for name in (UNTRAINED, *options.objectives))]
    for name, seed in wanted:
        if (name, seed) in known:
            continue
        row: dict[str, Any] = {"name": name, "seed": seed}
        if name == RAW:
            row |= scores(RAW, options)
        else:
            folder = trained(name, seed, options)
            row |= scores(str(folder), options) | learning(folder)
        with (options.out / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def learning(folder: Path) -> dict[str, Any]:
    """Steps, pictures per second at the median of the log, and what tells whether the run went well."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    speeds = sorted(step["images_per_second"] for step in steps)
    return {
        "steps": steps[-1]["step"],
        "images_per_second": speeds[len(speeds) // 2],
        "spread": steps[-1]["spread"],
        "curve": [event["knn_accuracy"] for event in events if event["event"] == "probe"],
        "leaks": LEAK in (folder / "card.md").read_text(),
    }


def results(folder: Path) -> list[dict[str, Any]]:
    """What was measured so far."""
    path = folder / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means over seeds with their standard deviations, as Markdown."""
    lines = ["| | k-NN | linear probe | steps | pictures/s | seeds |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(row["name"] for row in rows):
        of_name = [row for row in rows if row["name"] == name]
        cells = [_spread([100 * row[how] for row in of_name]) for how in ("knn", "linear")]
        cells += [
            f"{mean(row[key] for row in of_name):.0f}" if key in of_name[0] else ""
            for key in ("steps", "images_per_second")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(of_name)} |")
    return "\n".join(lines)


def suspects(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Runs whose figures look like success and may be a fault."""
    return [f"{row['name']}, seed {row['seed']}: {doubt}" for row in rows for doubt in doubts(row)]


def doubts(row: dict[str, Any]) -> list[str]:
    """What may be wrong with one run."""
    found = []
    if 100 * (row["linear"] - row["knn"]) > IMPLAUSIBLE_POINTS:
        found.append(f"linear {row['linear']:.1%}, but k-NN {row['knn']:.1%}")
    if row.get("leaks"):
        found.append("test pictures are among those of training")
    if row.get("spread", 1.0) < NARROW_SPREAD:
        found.append(f"the trunk's vectors are nearly one (spread {row['spread']:.3f})")
    curve = row.get("curve", [])
    if curve and 100 * (max(curve) - curve[-1]) > LOST_POINTS:
        found.append(f"k-NN was {max(curve):.1%} on the way and {curve[-1]:.1%} at the end")
    return found


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f} %" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    words, more = sys.argv[1:], []
    if "--" in words:
        words, more = words[: words.index("--")], words[words.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--objectives", nargs="+", default=OBJECTIVES)
    parser.add_argument("--teacher", default="simclr", help="the objective whose trunk teaches in distillation")
    parser.add_argument("--teraflops", type=float, default=20.0, help="operations of a run, in 10^12")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--print", action="store_true", dest="only_print")
    options = parser.parse_args(words)
    options.more = more
    if not options.only_print:
        measure(options)
    print(table(results(options.out)))
    print("\n".join(["", "look at these:", *found] if (found := suspects(results(options.out))) else []))


if __name__ == "__main__":
    main()
