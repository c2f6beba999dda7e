"""What `harness train` does: a recipe read, a training begun or gone on with, its outcome written. Needs torch."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import torch

from harness import UsageError
from harness.errors import StoreError
from harness.interrupt import handlers
from harness.loggers import Logger, open_logger, read_names, require
from harness_ttm.synthetic import VERSION
from harness_ttm.train import parallel
from harness_ttm.train.checkpoints import Checkpoints
from harness_ttm.train.checks import check, check_world
from harness_ttm.train.curve import Row
from harness_ttm.train.loop import Trainer, check_network, checkpoint_folder
from harness_ttm.train.outcome import sizes, trained_model, write_outcome, write_recipe
from harness_ttm.train.pace import measure
from harness_ttm.train.progress import Progress, make_progress
from harness_ttm.train.reading import differences
from harness_ttm.train.recipe import Recipe

__all__ = ["Options", "limit_threads", "run"]


@dataclass(frozen=True)
class Options:
    """The command line."""

    config: Path
    folder: Path
    changes: tuple[str, ...] = ()
    device: str = "cpu"
    resume: bool | None = None  # True: there must be a checkpoint; False: start again; None: go on where there is one
    seconds: float | None = None
    dry_run: bool = False
    db: Path | None = None
    progress: str = "auto"


def run(options: Options) -> int:
    """Train; the exit code. Under `torchrun` every process calls this, and only rank 0 speaks and writes.

    Raises:
        UsageError: a recipe, device or folder that will not do.
        KeyboardInterrupt: it was interrupted; a checkpoint is written.
    """
    recipe = Recipe.load(options.config, options.changes)
    require(recipe.log)
    rank, world, device = parallel.join(options.device)
    try:
        check_world(recipe, world)
        progress = make_progress(options.progress if rank == 0 else "none")
        if rank == 0:
            _prepare(options, progress)
        parallel.agree(None, world)
        if options.dry_run:
            if rank == 0:
                print(describe(recipe, options, device, world))
            return 0
        if rank == 0:
            _check_database(options.db)
        if options.seconds is not None:
            recipe = _fitted(recipe, options, options.seconds, (device, rank, world), progress)
        return _train(recipe, options, (device, rank, world), progress)
    finally:
        parallel.leave(world)


def _prepare(options: Options, progress: Progress) -> None:
    """Refuse a folder that will not do; remove what a fresh start does not want."""
    folder = options.folder
    try:
        _check_folder(folder)
        checkpoints = Checkpoints(checkpoint_folder(folder), 1, progress.message)
        if options.resume and not checkpoints.files():
            raise UsageError(f"got --resume, and there is no checkpoint in {checkpoints.folder}; type the same without it")
    except OSError as error:
        raise UsageError(f"-o {str(folder)[:200]}: {error.strerror or error}; wanted a folder, made if it is not there") from None


def _check_folder(folder: Path) -> None:
    """Refuse what is no folder, and one with files that no training wrote."""
    here = Path.cwd().resolve()
    if folder.resolve() in (here, *here.parents):
        raise UsageError(f"-o {folder}: that is the working folder, or one above it; wanted a folder of its own, made if it is not there")
    for path in (folder, checkpoint_folder(folder)):
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not there.is_dir():
            raise UsageError(f"-o {folder}: {there} is a file; wanted a folder, made if it is not there")
    if folder.exists() and not (folder / "recipe.yaml").exists() and (inside := sorted(p.name for p in folder.iterdir())):
        raise UsageError(f"-o {folder} holds {', '.join(inside[:3])}, and no recipe.yaml: it is not of a training. Name another folder")


def _check_database(db: Path | None) -> None:
    """Refuse a results database that could not take the record, before hours of training."""
    if db is not None:
        from harness.plugins import load

        load().store(db).check()


def _fitted(recipe: Recipe, options: Options, seconds: float, place: tuple[str, int, int], progress: Progress) -> Recipe:
    """The recipe with as many steps as fit into the time; with those of the checkpoint where there is one."""
    device, rank, world = place
    again = options.resume is not False and rank == 0
    found = Checkpoints(checkpoint_folder(options.folder), 1, lambda _: None).newest("cpu") if again else None
    steps = parallel.agree(found and found[1].get("recipe", {}).get("steps"), world)
    if steps:
        progress.message(f"--time was settled when this training began: {steps:,} steps")
    else:
        slow = ", compiling the network first, which takes a minute or two" if recipe.compile else ""
        progress.message(f"measuring how many steps fit into the time{slow}")
        pace = measure(recipe, device, rank, world)
        steps = parallel.agree(pace.steps(seconds, recipe), world)
        progress.message(f"{steps:,} steps: {pace.step * 1000:.0f} ms each and {pace.series * 1000:.0f} ms for new series")
    recipe = replace(_as_shares(recipe), steps=steps)
    check(recipe)
    return recipe


def _as_shares(recipe: Recipe) -> Recipe:
    """Numbers of steps in the schedule as the share of the recipe's steps that they are, for another number of steps."""
    schedule, shares = recipe.schedule, {}
    for name in ("warmup", "cycle"):
        if (count := getattr(schedule, name)) >= 1:
            shares[name] = min(count / recipe.steps, 0.99)
    return replace(recipe, schedule=replace(schedule, **shares))


def _train(recipe: Recipe, options: Options, place: tuple[str, int, int], progress: Progress) -> int:
    device, rank, world = place
    trainer = Trainer(recipe, options.folder, device, rank, world, progress)
    with contextlib.ExitStack() as stack:
        if rank == 0:  # nothing was changed before here
            stack.enter_context(trainer.checkpoints.lock())
            if options.resume is False:
                trainer.checkpoints.clear()
            trainer.checkpoints.remove_leftovers()
        going_on = trainer.resume(force=options.resume is True)
        progress.message(_begin(trainer, going_on))
        logger = stack.enter_context(_logger(trainer)) if rank == 0 else Logger({}, progress.message)
        trainer.listeners = (lambda row: logger.log(int(row["step"]), {k: v for k, v in row.items() if k != "step"}),)
        data = recipe.data
        slow = "compiling the network and " if recipe.compile else ""
        progress.message(f"{slow}making {data.chunk * data.chunks:,} series for each of {data.shards} shards")
        if rank == 0:
            write_recipe(options.folder, recipe)
        try:
            with _stopping(trainer, progress.message):
                end = trainer.train()
        finally:
            progress.close()
        if end == "interrupted":
            progress.message(f"stopped after step {trainer.step:,}; the same command goes on from there")
            raise KeyboardInterrupt
        if rank == 0:
            _finish(trainer, end, options.db, logger)
    return 0


def _logger(trainer: Trainer) -> Logger:
    """The loggers of the recipe but csv, which the trainer writes itself; into the folder of checkpoints, as weights are to lie alone."""
    names = [name for name in read_names(trainer.recipe.log) if name != "csv"]
    return open_logger(
        ",".join(names),
        project="harness-ttm",
        run_name=trainer.folder.resolve().name,
        folder=checkpoint_folder(trainer.folder),
        params={**trainer.recipe.to_dict(), "device": trainer.device, "processes": trainer.world, "made series": VERSION},
        notes="harness train ttm",
        step=trainer.step,
        say=trainer.progress.message,
    )


def _finish(trainer: Trainer, end: str, db: Path | None, logger: Logger) -> None:
    """Write the folder, record it, and say so."""
    score, folder = write_outcome(trainer, end), trainer.folder
    logger.finish("done", score, [folder / name for name in ("recipe.yaml", "curve.csv", "README.md")])
    if db is not None:
        from harness.trained import register

        try:
            done = register(db, trained_model(trainer, score, sys.argv))
            trainer.progress.message(f"recorded as {done} in {db}; to train it again and compare: harness replay {done[:12]}")
        except StoreError as error:  # the weights are written, and good
            trainer.progress.message(f"not recorded: {error}")
    print(_ended(trainer, end, score))


def _begin(trainer: Trainer, going_on: bool) -> str:
    count = sum(sizes(trainer.model).values())
    where = f"going on from step {trainer.step:,}" if going_on else "starting"
    real = "".join(f", {c.share:.0%} {Path(c.path).name}" for c in trainer.corpora)
    return f"{where}: {count:,} parameters, {trainer.recipe.steps:,} steps of {trainer.recipe.batch} windows{real}; device {trainer.device}"


def _ended(trainer: Trainer, end: str, score: Row) -> str:
    said = "".join(f", {k.removeprefix('val_')} {v:.4f}" for k, v in score.items() if k != "step")
    early = "" if end == "done" else ", stopped early"
    use = f"harness run -m ttm -M ttm:weights={trainer.folder}"
    return f"{trainer.folder}: {trainer.step:,} steps{early}{'; validation' + said[1:] if said else ''}\nTo use it: {use}"


def describe(recipe: Recipe, options: Options, device: str, world: int) -> str:
    """What would be done, in some lines."""
    from harness_ttm.season_head import SeasonTTM
    from harness_ttm.train.optim import make_optimizer
    from harness_ttm.train.real import load_corpora

    check_network(recipe)
    model = SeasonTTM(recipe.model)
    make_optimizer(model, recipe.optimizer)  # its rules must match
    parts = sizes(model)
    data = recipe.data
    pool = data.chunk * data.chunks * data.length * 4 / 1e6
    files = Checkpoints(checkpoint_folder(options.folder), 1).files()
    default = Recipe(recipe.model).to_dict()
    real = [f"{c.path}: {c.share:.0%}, {len(c.series):,} series, {c.observations:,} observations" for c in load_corpora(data.real)]
    lines = [
        f"network      {sum(parts.values()):,} parameters: " + ", ".join(f"{name} {count:,}" for name, count in parts.items()),
        f"steps        {recipe.steps:,} of {recipe.batch} windows: {recipe.steps * recipe.batch:,} windows"
        + (", or as many as fit into --time" if options.seconds else ""),
        f"made series  version {VERSION}, {data.shards} shards with {pool:,.0f} MB each; {data.workers} worker(s) a process",
        *(f"real series  {line}" for line in real),
        f"processes    {world} on {device}, {recipe.precision}",
        f"folder       {options.folder}; " + (f"goes on from {files[-1].name}" if files and options.resume is not False else "starts anew"),
        "changed      " + (", ".join(key for key in differences(default, recipe.to_dict())) or "nothing"),
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def _stopping(trainer: Trainer, say: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the training after the step that is being done; a second one ends it at once."""

    def ask(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if trainer.stop:
            raise KeyboardInterrupt
        trainer.stop = True
        # Not from within the handler: the stream may be locked by what was interrupted.
        threading.Thread(target=say, args=("stopping after this step; once more to stop at once, without a checkpoint",)).start()

    before = handlers(ask, signal.SIGINT, signal.SIGTERM)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def limit_threads(count: int | None) -> None:
    """Use so many threads, where a number is given."""
    if count:
        torch.set_num_threads(count)
