"""`python -m trt_build export | build | check | bench`: graphs, TensorRT plans, what they are worth, how fast they are.

Exit status: 0, or 1 if a check fails, or 2 with one line on stderr if something that is needed is missing.
"""

import argparse
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.audio.file import AudioError
from engine.backend import choose
from engine.portrait import PortraitError
from engine.runtime import Network
from engine.runtime.tensorrt import LIBRARIES, GpuMissing, card
from engine.runtime.tensorrt_plan import PlanRefused, plans_home
from engine.units import FRAME_SIZE
from trt_build import bench, check, graphs, material
from trt_build.build import BATCHES, PRECISIONS, BuildFailed, Recipe, build, present_library, up_to_date

T = TypeVar("T")
REFUSALS = (AudioError, BuildFailed, GpuMissing, PlanRefused, PortraitError, graphs.ExportNeeds)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING)
    try:
        status: int = options.command(options)
    except REFUSALS as refusal:
        print(f"trt_build: {refusal}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trt_build", description="Graphs and plans for GPUs.")
    parser.add_argument("--verbose", action="store_true", help="what TensorRT says, too")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_export(commands.add_parser("export", help="every network as ONNX of opset 17, with manifest.json"))
    _add_build(commands.add_parser("build", help="plans for this machine, or for RTX cards from any machine"))
    _add_check(commands.add_parser("check", help="torch against ONNX runtimes against plans"))
    _add_bench(commands.add_parser("bench", help="milliseconds and frames a second by batch"))
    return parser


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--size", type=int, default=FRAME_SIZE, help="pixels a side of the renderer's pictures")
    parser.set_defaults(command=run_export)


def _add_graphs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--graphs", type=Path, metavar="DIR", help="where `export` wrote; else those that ship")
    parser.add_argument("--only", choices=graphs.NAMES, action="append", help="this network; may be repeated")


def _add_build(parser: argparse.ArgumentParser) -> None:
    _add_graphs(parser)
    parser.add_argument("-o", "--output", type=Path, default=plans_home(), metavar="DIR", help=f"({plans_home()})")
    parser.add_argument("--library", choices=LIBRARIES, help="else what is installed, TensorRT first")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp16")
    parser.add_argument("--batches", type=batch_sizes, default=BATCHES, metavar="N,N", help="1,4,16,64")
    parser.add_argument("--force", action="store_true", help="build what is up to date, too")
    parser.set_defaults(command=run_build)


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_graphs(parser)
    parser.add_argument("--plans", type=Path, metavar="DIR", help="where `build` wrote; compared where a GPU runs them")
    parser.add_argument("--library", choices=LIBRARIES)
    parser.add_argument("--seconds", type=float, default=300, help="of one stream (300)")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="speech to hear; else the built-in voice")
    parser.add_argument("--portraits", type=int, default=10)
    parser.add_argument("--photo", type=Path, action="append", default=[], help="a portrait to draw; may be repeated")
    parser.add_argument("--frames", type=int, default=10, help="of each portrait (10)")
    parser.set_defaults(command=run_check)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    _add_graphs(parser)
    parser.add_argument("--plans", type=Path, metavar="DIR")
    parser.add_argument("--library", choices=LIBRARIES)
    parser.add_argument("--batches", type=batch_sizes, default=BATCHES, metavar="N,N")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile too (minutes on a CPU; a GPU always does)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.set_defaults(command=run_bench)


def batch_sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(sorted({int(size) for size in text.split(",")}))
    if sizes[0] < 1:
        raise argparse.ArgumentTypeError("batches are at least 1")
    return sizes


def run_export(options: argparse.Namespace) -> int:
    for name, entry in graphs.export_all(options.output, options.size).items():
        print(f"{name:<16}{entry['bytes'] / 1e6:7.2f} MB  {entry['sha256'][:16]}")
    return 0


def run_build(options: argparse.Namespace) -> int:
    recipe = Recipe(options.library or present_library(), options.precision, options.batches)
    for name in options.only or graphs.NAMES:
        graph, plan = graphs.find(name, options.graphs), options.output / f"{name}.plan"
        why = "it was asked for" if options.force else up_to_date(plan, recipe, graph)
        if why is None:
            print(f"{plan}: up to date")
            continue
        print(f"{plan}: building, {why}", flush=True)
        start = time.monotonic()
        built = build(name, graph, options.output, recipe, lambda phase: print(f"  {phase}", flush=True))
        print(
            f"  {built.layers} layers, {built.halved} of {built.products} products in half precision,"
            f" {built.path.stat().st_size / 1e6:.1f} MB, {time.monotonic() - start:.0f} s;"
            f" for {built.manifest.gpu or 'compute capability ' + ', '.join(built.manifest.capabilities)}"
        )
    return 0


def run_check(options: argparse.Namespace) -> int:
    wanted = options.only or graphs.NAMES
    print(check.HEAD)
    results = []
    heard, faces = check.check_stream(_made("cdan", options), options.seconds, options.recording)
    if "cdan" in wanted:
        results += _told(heard)
    if "renderer" in wanted:
        shots = faces[np.linspace(0, len(faces) - 1, options.portraits * options.frames).astype(int)]
        people = material.portraits(options.portraits, options.photo)
        results += _told(check.check_pictures(_made("renderer", options), people, np.split(shots, options.portraits)))
    failures = [line for result in results if (line := result.failure(_precision(result.backend, options)))]
    print("\n".join(failures) or "all within the limits")
    return 1 if failures else 0


def _told(results: Iterable[T]) -> list[T]:
    """As they come."""
    every = []
    for result in results:
        print(result, flush=True)
        every.append(result)
    return every


def _precision(backend: str, options: argparse.Namespace) -> str:
    return "fp16" if options.plans and backend in LIBRARIES else "fp32"


def _made(name: str, options: argparse.Namespace) -> dict[str, Network]:
    return {backend: make() for backend, make in _backends(name, options).items()}


def _backends(name: str, options: argparse.Namespace) -> dict[str, Callable[[], Network]]:
    """Torch first; the plan where one was named."""
    graph = graphs.find(name, options.graphs)
    every = graphs.backends(name, graph)
    if options.plans:
        library = options.library or present_library()
        card()  # or refuse before anything is compared
        every[library] = partial(graphs.plan, name, graph, options.plans, library)
    return every


def run_bench(options: argparse.Namespace) -> int:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    timings, floors = [], []
    best = bench.peaks(device)
    print(f"{machine_line(device)}; {best.gigabytes_per_second:.0f} GB/s, {best.gigaflops:.0f} GFLOP/s\n{bench.HEAD}")
    for name in options.only or graphs.NAMES:
        feeds = material.sample(name)
        every, on_torch = _backends(name, options), partial(graphs.on_torch, name, graphs.find(name, options.graphs))
        if device == "cuda":
            every["torch, GPU"] = partial(on_torch, device)
        if device == "cuda" or options.compile:
            every["torch.compile"] = partial(on_torch, device, compiled=True)
        for backend, make in every.items():
            timings += _told(bench.measure(name, backend, make, feeds, options.batches))
        for batch in options.batches:
            floors.append(bench.floor(name, graphs.module(name), feeds, batch, best))
            print(floors[-1], flush=True)
    serving = choose("auto", plans=options.plans)
    timings += _told(bench.measure_serving(serving, FRAME_SIZE, material.shots(4), options.batches))
    if options.json:
        bench.write_json(options.json, {"machine": machine_line(device)}, timings, floors)
    return 0


def machine_line(device: str) -> str:
    """What the figures were measured on."""
    import torch

    gpu = f", {' '.join(card())}" if device == "cuda" else ", one thread"
    return f"{platform.processor() or platform.machine()}{gpu}, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())
