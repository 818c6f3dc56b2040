"""What a trial is made of: plain frozen dataclasses that Gin fills and everything else only reads."""

from dataclasses import dataclass, field

from data_pipelines.modular_math.source import ModularMath
from data_pipelines.planted_bias import PlantedBias
from vishwam.fairness.bias import BiasConfig
from vishwam.model.decoder import DecoderConfig

from .optimizer import Knobs


@dataclass(frozen=True)
class TokenizerConfig:
    """Which tokeniser reads the text.

    name: a Hugging Face name or a local folder; "characters" is the byte-level one made at set-up.
    reverse_digits: numbers stand least-significant digit first inside the model, as one adds on paper.
    """

    name: str = "characters"
    reverse_digits: bool = True


@dataclass(frozen=True)
class LoopConfig:
    """How long a trial runs and how often it looks up from its work. Counts are in optimizer steps or in questions.

    steps: length of the trial, and of the learning-rate schedule.
    batch_size: rows a step: questions, unless rows are packed.
    length_buckets: token lengths a batch is padded to, ascending; each is one compiled program.
    steps_per_dispatch: steps a compiled call runs; small models are faster with several.
    log_every: train metrics, a multiple of steps_per_dispatch.
    validate_every: teacher-forced loss on held-out questions, what early stopping compares.
    evaluate_every: greedy decoding on every evaluation set, then a checkpoint and its upload.
    validation_questions, evaluation_questions: held-out questions a set on these occasions.
    final_questions: the same when the trial is at its end.
    max_answer_tokens: greedy decoding stops there.
    written_texts, written_tokens, written_ngram: for `Knobs.sequence_unlikelihood` the model writes so many texts of so
      many tokens a step, and of runs of so many tokens none is to come twice.
    until_exact_match: the trial ends as soon as so large a share of `evaluation_questions` in range is right, which is
        looked at with every validation; `steps` is then the most it gets. 0: it runs all of them.
    """

    seed: int = 0
    steps: int = 900
    batch_size: int = 64
    length_buckets: tuple[int, ...] = (64,)
    steps_per_dispatch: int = 10
    log_every: int = 10
    validate_every: int = 50
    evaluate_every: int = 300
    validation_questions: int = 512
    evaluation_questions: int = 64
    final_questions: int = 500
    max_answer_tokens: int = 128
    written_texts: int = 4
    written_tokens: int = 32
    written_ngram: int = 4
    until_exact_match: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name not in ("seed", "length_buckets", "until_exact_match") and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie from 0 to below 2**32, not {self.seed}")
        if not 0 <= self.until_exact_match <= 1:
            raise ValueError(f"until_exact_match must lie from 0 to 1, not {self.until_exact_match}")
        if not self.length_buckets or list(self.length_buckets) != sorted(set(self.length_buckets)):
            raise ValueError(f"length_buckets must ascend and not be empty, not {self.length_buckets}")
        for name in ("steps", "log_every", "validate_every", "evaluate_every"):
            if getattr(self, name) % self.steps_per_dispatch:
                each, value = self.steps_per_dispatch, getattr(self, name)
                raise ValueError(f"{name} must be a multiple of steps_per_dispatch ({each}), not {value}")


@dataclass(frozen=True)
class PackingConfig:
    """Training rows that hold several examples each, instead of one that is padded to a bucket of lengths.

    row_length: tokens a row; 0 is one example a row.
    folders: rows packed by `vishwam prepare`; without any, rows are packed as they are needed, from endless questions.
    weights: of the folders in the mixture; equal unless given.
    """

    row_length: int = 0
    folders: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.row_length < 0:
            raise ValueError(f"row_length must be at least 0, not {self.row_length}")
        if self.folders and not self.row_length:
            raise ValueError("folders of packed rows need row_length, the tokens a row")
        if self.weights and len(self.weights) != len(self.folders):
            raise ValueError(f"weights must be one a folder ({len(self.folders)}), not {self.weights}")


@dataclass(frozen=True)
class Experiment:
    """One trial, whole. `model` lacks only what the tokeniser knows (vocabulary, digit tokens).

    pretrained: a folder of Hugging Face with the weights to start from; '' starts from random ones. `model` must be of
        the same shape, and the tokeniser should be the folder's.
    """

    data: ModularMath | PlantedBias = field(default_factory=ModularMath)
    packing: PackingConfig = field(default_factory=PackingConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: DecoderConfig = field(default_factory=DecoderConfig)
    knobs: Knobs = field(default_factory=Knobs)
    loop: LoopConfig = field(default_factory=LoopConfig)
    bias: BiasConfig = field(default_factory=BiasConfig)
    pretrained: str = ""

    @property
    def longest_row(self) -> int:
        """Tokens of the longest rows that a step may be compiled for."""
        return self.packing.row_length or max(self.loop.length_buckets)

    @property
    def shortest_row(self) -> int:
        """Tokens of the shortest rows that a step is compiled for: every trial needs the memory for these."""
        return self.packing.row_length or min(self.loop.length_buckets)

    def __post_init__(self) -> None:
        if self.knobs.sequence_unlikelihood and self.loop.written_texts % self.model.micro_batches:
            texts, parts = self.loop.written_texts, self.model.micro_batches
            raise ValueError(f"written_texts must be a multiple of micro_batches ({parts}), not {texts}")
        if self.knobs.steps not in (Knobs().steps, self.loop.steps):
            raise ValueError(f"Knobs.steps is LoopConfig.steps ({self.loop.steps}), and not to be set to another value")
        if self.loop.batch_size % self.model.micro_batches:
            parts, rows = self.model.micro_batches, self.loop.batch_size
            raise ValueError(f"batch_size must be a multiple of micro_batches ({parts}), not {rows}")
        # Knobs are traced, and inside the step nothing can be refused any more.
        for name in ("learning_rate", "gradient_clip"):
            if getattr(self.knobs, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self.knobs, name)}")
        for name in ("warmup_steps", "weight_decay", "z_loss", "pairing", "unlikelihood", "sequence_unlikelihood"):
            if getattr(self.knobs, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self.knobs, name)}")
        if self.knobs.pairing and not isinstance(self.data, PlantedBias):
            raise ValueError("pairing needs data that has counterfactuals: PlantedBias")
        if not 0 <= self.knobs.decay <= 1:
            raise ValueError(f"decay must lie from 0 to 1, not {self.knobs.decay}")
        for name in ("beta1", "beta2", "average_decay"):
            if not 0 <= getattr(self.knobs, name) < 1:
                raise ValueError(f"{name} must lie from 0 to below 1, not {getattr(self.knobs, name)}")
