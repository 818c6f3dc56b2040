"""What a decoder is made of: the one dataclass that Gin sets and every part of the model reads."""

import dataclasses

POSITIONS = ("place", "rope", "none")
ACTIVATIONS = ("swiglu", "gelu")
COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Shape and ingredients of a decoder.

    `vocab_size`, `pad_id` and `digit_token_ids` (the ids of '0' to '9', empty when digits are not single tokens) come
    from the tokeniser. The fields named `place_*` are the ingredients of `MathReasoningLayer`, read only when
    `position` is 'place'; each can be switched off alone. Raises ValueError with the field's name when a value
    makes no decoder.
    """

    vocab_size: int = 264
    pad_id: int = 0
    digit_token_ids: tuple[int, ...] = ()
    num_layers: int = 2
    model_dim: int = 64
    num_heads: int = 4
    mlp_dim: int = 128
    activation: str = "swiglu"
    position: str = "place"
    rope_theta: float = 10_000.0
    place_heads: int = 2  # heads that see digits only, by relative place
    place_rope: bool = False  # the other heads are rotary rather than without positions
    place_window: int = 3  # relative places from -window to window have a bias of their own
    place_hard_mask: bool = True  # digits outside the window are not seen, rather than seen without a bias
    place_init: float = 5.0  # bias of head j at offset j mod 2, and against its own number, at the start; 0 is flat
    place_ordinal: bool = True  # a learned bias by how many numbers ago the digit's number stands
    place_sink: bool = True  # place heads may attend to nothing, so a missing digit is told from a zero
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "model_dim", "num_heads", "mlp_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, allowed in (
            ("position", POSITIONS),
            ("activation", ACTIVATIONS),
            ("compute_dtype", COMPUTE_DTYPES),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.model_dim % self.num_heads:
            raise ValueError(f"model_dim {self.model_dim} is not a multiple of num_heads {self.num_heads}")
        if self.rotary_heads and self.head_dim % 2:
            raise ValueError(f"rope needs an even head width; model_dim / num_heads is {self.head_dim}")
        if self.position == "place":
            if not 0 <= self.place_heads <= self.num_heads:
                raise ValueError(f"place_heads must lie in 0 to num_heads ({self.num_heads}), not {self.place_heads}")
            if self.place_window < 0:
                raise ValueError(f"place_window must be at least 0, not {self.place_window}")
            # Empty until the tokeniser is known; `Decoder` then insists on them.
            if self.digit_token_ids and len(self.digit_token_ids) != 10:
                raise ValueError("position 'place' needs a tokeniser whose ten digits are single tokens")
        if not 0 <= self.pad_id < self.vocab_size:
            raise ValueError(f"pad_id {self.pad_id} is outside the vocabulary of {self.vocab_size}")

    @property
    def head_dim(self) -> int:
        return self.model_dim // self.num_heads

    @property
    def rotary_heads(self) -> int:
        """How many heads, counted from the last, carry rotary positions."""
        if self.position == "rope":
            return self.num_heads
        return self.num_heads - self.place_heads if self.position == "place" and self.place_rope else 0
