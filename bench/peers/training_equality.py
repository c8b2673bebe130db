#!/usr/bin/env python3
"""Proves that heed trains as PyTorch does: from the same weights, on the same tokens, to the same losses.

    bench/peers/training_equality.py --heed build/release/heed [--cases tiny_decoder_4_layers_width_128_batch_12x64]
    bench/peers/training_equality.py --self          PyTorch beside itself: what rounding alone does

For each case it draws a PyTorch model's first weights, writes them with heed's names as safetensors, makes 20 steps of
AdamW (rate 1e-4, PyTorch's defaults, but matrices alone decay, as in heed) in both on one batch of random tokens without
dropout, and prints both losses and their difference. It fails when the losses of the last step differ by more than
--tolerance. Rounding grows while the loss moves by nats, so the largest difference of any step is printed too.

--self runs no heed: PyTorch's float32 losses with two threads beside those with one, and beside those in float64.

Needs: pip install torch numpy.
"""
import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import torch
from torch import nn
from torch.nn import functional

CASES = {  # kind, entries, width, heads, layers, context, sequences, length
    "tiny_decoder_4_layers_width_128_batch_12x64": ("decoder", 65, 128, 4, 4, 64, 12, 64),
    "transformer_base_batch_32x64": ("encoder-decoder", 32000, 512, 8, 6, 512, 32, 64),
    "gpt2_124m_batch_4x256": ("decoder", 50257, 768, 12, 12, 1024, 4, 256),
}


class DecoderLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        sequences, length, width = x.shape
        # [3, sequences, heads, length, width of a head]
        query, key, value = self.qkv(self.attention_norm(x)).view(sequences, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))

    def named_for_heed(self, name):
        yield from pair(name + ".norm1", self.attention_norm, "gain")
        yield from pair(name + ".attention.qkv", self.qkv)
        yield from pair(name + ".attention.out", self.out)
        yield from pair(name + ".norm3", self.mlp_norm, "gain")
        yield from pair(name + ".mlp.up", self.up)
        yield from pair(name + ".mlp.down", self.down)


class LanguageModel(nn.Module):
    """GPT-2's architecture: pre-norm, learned positions, the output projection tied to the embedding."""

    def __init__(self, entries, width, heads, layers, context, deviation):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(entries, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(DecoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.tokens.weight, std=deviation)
        nn.init.normal_(self.positions.weight, std=deviation)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return functional.linear(self.norm(x), self.tokens.weight)

    def named_for_heed(self):
        yield "decoder.embedding.table", self.tokens.weight
        yield "decoder.positions", self.positions.weight
        for i, layer in enumerate(self.layers):
            yield from layer.named_for_heed(f"decoder.layers.{i}")
        yield from pair("decoder.final_norm", self.norm, "gain")


class TranslationModel(nn.Module):
    """nn.Transformer as it comes, with one table for source, target and output."""

    def __init__(self, entries, width, heads, layers, deviation):
        super().__init__()
        self.tokens = nn.Embedding(entries, width)
        self.transformer = nn.Transformer(width, heads, layers, layers, 4 * width, dropout=0.0, batch_first=True)
        nn.init.normal_(self.tokens.weight, std=deviation)

    def forward(self, tokens):
        x, mask = self.tokens(tokens), nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return functional.linear(self.transformer(x, x, tgt_mask=mask, tgt_is_causal=True), self.tokens.weight)

    def named_for_heed(self):
        yield "encoder.embedding.table", self.tokens.weight
        for side, stack in (("encoder", self.transformer.encoder), ("decoder", self.transformer.decoder)):
            for i, layer in enumerate(stack.layers):
                name = f"{side}.layers.{i}"
                yield from pair(name + ".norm1", layer.norm1, "gain")
                yield name + ".attention.qkv.weight", layer.self_attn.in_proj_weight
                yield name + ".attention.qkv.bias", layer.self_attn.in_proj_bias
                yield from pair(name + ".attention.out", layer.self_attn.out_proj)
                if side == "decoder":
                    width, cross = layer.multihead_attn.embed_dim, layer.multihead_attn
                    yield from pair(name + ".norm2", layer.norm2, "gain")
                    for part, rows in (("query", slice(0, width)), ("key_value", slice(width, None))):
                        yield f"{name}.cross.{part}.weight", cross.in_proj_weight[rows]
                        yield f"{name}.cross.{part}.bias", cross.in_proj_bias[rows]
                    yield from pair(name + ".cross.out", cross.out_proj)
                yield from pair(name + ".norm3", layer.norm2 if side == "encoder" else layer.norm3, "gain")
                yield from pair(name + ".mlp.up", layer.linear1)
                yield from pair(name + ".mlp.down", layer.linear2)
            yield from pair(side + ".final_norm", stack.norm, "gain")


def pair(name, module, weight="weight"):
    yield f"{name}.{weight}", module.weight
    yield f"{name}.bias", module.bias


def write_safetensors(path, tensors):
    """The format by hand: the length of the header, the header as JSON, then the elements."""
    header, place, blocks = {}, 0, []
    for name, tensor in tensors:
        block = tensor.detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [place, place + len(block)]}
        place += len(block)
        blocks.append(block)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blocks)


def first_model(case, deviation):
    """The case's model with its first weights, and its tokens: the same at every call."""
    kind, entries, width, heads, layers, context, sequences, length = CASES[case]
    torch.manual_seed(0)
    if kind == "decoder":
        model = LanguageModel(entries, width, heads, layers, context, deviation)
    else:
        model = TranslationModel(entries, width, heads, layers, deviation)
    return model, torch.randint(0, entries, (sequences, length))


def losses_of_pytorch(model, tokens, dtype, steps, threads):
    torch.set_num_threads(threads)
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    # fused: the form that is fast on CPUs; the arithmetic is the same.
    optimiser = torch.optim.AdamW([{"params": matrices}, {"params": others, "weight_decay": 0.0}], 1e-4, fused=True)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def losses_of_heed(heed, case, model, tokens, dtype, steps, threads):
    with tempfile.TemporaryDirectory() as folder:
        weights, ids = pathlib.Path(folder) / "weights.safetensors", pathlib.Path(folder) / "tokens.npy"
        write_safetensors(weights, model.named_for_heed())
        numpy.save(ids, tokens.numpy())
        printed = subprocess.run(
            [heed, "bench", case, "--dtype", dtype, "--losses", str(steps), "--weights", weights, "--tokens", ids,
             "--threads", str(threads), "--json"],
            check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line)["loss"] for line in printed.splitlines()]


def print_beside(case, columns):
    """Prints losses step by step, each further column beside the first; returns the differences of the last step."""
    (first, own), *others = columns
    print(f"{case}\n  step  {first:>18}" + "".join(f"  {name:>18}  difference" for name, _ in others))
    for step, loss in enumerate(own):
        print(f"  {step:4d}  {loss:18.6f}" + "".join(f"  {other[step]:18.6f}  {loss - other[step]:+10.6f}" for _, other in others))
    last = []
    for name, other in others:
        differences = [abs(a - b) for a, b in zip(own, other)]
        last.append(differences[-1])
        print(f"  {first} and {name} differ by {last[-1]:.6f} at the last step, by {max(differences):.6f} at most", flush=True)
    return last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heed", default="build/release/heed")
    parser.add_argument("--self", dest="beside_itself", action="store_true",
                        help="PyTorch in float32 with two threads beside itself with one thread and in float64")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--deviation", type=float, default=0.02,
                        help="of the first embeddings: 0.02 as GPT-2, 1 as nn.Embedding (losses of many nats)")
    parser.add_argument("--tolerance", type=float, default=0.001, help="of the last step's losses")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    def pytorch(case, dtype, threads, double=False):
        model, tokens = first_model(case, arguments.deviation)
        return losses_of_pytorch(model.double() if double else model, tokens, dtype, arguments.steps, threads)

    worst = 0.0
    for case in arguments.cases.split(","):
        if arguments.beside_itself:
            print_beside(case, [("float32, 2 threads", pytorch(case, "float32", 2)),
                                ("float32, 1 thread", pytorch(case, "float32", 1)),
                                ("float64", pytorch(case, "float64", 2, double=True))])
            continue
        model, tokens = first_model(case, arguments.deviation)
        own = losses_of_heed(arguments.heed, case, model, tokens, arguments.dtype, arguments.steps, arguments.threads)
        other = losses_of_pytorch(model, tokens, arguments.dtype, arguments.steps, arguments.threads)
        del model
        worst = max(worst, *print_beside(f"{case}, {arguments.dtype}", [("heed", own), ("PyTorch", other)]))
    if arguments.beside_itself:
        return
    print(f"the losses of the last step differ by at most {worst:.6f}, {arguments.tolerance} is allowed")
    sys.exit(0 if worst <= arguments.tolerance else 1)


if __name__ == "__main__":
    main()
