"""What a decoder is made of: the one dataclass that Gin sets and every part of the model reads."""

import dataclasses
from typing import Any

POSITIONS = ("place", "rope", "abacus", "none")
ACTIVATIONS = ("swiglu", "gelu")
COMPUTE_DTYPES = ("float32", "bfloat16")
ROPE_SCALINGS = ("none", "linear", "llama3", "yarn")
REMATS = ("none", "products", "all")
ATTENTIONS = ("auto", "xla", "cudnn")

# Models of more layers are compiled as one layer in a loop, which compiles sooner; of fewer, one layer after another,
# which on CPU takes 15 to 28% less time a step: a loop copies all that it keeps for its gradient.
# Written out, XLA's CPU compiler finds what a layer computes again to be what it had, and keeps it: no memory is saved.
WRITTEN_OUT = 16

# What a sweep over ingredients compares: the fields that differ from those that are set. Heads of a kind that is left
# out see everything instead.
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no end heads": {"place_end_heads": 0},
    "no above heads": {"place_above_heads": 0},
    "no symbol heads": {"place_symbol_heads": 0},
    "no content ordinal": {"place_content_ordinal": False},
    "no ordinal": {"place_ordinal": False},
    "no hard mask": {"place_hard_mask": False},
    "no sink": {"place_sink": False},
    "flat start": {"place_init": 0.0},
    "abacus": {"position": "abacus"},
    "rope": {"position": "rope"},
    "no positions": {"position": "none"},
}

CHOICES = {
    "variant": tuple(VARIANTS),
    "position": POSITIONS,
    "activation": ACTIVATIONS,
    "compute_dtype": COMPUTE_DTYPES,
    "rope_scaling": ROPE_SCALINGS,
    "remat": REMATS,
    "attention": ATTENTIONS,
}


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Shape and ingredients of a decoder, from 100 thousand parameters to billions.

    `vocab_size`, `pad_id` and `digit_token_ids` (the ids of '0' to '9', empty when digits are not single tokens) come
    from the tokeniser. The fields named `place_*` are the ingredients of `MathReasoningLayer`, read only when
    `position` is 'place'; each can be switched off alone. Those named `rope_*` are read where heads are rotary, those
    named `abacus_*` where `position` is 'abacus'.
    Parameters are float32 whatever `compute_dtype` is. Raises ValueError with the field's name when a value makes no
    decoder.
    """

    vocab_size: int = 264
    pad_id: int = 0
    digit_token_ids: tuple[int, ...] = ()
    num_layers: int = 2
    # Times that a text goes through the layers, its embeddings added again before each (input injection).
    loops: int = 1
    # The loss of a step of training is of 1 to `loops` times, each equally often; penalties are always of all.
    loops_random: bool = False
    model_dim: int = 64
    num_heads: int = 4
    num_kv_heads: int = 0  # heads of keys and values, each shared by as many queries' (Ainslie 2023); 0: num_heads
    head_dim: int = 0  # width of a head; 0: model_dim / num_heads
    mlp_dim: int = 128
    activation: str = "swiglu"
    norm_epsilon: float = 1e-6
    qk_norm: bool = False  # RMSNorm of each head's query and key before they are rotated, as in Qwen3
    qkv_bias: bool = False  # as in Qwen2
    out_bias: bool = False
    mlp_bias: bool = False
    tied_embeddings: bool = True  # the output reads the embedding's table rather than one of its own
    scaled_embeddings: bool = True  # embeddings times sqrt(model_dim), as in Vaswani et al. 2017 and Gemma
    position: str = "place"
    rope_theta: float = 10_000.0
    rope_scaling: str = "none"  # how rotary positions reach beyond the length they were trained at; see `rope`
    rope_factor: float = 1.0  # how many times that length
    rope_original_length: int = 8192  # that length, for llama3 and yarn
    rope_low_frequency: float = 1.0  # llama3: turns over that length below which an angle is slowed down by the factor
    rope_high_frequency: float = 4.0  # llama3: turns above which it is left alone
    rope_beta_fast: float = 32.0  # yarn: turns above which an angle is left alone
    rope_beta_slow: float = 1.0  # yarn: turns below which it is slowed down by the factor
    rope_attention_factor: float = 0.0  # yarn: by which queries and keys grow; 0: 0.1 ln(factor) + 1
    place_heads: int = 2  # heads that see digits only, by relative place; other tokens look on to the next number
    place_end_heads: int = 0  # more of them, in which other tokens look back to the end of the number before
    place_above_heads: int = 0  # heads that see all digits of higher places, however far: does the number end here?
    place_symbol_heads: int = 0  # heads that see only what is no digit: long numbers do not drown a sign
    place_rope: bool = False  # the other heads are rotary rather than without positions
    place_window: int = 3  # relative places from -window to window have a bias of their own
    place_hard_mask: bool = True  # digits outside the window are not seen, rather than seen without a bias
    place_init: float = 5.0  # bias of head j at offset j mod 2, and against its own number, at the start; 0 is flat
    place_ordinal: bool = True  # a learned bias by how many numbers ago the digit's number stands
    place_content_ordinal: bool = False  # the same for the heads that see more than digits, of any token's ordinal
    place_sink: bool = True  # place heads may attend to nothing, so a missing digit is told from a zero
    variant: str = "whole"  # of VARIANTS: sets some of these fields anew, as one knob of a sweep
    compute_dtype: str = "float32"
    attention: str = "auto"  # by cuDNN's kernel, by matrix products, or by whichever the device and the texts allow
    remat: str = "none"  # what a layer computes again backwards: nothing, all but its matrix products, or everything
    micro_batches: int = 1  # parts of a batch that are trained on one after another, for one step on their mean
    abacus_places: int = 128  # position 'abacus': places that have an embedding, higher ones share the last's
    abacus_offset: int = 100  # by so many at most a step of training shifts all places, or high ones were never seen
    loss_chunk: int = 0  # tokens whose logits are held at once in the loss, for large vocabularies; 0: all

    def __post_init__(self) -> None:
        for name, value in VARIANTS.get(self.variant, {}).items():
            object.__setattr__(self, name, value)
        for name in (
            "vocab_size",
            "num_layers",
            "loops",
            "model_dim",
            "num_heads",
            "mlp_dim",
            "rope_original_length",
            "micro_batches",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("num_kv_heads", "head_dim", "loss_chunk", "rope_attention_factor"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("norm_epsilon", "rope_theta", "rope_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if not self.head_dim and self.model_dim % self.num_heads:
            raise ValueError(f"model_dim {self.model_dim} is not a multiple of num_heads {self.num_heads}")
        if self.num_heads % self.kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if self.rotary_heads and self.head_width % 2:
            raise ValueError(
                f"rope needs an even head width, by head_dim or model_dim / num_heads; not {self.head_width}"
            )
        if self.rotary_heads and self.rotary_heads % (self.num_heads // self.kv_heads):
            raise ValueError(
                f"num_kv_heads {self.kv_heads} would be shared by heads that are rotary and heads that are not"
            )
        if self.attention == "cudnn" and not self.fits_cudnn:
            raise ValueError(
                "attention 'cudnn' needs compute_dtype 'bfloat16', a position that is not 'place' and a head width of "
                f"8 to 128 in eights, not {self.compute_dtype!r}, {self.position!r} and {self.head_width}"
            )
        if self.rope_scaling == "llama3" and not self.rope_low_frequency < self.rope_high_frequency:
            raise ValueError(f"rope_low_frequency must be below rope_high_frequency, not {self.rope_low_frequency}")
        if self.rope_scaling == "yarn" and not self.rope_beta_slow < self.rope_beta_fast:
            raise ValueError(f"rope_beta_slow must be below rope_beta_fast, not {self.rope_beta_slow}")
        if self.position == "place":
            left = self.num_heads
            for name in ("place_heads", "place_end_heads", "place_above_heads", "place_symbol_heads"):
                heads = getattr(self, name)
                if not 0 <= heads <= left:
                    raise ValueError(f"{name} must lie in 0 to {left} of num_heads ({self.num_heads}), not {heads}")
                left -= heads
            if self.place_window < 0:
                raise ValueError(f"place_window must be at least 0, not {self.place_window}")
        # Empty until the tokeniser is known; `Decoder` then insists on them.
        if self.knows_places and self.digit_token_ids and len(self.digit_token_ids) != 10:
            raise ValueError(f"position {self.position!r} needs a tokeniser whose ten digits are single tokens")
        if self.position == "abacus":
            if self.abacus_places < 1:
                raise ValueError(f"abacus_places must be at least 1, not {self.abacus_places}")
            if not 0 <= self.abacus_offset < self.abacus_places:
                raise ValueError(
                    f"abacus_offset must lie from 0 to below abacus_places ({self.abacus_places}), "
                    f"not {self.abacus_offset}"
                )
        if not 0 <= self.pad_id < self.vocab_size:
            raise ValueError(f"pad_id {self.pad_id} is outside the vocabulary of {self.vocab_size}")

    @property
    def kv_heads(self) -> int:
        return self.num_kv_heads or self.num_heads

    @property
    def head_width(self) -> int:
        return self.head_dim or self.model_dim // self.num_heads

    @property
    def depth(self) -> int:
        """How many layers a text goes through."""
        return self.num_layers * self.loops

    @property
    def scanned(self) -> bool:
        """Whether layers are compiled as one in a loop."""
        return self.depth > WRITTEN_OUT or self.remat != "none"

    @property
    def knows_places(self) -> bool:
        """Whether positions are those of digits in their numbers."""
        return self.position in ("place", "abacus")

    @property
    def fits_cudnn(self) -> bool:
        """Whether cuDNN's attention can compute this model's."""
        heads = self.head_width <= 128 and self.head_width % 8 == 0
        return self.compute_dtype == "bfloat16" and self.position != "place" and heads

    @property
    def rotary_heads(self) -> int:
        """How many heads, counted from the last, carry rotary positions."""
        if self.position == "rope":
            return self.num_heads
        return self.content_heads if self.position == "place" and self.place_rope else 0

    @property
    def content_heads(self) -> int:
        """How many heads, counted from the last, see all tokens."""
        return self.num_heads - (self.digit_heads + self.place_symbol_heads if self.position == "place" else 0)

    @property
    def digit_heads(self) -> int:
        """How many heads, counted from the first, see digits alone where `position` is 'place'."""
        return self.place_heads + self.place_end_heads + self.place_above_heads
