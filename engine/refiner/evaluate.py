"""`python -m engine.refiner.evaluate DATA RUN -o DIR`: the closed form alone against the refined, portrait by portrait.

Each is judged by the network that never saw the person. Writes DIR/table.md and a sheet for each region.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from engine.evaluation.likeness import psnr, ssim
from engine.evaluation.tables import markdown
from engine.face.coefficients import NAMES
from engine.refiner.crops import WINDOWS, Floats, Rgb
from engine.refiner.data import Pairs
from engine.refiner.network import Config, Refiner, macs
from engine.refiner.train import FOLDS, floats, weights, who
from engine.runtime import OpenVinoNetwork
from engine.runtime.export import export

FIGURES = ("PSNR, dB", "SSIM", "gradients")
SHOWN = 4  # pairs of a portrait on the sheet
FLAT = 170.0  # what keeps flat places from counting in `gradients`
SIGMAS = np.arange(0.3, 1.5, 0.02)  # pixels
TIMES = 200  # runs of which the median is told
REGIONS_A_FRAME = {"mouth": 1, "eye": 2}


class Figures(NamedTuple):
    """Means over a portrait's pairs; more is better."""

    psnr: float
    ssim: float
    gradients: float


@dataclass(frozen=True, eq=False)
class Judged:
    """One region of one portrait."""

    portrait: str
    region: str
    closed: Figures
    refined: Figures
    blurred: Figures
    """The closed form, blurred to the refined one's sharpness: where pictures do not meet to the pixel, blur pays."""
    sharpness: tuple[float, float]
    """Of closed form and refined; 1 is as sharp as the true picture."""
    sheet: Rgb
    """Rows: closed form, refined, true."""

    @property
    def better(self) -> bool:
        """Than the closed form, sharp or blurred, by every figure."""
        return all(ours > max(other) for ours, *other in zip(self.refined, self.closed, self.blurred, strict=True))


def slopes(picture: Rgb) -> Floats:
    """[h, w] of the brightness."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = (cv2.Scharr(grey, cv2.CV_32F, *way, scale=1 / 16) for way in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down), np.float32)


def sharpness(seen: Rgb, true: Rgb) -> float:
    """How steep pictures [N, h, w, 3] are, in that of the true ones."""
    total, wanted = (sum(float(slopes(picture).sum()) for picture in pictures) for pictures in (seen, true))
    return total / wanted


def softer(drawn: Rgb, true: Rgb, wanted: float) -> Rgb:
    """Pictures blurred by the least of SIGMAS that leaves them no sharper than wanted; as they are if they are not."""
    for sigma in SIGMAS:
        if sharpness(drawn, true) <= wanted:
            break
        blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), sigma) for picture in drawn])
        if sharpness(blurred, true) <= wanted:
            return blurred
    return drawn


def gradients(seen: Rgb, true: Rgb) -> float:
    """Mean similarity of the slopes of the brightness (Xue et al. 2014, equation 4)."""
    one, other = slopes(seen), slopes(true)
    return float(np.mean((2 * one * other + FLAT) / (one**2 + other**2 + FLAT)))


def figures(seen: Rgb, true: Rgb) -> Figures:
    """Of pictures [N, h, w, 3]."""
    everywhere = np.ones(true.shape[1:3], np.bool_)
    of = [(psnr(a, b, everywhere), ssim(a, b, everywhere), gradients(a, b)) for a, b in zip(seen, true, strict=True)]
    return Figures(*np.mean(of, 0).tolist())


@torch.inference_mode()
def refined(net: Refiner, pairs: Pairs) -> Rgb:
    """[N, rows, cols, 3]"""
    picture = net(floats(pairs.drawn), floats(pairs.photo), torch.from_numpy(pairs.away))
    return np.asarray((picture * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())


def judge(net: Refiner, path: Path, region: str) -> Judged:
    pairs = Pairs.load(path, region)
    ours = refined(net, pairs)
    closed, better = figures(pairs.drawn, pairs.true), figures(ours, pairs.true)
    some = np.linspace(0, len(ours) - 1, SHOWN).round().astype(int)
    rows = [np.concatenate(list(pictures[some]), 1) for pictures in (pairs.drawn, ours, pairs.true)]
    sharp = sharpness(pairs.drawn, pairs.true), sharpness(ours, pairs.true)
    blurred = figures(softer(pairs.drawn, pairs.true, sharp[1]), pairs.true)
    return Judged(path.stem, region, closed, better, blurred, sharp, np.concatenate(rows))


def load(run: Path, region: str, left_out: Sequence[str]) -> Refiner:
    """A network as trained, whatever its width."""
    state = load_file(weights(run, region, left_out))
    blocks = sum(name.endswith("look.weight") for name in state)
    moves = len(state["leave.weight"]) > len(state["enter.weight"][0]) // 2
    net = Refiner(WINDOWS[region], Config(len(state["enter.weight"]), blocks, moves=moves))
    net.load_state_dict(state)
    return net.eval()


def milliseconds(net: Refiner, region: str, times: int = TIMES) -> float:
    """Median of one picture in OpenVINO on one thread: the processor's time, which a busy machine changes least."""
    window = WINDOWS[region]
    shape = (1, 3, round(window.height), round(window.width))
    given = {"drawn": shape, "photo": shape, "away": (1, len(NAMES))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "refiner.onnx"
        export(net, [torch.rand(s) for s in given.values()], list(given), ["picture"], path)
        network = OpenVinoNetwork(path)
    inputs = {name: np.random.default_rng(0).random(s, np.float32) for name, s in given.items()}
    spent = []
    for _ in range(times):
        start = time.process_time()
        network(inputs)
        spent.append(time.process_time() - start)
    return float(np.median(spent)) * 1e3


def everybody(data: Path, run: Path) -> Iterator[Judged]:
    for left_out in FOLDS:
        if not all(weights(run, region, left_out).exists() for region in WINDOWS):
            continue  # folds may be trained one by one
        nets = {region: load(run, region, left_out) for region in WINDOWS}
        for path in sorted(data.glob("*.npz")):
            if who(path) in left_out:
                yield from (judge(net, path, region) for region, net in nets.items())


def table(found: Sequence[Judged]) -> str:
    """Each figure of the closed form, of it as blurred as the refined, and of the refined."""
    lines = []
    for one in found:
        ways = zip(one.closed, one.blurred, one.refined, (2, 4, 4), strict=True)
        cells = [" / ".join(f"{value:.{digits}f}" for value in values) for *values, digits in ways]
        before, ours = one.sharpness
        lines.append([one.portrait, one.region, *cells, f"{before:.2f} / {ours:.2f}", "yes" if one.better else "no"])
    told = f"Better by every figure: {sum(one.better for one in found)} of {len(found)}."
    return markdown(["portrait", "region", *FIGURES, "sharpness", "better"], lines) + f"\n\n{told}"


def cost(run: Path) -> str:
    lines = []
    for region, times in REGIONS_A_FRAME.items():
        net = load(run, region, next(fold for fold in FOLDS if weights(run, region, fold).exists()))
        lines.append([region, str(times), f"{times * macs(net) / 1e6:.0f}", f"{times * milliseconds(net, region):.2f}"])
    return markdown(["region", "a frame", "MMAC a frame", "ms a frame, OpenVINO, one thread"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = list(everybody(options.data, options.run))
    options.output.mkdir(parents=True, exist_ok=True)
    text = f"{table(found)}\n\n{cost(options.run)}\n"
    print(text)
    (options.output / "table.md").write_text(text)
    for region in WINDOWS:
        some = [one.sheet for one in found if one.region == region]
        cv2.imwrite(str(options.output / f"{region}.png"), np.concatenate(some)[..., ::-1])


if __name__ == "__main__":
    main()
