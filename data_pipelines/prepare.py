"""A data set written once: questions of all splits as array_record shards, looked through for leaks, and packed.

Every shard is a function of the plan alone and appears under its name when it is whole, with its facts beside it in
`.progress`, so a preparation that is cut off anywhere goes on with the shards that are missing, by any number of
processes, to the same bytes. What a folder holds when it is done:

    dataset.json        the plan, and what came of it: counts, leaks
    README.md           the card
    modular_math/...    array_record shards and metadata, as TFDS reads them
    packed.json, rows-00000.npy ...   the training questions as `packing` lays them out, where rows are wanted
"""

import dataclasses
import fcntl
import itertools
import json
import logging
import os
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_pipelines import BadInput, card, packing, processes
from data_pipelines.duplicates import QUESTIONS, THRESHOLD, EvaluationSets, Leak, figures
from data_pipelines.modular_math import modular_math_dataset_builder as tfds_builder
from data_pipelines.modular_math import released
from data_pipelines.modular_math.source import Question, QuestionSource
from data_pipelines.splits import SPLITS
from data_pipelines.tokenizer import MathTokenizer

FACTS = "dataset.json"
CARD = "README.md"
SAMPLES = 5  # questions of each set in the table of samples
_FORMAT = 1
_PROGRESS = ".progress"
_ORDER = ("extrapolate", "interpolate", "validation", "train")  # each is looked through for those before it
_LEFT_OVER = re.compile(r".*\.\d+")  # files under a temporary name end in a process id

Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to prepare.

    Attributes:
      config: the questions, how many, and the name of the whole.
      row_length: tokens a packed row; 0 packs nothing.
      released: folder of the released test files of Saxton et al., evaluation sets as well; "" without.
    """

    config: tfds_builder.MathConfig
    row_length: int = 0
    released: str = ""

    def identity(self, tokenizer: MathTokenizer) -> dict[str, Any]:
        """What decides every byte."""
        math = self.config.math
        return {
            "format": _FORMAT,
            "version": str(tfds_builder.Builder.VERSION),
            "name": self.config.name,
            "modules": list(math.modules),
            "seed": math.seed,
            "settings": json.loads(json.dumps({module: dict(values) for module, values in math.settings.items()})),
            "train_count": self.config.train_count,
            "held_out_count": self.config.held_out_count,
            "row_length": self.row_length,
            "tokenizer": tokenizer.fingerprint() if self.row_length else "",
            "released": self.released,
        }


@dataclasses.dataclass(frozen=True)
class _Shard:
    split: str
    number: int
    shards: int
    questions: range  # of the split, its sets one after the other


def prepare(
    plan: Plan, folder: str | Path, tokenizer: MathTokenizer, workers: int = 1, progress: Progress = lambda *_: None
) -> dict[str, Any]:
    """Writes the data set, or what of it is missing, and returns what dataset.json says.

    Args:
      workers: processes; the bytes are the same for any number.
      progress: is told (stage, done, total), in questions.

    Raises:
      BadInput: another preparation is at work in the folder, or it was begun with another plan.
    """
    folder = Path(folder)
    (folder / _PROGRESS).mkdir(parents=True, exist_ok=True)
    with (folder / _PROGRESS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(
                f"another `vishwam prepare` is writing {folder}: wait for it or give another --out"
            ) from None
        return _prepare(plan, folder, tokenizer, workers, progress)


def _prepare(plan: Plan, folder: Path, tokenizer: MathTokenizer, workers: int, progress: Progress) -> dict[str, Any]:
    for split in released.SPLITS if plan.released else ():
        released.sets(plan.released, split)  # What is wrong with them shows before the work.
    identity = plan.identity(tokenizer)
    _insist_on(folder, identity)
    _remove_left_overs(folder)
    writer = _Writer(plan, folder)
    for split in _ORDER:
        _write_all(writer, writer.shards(split), workers, partial(progress, split))
    writer.write_metadata()
    facts: dict[str, Any] = {"plan": identity, "threshold": THRESHOLD, "splits": {}, "sets": {}, "leaks": {}}
    removed: list[int] = []
    for split in SPLITS:
        of_shards = [writer.facts(shard) for shard in writer.shards(split)]
        facts["splits"][split] = sum(each["records"] for each in of_shards)
        counts = sum((Counter(each["sets"]) for each in of_shards), Counter())
        facts["sets"][split] = dict(sorted(counts.items()))
        facts["leaks"][split] = _summed([each["leaks"] for each in of_shards])
        removed += [index for each in of_shards for index in each["removed"]]
    facts["removed"] = len(removed)
    if plan.row_length:
        kept = Kept(plan.config.math.train_source(), removed)
        count = plan.config.train_count - len(removed)
        name = f"{plan.config.name}: {count} training questions, seed {plan.config.math.seed}"
        rows = packing.pack(
            kept,
            count,
            tokenizer,
            plan.row_length,
            folder,
            name,
            processes=workers,
            progress=lambda done: progress("packing", done, count),
        )
        places = len(rows) * plan.row_length
        facts["packed"] = {"rows": len(rows), "tokens": rows.tokens, "filled": round(rows.tokens / places, 4)}
    _write_text(folder / CARD, card.markdown(facts))
    # A worker of a preparation that was killed lives a moment longer, and may have begun a file in it.
    _remove_left_overs(folder)
    _write_text(folder / FACTS, json.dumps(facts, indent=1))
    return facts


def _remove_left_overs(folder: Path) -> None:
    for path in folder.rglob("*"):
        if _LEFT_OVER.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def files(folder: str | Path) -> list[Path]:
    """What of a prepared folder makes the data set, relative to it, sorted."""
    folder = Path(folder)
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path.parts[0] != _PROGRESS)


def samples(plan: Plan) -> Iterator[tuple[str, str, Question]]:
    """The first questions of every set: (split, set, question); of the mixture, of each module."""
    math = plan.config.math
    for split in SPLITS:
        for name, source in math.sets(split).items():
            for index in range(SAMPLES):
                yield split, name, source[index]


class Kept:
    """A source without the questions at `removed`; it pickles as its arguments."""

    def __init__(self, source: QuestionSource, removed: Sequence[int]):
        self._source = source
        # The j-th removed question stands before as many kept ones as its index less j.
        self._kept_before = [index - place for place, index in enumerate(sorted(removed))]

    def __getitem__(self, index: int) -> Question:
        return self._source[index + bisect_right(self._kept_before, index)]


class _Writer:
    """Writes shards; every process has its own."""

    def __init__(self, plan: Plan, folder: Path):
        self._plan = plan
        self._folder = folder
        # TFDS warns of every config that is not its class's own, with all of its modules.
        absl, level = logging.getLogger("absl"), logging.getLogger("absl").level
        absl.setLevel(logging.ERROR)
        self._builder = tfds_builder.Builder(data_dir=folder, config=plan.config)
        absl.setLevel(level)
        self._evaluation_sets: dict[str, EvaluationSets] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _Writer, (self._plan, self._folder)

    def shards(self, split: str) -> list[_Shard]:
        config = self._plan.config
        total = config.count(split) * len(config.sets(split))
        size = tfds_builder.RECORDS_A_SHARD
        starts = range(0, total, size)
        return [
            _Shard(split, number, len(starts), range(start, min(start + size, total)))
            for number, start in enumerate(starts)
        ]

    def path(self, shard: _Shard) -> Path:
        return tfds_builder.shard_path(self._builder, shard.split, shard.number, shard.shards)

    def is_done(self, shard: _Shard) -> bool:
        try:
            return self.path(shard).stat().st_size == self.facts(shard)["file_bytes"]
        except (OSError, ValueError, KeyError):
            return False

    def facts(self, shard: _Shard) -> dict[str, Any]:
        return json.loads(self._facts_path(shard).read_bytes())

    def _facts_path(self, shard: _Shard) -> Path:
        return self._folder / _PROGRESS / f"{shard.split}-{shard.number:05}.json"

    def write(self, shard: _Shard) -> int:
        """Writes one shard and its facts; returns how many questions were looked at."""
        config = self._plan.config
        named, count = list(config.sets(shard.split).items()), config.count(shard.split)
        records = [tfds_builder.record(*named[at // count], at % count) for at in shard.questions]
        leaks: list[Leak] = []
        if shard.split in ("train", "validation"):
            leaks = self._before(shard.split).find([record["question"] for record in records])
        train = shard.split == "train"
        removed = [at for at, leak in zip(shard.questions, leaks, strict=bool(leaks)) if leak and train]
        gone = frozenset(removed)
        kept = [record for at, record in zip(shard.questions, records, strict=True) if at not in gone]
        serialized = tfds_builder.serialize(self._builder, kept)
        path = self.path(shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        tfds_builder.write_shard(temporary, serialized)
        facts = {
            "records": len(kept),
            "bytes": sum(map(len, serialized)),
            "file_bytes": temporary.stat().st_size,
            "sets": dict(Counter(record["set"] for record in kept)),
            "leaks": figures(leaks),
            "removed": removed,
        }
        temporary.rename(path)
        _write_text(self._facts_path(shard), json.dumps(facts))
        return len(shard.questions)

    def _before(self, split: str) -> EvaluationSets:
        """The sets that `split` must not share anything with: they are written already."""
        if split not in self._evaluation_sets:
            sets: dict[str, list[str]] = defaultdict(list)
            for other in _ORDER[: _ORDER.index(split)]:
                for shard in self.shards(other):
                    for record in tfds_builder.read_shard(self._builder, self.path(shard)):
                        sets[f"{other}/{record['set']}"].append(record["question"])
            for other in released.SPLITS if self._plan.released else ():
                for name, test in released.sets(self._plan.released, other).items():
                    sets[f"released {other}/{name}"] = [test[index].question for index in range(len(test))]
            self._evaluation_sets[split] = EvaluationSets(sets, QUESTIONS)
        return self._evaluation_sets[split]

    def write_metadata(self) -> None:
        """What TFDS reads the shards by."""
        lengths = {split: [self.facts(shard) for shard in self.shards(split)] for split in SPLITS}
        tfds_builder.write_metadata(
            self._builder,
            {
                split: ([each["records"] for each in of_shards], sum(each["bytes"] for each in of_shards))
                for split, of_shards in lengths.items()
                if of_shards
            },
        )


_writer: _Writer | None = None  # of a process of a pool


def _begin(writer: _Writer) -> None:
    global _writer
    _writer = writer


def _write(shard: _Shard) -> int:
    assert _writer is not None
    return _writer.write(shard)


def _write_all(writer: _Writer, shards: list[_Shard], workers: int, progress: Callable[[int, int], None]) -> None:
    missing = [shard for shard in shards if not writer.is_done(shard)]
    total = sum(len(shard.questions) for shard in shards)
    done = total - sum(len(shard.questions) for shard in missing)
    progress(done, total)
    if workers > 1 and len(missing) > 1:
        with processes.pool(min(workers, len(missing)), _begin, writer) as pool:
            for size in pool.map(_write, missing):
                progress(done := done + size, total)
    else:
        for shard in missing:
            progress(done := done + writer.write(shard), total)


def _summed(of_shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    by_set: Counter[str] = Counter()
    for each in of_shards:
        by_set.update(each["by_set"])
    counts = ("documents", "near_duplicates", "contaminated", "leaked")
    summed: dict[str, Any] = {name: sum(each[name] for each in of_shards) for name in counts}
    return summed | {"by_set": dict(sorted(by_set.items()))}


def _insist_on(folder: Path, identity: dict[str, Any]) -> None:
    path = folder / _PROGRESS / "plan.json"
    if not path.exists():
        strays = [found.name for found in itertools.islice(folder.iterdir(), 2) if found.name != _PROGRESS]
        if strays:
            raise BadInput(f"{folder} holds {strays[0]} and no data set: give an empty folder as --out")
        _write_text(path, json.dumps(identity, indent=1))
        return
    before = json.loads(path.read_bytes())
    for name, value in identity.items():
        if before.get(name) != value:
            raise BadInput(
                f"{folder} was begun with {name} {_short(before.get(name))}, not {_short(value)}: give another --out"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
