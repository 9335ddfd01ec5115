"""Does a run survive whatever an endpoint, or a kill -9, does to it?

    .venv/bin/python experiments/faults/campaign.py [--runs 2000] [--kills 100] [--into FOLDER]

Thousands of small runs in virtual time, each at its own seed with faults at rates up to 30 %; then
real processes, killed at random moments and resumed. Invariants are checked after every run. Writes
campaign.md beside itself. A failing seed prints the command that repeats it:

    .venv/bin/python experiments/faults/campaign.py --seed 123
    .venv/bin/python experiments/faults/campaign.py --kill-seed 123
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from invariants import broken
from rich.progress import track

from autoanalyze.analysis.build import build_analysis
from autoanalyze.analysis.configuration import compose
from autoanalyze.analysis.folder import RunFolder
from autoanalyze.config import FAULTS, Config, FaultsConfig
from autoanalyze.errors import StoppedRunError

HERE = Path(__file__).resolve().parent
SMALL = (
    "data.count=30",
    "discovery.min_sessions=6",
    "parallel.streams=4",
    "parallel.sessions_per_stream=3",
    "baseline=none",
    "limits.timeout_seconds=20",
    "retry.call_seconds=200",
    "resamples=10",
)
LATE = 0.8
"""The share of kills that wait until the run has begun to ask."""
COMPARED = ("sessions", "labels", "merges", "rounds")


@dataclass(slots=True)
class Verdict:
    """What became of one seed."""

    seed: int
    problems: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    drawn: Counter[str] = field(default_factory=Counter)
    unresolved: int = 0


@cache
def small() -> Config:
    """The configuration of a small run; composed once, since that takes longer than the run."""
    return compose(SMALL)


def troubled(seed: int) -> Config:
    """What trouble a seed brings: a rate, some or all kinds, and now and then an end of everything."""
    draw = random.Random(f"faults {seed}")
    kinds = sorted(FAULTS) if draw.random() < 0.5 else draw.sample(sorted(FAULTS), draw.randint(1, 5))
    faults, budget = FaultsConfig(rate=draw.uniform(0.02, 0.3), kinds=kinds), None
    end = draw.random()
    if end < 0.1:
        faults.quota_after = draw.randint(0, 15)
    elif end < 0.2:
        faults.gone_after = draw.randint(0, 15)
    elif end < 0.3:
        budget = draw.uniform(0.0005, 0.003)
    passes = draw.choice((1, 1, 2, 3))
    return replace(elaborate(draw), seed=seed, faults=faults, budget_usd=budget, passes=passes)


def elaborate(draw: random.Random) -> Config:
    """A small run with some of what takes calls of other kinds: names on levels, themes, sessions without
    known labels, and a judge so poor that all he merges is tried on sessions."""
    config = small()
    levels, themes, unaided, poor = (draw.random() < share for share in (0.15, 0.15, 0.15, 0.3))
    vocabulary = replace(config.vocabulary, codebook=levels, themes=themes)
    noise = config.noise
    if poor:
        noise = replace(noise, reuse=0.4, judge_false_merge=0.8, judge_fixed_share=1.0)
    return replace(config, vocabulary=vocabulary, noise=noise, unaided_share=0.2 if unaided else 0.0)


def fault_run(seed: int) -> Verdict:
    """One run with trouble; if it stops, it is resumed once the trouble is over."""
    verdict = Verdict(seed)
    config = troubled(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        attempt(config, folder, verdict, resume=False)
        if verdict.endings[-1] not in ("done", "failed"):
            over = replace(config.faults, quota_after=None, gone_after=None)
            attempt(replace(config, faults=over, budget_usd=None), folder, verdict, resume=True)
        if verdict.endings[-1] not in ("done", "EndpointGoneError"):
            verdict.problems.append(f"the run ended as {verdict.endings}")
    return verdict


def attempt(config: Config, folder: Path, verdict: Verdict, *, resume: bool) -> None:
    """Run or resume, and check what must hold."""
    try:
        run = build_analysis(config).run_sync(folder, resume=resume)
        verdict.endings.append("done")
        verdict.unresolved = run.record["sessions"]["unresolved"]
    except StoppedRunError as stopped:
        verdict.endings.append(type(stopped).__name__)
        if stopped.exit_code != 3:
            verdict.problems.append(f"a stopped run has exit code {stopped.exit_code}")
    except Exception as error:  # whatever it is, it is recorded as a broken promise
        verdict.endings.append("failed")
        verdict.problems.append(f"{type(error).__name__}: {error}")
        return
    verdict.drawn.update(RunFolder(folder).read_json("run.json").get("faults_drawn", {}))
    verdict.problems += broken(folder)


def kill_settings(seed: int) -> Config:
    """A run that is worth killing: some faults, and long enough to be hit in every phase."""
    return compose([*SMALL, "data.count=300", f"seed={seed}", "faults=some"])


def victim(seed: int, folder: Path, resume: bool) -> None:
    """What a process does until it is killed."""
    build_analysis(kill_settings(seed)).run_sync(folder, resume=resume)


def kill_run(seed: int) -> Verdict:
    """A run killed once to three times at random moments and resumed, against an undisturbed one."""
    verdict = Verdict(seed)
    draw = random.Random(f"kill {seed}")
    context = get_context("forkserver")
    context.set_forkserver_preload(["autoanalyze.analysis.build", "autoanalyze.analysis.configuration"])
    with tempfile.TemporaryDirectory() as scratch:
        calm, hit = Path(scratch) / "calm", Path(scratch) / "hit"
        started = time.monotonic()
        victim(seed, calm, resume=False)
        longest = 0.3 + time.monotonic() - started
        for _ in range(draw.randint(1, 3)):
            begun = (hit / "run.json").exists() and "config" in RunFolder(hit).read_json("run.json")
            if begun and RunFolder(hit).status() == "done":
                break
            draw_late = draw.random() < LATE
            process = context.Process(target=victim, args=(seed, hit, begun))
            process.start()
            # Most kills hit a run that has begun to ask, however long this machine takes to start one.
            while draw_late and process.is_alive() and not (hit / "calls.jsonl").exists():
                process.join(0.005)
            process.join(draw.uniform(0.0, longest))
            verdict.endings.append("killed" if process.is_alive() else "finished")
            process.kill()
            process.join()
            check_status(hit, verdict)
        begun = (hit / "run.json").exists() and "config" in RunFolder(hit).read_json("run.json")
        if not begun or RunFolder(hit).status() != "done":
            verdict.endings.append("resumed" if begun else "begun anew")
            victim(seed, hit if begun else hit.with_name("anew"), begun)
        final = hit if begun else hit.with_name("anew")
        verdict.problems += broken(final)
        for name in COMPARED:
            if (final / f"{name}.parquet").read_bytes() != (calm / f"{name}.parquet").read_bytes():
                verdict.problems.append(f"{name}.parquet differs from the undisturbed run's")
    return verdict


def check_status(folder: Path, verdict: Verdict) -> None:
    """A killed run is seen as interrupted, or is done."""
    if (folder / "progress.json").exists() and RunFolder(folder).status() not in ("interrupted", "done"):
        verdict.problems.append(f"a killed run is seen as {RunFolder(folder).status()}")


def table(faults: Sequence[Verdict], kills: Sequence[Verdict]) -> str:
    """How many of each fault were drawn, and how the runs ended."""
    drawn = sum((verdict.drawn for verdict in faults), Counter())
    lines = ["| fault | drawn | in runs | invariants broken |", "| --- | ---: | ---: | ---: |"]
    for kind in sorted(drawn):
        runs = [verdict for verdict in faults if verdict.drawn[kind]]
        lines.append(f"| {kind} | {drawn[kind]:,} | {len(runs):,} | {sum(bool(v.problems) for v in runs)} |")
    ends = Counter(" then ".join(verdict.endings) for verdict in faults)
    lines += ["", "| how fault runs ended | runs |", "| --- | ---: |"]
    lines += [f"| {ending} | {number:,} |" for ending, number in sorted(ends.items(), key=lambda e: -e[1])]
    unresolved = sum(verdict.unresolved for verdict in faults)
    broken_runs = sum(bool(v.problems) for v in faults)
    lines += ["", f"{len(faults):,} fault runs, {broken_runs} with a broken invariant; {unresolved:,} of "]
    lines[-1] += f"{30 * len(faults):,} sessions stayed unresolved, each with its error."
    broken_kills = sum(bool(v.problems) for v in kills)
    hits = Counter(ending for verdict in kills for ending in verdict.endings)
    lines += [
        "",
        f"{len(kills):,} kill-and-resume runs, {broken_kills} with a broken ",
    ]
    lines[-1] += "invariant or other bytes than the undisturbed run: "
    lines[-1] += ", ".join(f"{number} times {ending}" for ending, number in sorted(hits.items())) + "."
    return "\n".join(lines) + "\n"


def report(verdicts: Sequence[Verdict], option: str) -> int:
    """Print the failing seeds with the command that repeats each; how many there were."""
    failing = [verdict for verdict in verdicts if verdict.problems]
    for verdict in failing:
        print(f".venv/bin/python experiments/faults/campaign.py {option} {verdict.seed}")
        print(*(f"    {problem}" for problem in verdict.problems), sep="\n")
    return len(failing)


def main() -> None:
    """Run the campaign, or one seed of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, help="repeat one fault run")
    parser.add_argument("--kill-seed", type=int, help="repeat one kill run")
    parser.add_argument("--into", type=Path, default=HERE, help="where campaign.md goes")
    arguments = parser.parse_args()
    if arguments.seed is not None or arguments.kill_seed is not None:
        single = fault_run(arguments.seed) if arguments.seed is not None else kill_run(arguments.kill_seed)
        print(single)
        raise SystemExit(report([single], "--seed" if arguments.seed is not None else "--kill-seed"))
    # Spawned, not forked: Polars' threads do not survive a fork.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        faults = pool.map(fault_run, range(arguments.runs), chunksize=10)
        faulty = list(track(faults, "fault runs", total=arguments.runs))
        killed = list(track(pool.map(kill_run, range(arguments.kills)), "kills", total=arguments.kills))
    arguments.into.mkdir(parents=True, exist_ok=True)
    (arguments.into / "campaign.md").write_text(table(faulty, killed), encoding="utf-8")
    print(table(faulty, killed))
    raise SystemExit(min(1, report(faulty, "--seed") + report(killed, "--kill-seed")))


if __name__ == "__main__":
    main()
