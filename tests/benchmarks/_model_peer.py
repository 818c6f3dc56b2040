"""A worker on PyTorch: training steps of a Llama-style decoder of the same shape, eager or compiled. Task: vocab_size,
num_layers, model_dim, num_heads, mlp_dim, batch, length, compiled, device ('cpu' or 'cuda'); bfloat16 by autocast on
the latter. Imports nothing of ours but how workers talk.
"""

import contextlib
import json
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.benchmarks._workers import serve


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        B, T, D = x.shape

        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.view(B, T, self.heads, -1).transpose(1, 2)

        def rotate(y: torch.Tensor) -> torch.Tensor:
            first, second = y.chunk(2, -1)
            return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(y.dtype)

        y = self.norm1(x)
        q, k, v = rotate(heads(self.q(y))), rotate(heads(self.k(y))), heads(self.v(y))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(B, T, D))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Model(nn.Module):
    def __init__(self, task: dict[str, Any]):
        super().__init__()
        width = task["model_dim"]
        self.embedding = nn.Embedding(task["vocab_size"], width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        shape = (width, task["num_heads"], task["mlp_dim"])
        self.layers = nn.ModuleList(Layer(*shape) for _ in range(task["num_layers"]))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        half = width // task["num_heads"] // 2
        angle = torch.arange(task["length"])[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main(task: dict[str, Any]) -> None:
    device, on_gpu = task["device"], task["device"] == "cuda"
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    model = Model(task).to(device)
    # Compiled whole, with attention's own kernels; the optimizer is PyTorch's fused one.
    forward = torch.compile(model) if task["compiled"] else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    text = torch.randint(task["vocab_size"], (task["batch"], task["length"] + 1), device=device)

    def work() -> None:
        # On a GPU attention must be flash attention, and not what PyTorch falls back to.
        flash = sdpa_kernel(SDPBackend.FLASH_ATTENTION) if on_gpu else contextlib.nullcontext()
        with flash, torch.autocast(device, torch.bfloat16, enabled=on_gpu):
            loss = forward(text[:, :-1], text[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()  # until it is there

    begun = time.perf_counter()
    work()
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    work()
    compile_s = max(0.0, first - (time.perf_counter() - begun))

    def peak_mb() -> float:
        return torch.cuda.max_memory_allocated() / 2**20

    serve(compile_s, work, peak_mb if on_gpu else None)


main(json.loads(sys.argv[1]))
