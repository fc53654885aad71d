"""The Cross-Dimension Attention Net: sound and facial units in, coefficients of the 3D face out, one picture at a time.

    log-mel -> 100 Hz: stem, hops -> 25 Hz: time attention -> context h -+-> activity, seal, prosody, phones
                                                    v
    LES --- yielding --- linear table ------------> + --> seal the lips --> coefficients
      +----------------- feature attention --> regions <-> structure attention

With activity 0 (silence) the output is the linear table's and nothing else: levels are linear, rest is exactly still.
Causal throughout: `forward` is one big `step`, and a step sees its chunks and the state only.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.mel import BANDS
from engine.cdan import glance
from engine.cdan.causal import CausalConv
from engine.cdan.constants import (
    ACTIVITY_HIGH,
    ACTIVITY_LOW,
    CONTRAST_HOPS,
    EASE,
    FINE_BINS,
    PAST,
    REGIONS,
    SEAL_HALF,
    SEAL_SLOPE,
    Config,
    lip_seal,
    speaks,
)
from engine.cdan.glance import Glance, NoiseGlance
from engine.cdan.spectra import FEATURES, SHAPE, Sound, Spectra, lag_waves, masked, noise_floor, spectrum_features
from engine.face.coefficients import FACE
from engine.face.les_map import LES_TO_FACE
from engine.les import AXES
from engine.units import HOPS_PER_FRAME, MAX_LOOK_AHEAD


class State(NamedTuple):
    """One stream's memory; B streams. The exported graph's tensors are called `<field>_in` and `<field>_out`."""

    samples: Tensor
    """[B, PAST] the sound that the next windows begin with."""
    floor: Tensor
    """[B, BANDS] the noise floor."""
    bands: Tensor
    """[B, 2, FEATURES] the last inputs of the first convolution at 100 Hz."""
    stem: Tensor
    """[B, stems, 4, stem] the last inputs of the others."""
    hops: Tensor
    """[B, 2 * sum(dilations), stem] the last inputs of the wide ones, one after the other."""
    local: Tensor
    """[B, layers, 2, width] the last inputs of each layer's convolution."""
    keys: Tensor
    """[B, layers, window - 1, width]"""
    values: Tensor
    """[B, layers, window - 1, width]"""
    filled: Tensor
    """[B, window - 1] 1 where a slot of the window holds a frame."""
    levels: Tensor
    """[B, CONTRAST_HOPS - HOPS_PER_FRAME] how loud the last hops were where noise masks consonants, over SILENCE."""
    glance_hops: Tensor
    """[B, 2, 4, glance.HOP] the last inputs of each glance's second convolution."""
    glance_frames: Tensor
    """[B, 2, glance.FRAMES - 1, glance.FRAME] the frames before."""
    active: Tensor
    """[B, EASE - 1] the speech activity of the frames before."""


class Output(NamedTuple):
    """What the network says about T frames."""

    coefficients: Tensor
    """[B, T, 63] in [0, 1], in the order of `engine.face.coefficients.FACE`."""
    prosody: Tensor
    """[B, T, 3] speech activity 0..1, loudness 0..1, pitch in octaves from the speaker's middle -1..1."""
    activity_logit: Tensor
    """[B, T]"""
    seal_logit: Tensor
    """[B, T]"""


LAGS = 64  # pitches looked for


class StemLayer(nn.Module):
    """A residual convolution at 100 Hz."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.LayerNorm(width), CausalConv(width, width, 5)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        y, past = self.conv.step(F.gelu(self.norm(x)), past)
        return x + y, past


class HopLayer(nn.Module):
    """A wide convolution at 100 Hz over steps `dilation` apart, and back; residual, and nothing at first."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.LayerNorm(width), CausalConv(width, 2 * width, 3, dilation)
        self.down = nn.Linear(2 * width, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        y, past = self.conv.step(self.norm(x), past)
        return x + self.down(F.gelu(y)), past


class TimeAttention(nn.Module):
    """Attention of each frame over the last `window` frames, by relative age. x is [B, T, D]."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.age_bias = nn.Parameter(torch.zeros(heads, window))

    def step(self, x: Tensor, keys: Tensor, values: Tensor, filled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`keys`, `values` [B, W - 1, D]; `filled` [B, W - 1 + T] tells of past and present slots."""
        width = x.shape[2]
        query, key, value = self.query_key_value(x).split(width, dim=2)
        keys, values = torch.cat([keys, key], dim=1), torch.cat([values, value], dim=1)  # [B, W - 1 + T, D]
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (query, keys, values))
        scores = q @ k.transpose(2, 3) * (width // self.heads) ** -0.5
        # int(): the number of steps is a constant of the traced graph
        scores = scores + self._bias(int(x.shape[1])) - 1e4 * (1 - filled[:, None, None])
        mixed = (scores.softmax(3) @ v).transpose(1, 2).flatten(2)
        past = self.window - 1
        return self.out(mixed), keys[:, -past:], values[:, -past:]

    def _bias(self, steps: int) -> Tensor:
        """[heads, T, W - 1 + T]: the learned bias of each age, and -1e4 outside the window."""
        slots = torch.arange(steps + self.window - 1, device=self.age_bias.device)
        age = torch.arange(steps, device=slots.device)[:, None] + self.window - 1 - slots
        inside = (age >= 0) & (age < self.window)
        bias = self.age_bias.index_select(1, age.clamp(0, self.window - 1).flatten()).unflatten(1, age.shape)
        return bias.masked_fill(~inside, -1e4)


class TimeLayer(nn.Module):
    """Attention over time, then a local convolution with a non-linearity; both residual."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d, self.structure = config.width, config.structure
        self.attention_norm, self.local_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = TimeAttention(d, config.heads, config.window)
        self.local, self.down = CausalConv(d, 2 * d, 3), nn.Linear(2 * d, d)

    def step(
        self, x: Tensor, local: Tensor, keys: Tensor, values: Tensor, filled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.structure:
            y, keys, values = self.attention.step(self.attention_norm(x), keys, values, filled)
            x = x + y
        y, local = self.local.step(self.local_norm(x), local)
        return x + self.down(F.gelu(y)), local, keys, values


class Crossing(nn.Module):
    """Regions ask the facial units (feature dimension), then one another (structure dimension). r is [B, T, R, d]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        token, self.feature, self.structure = config.token, config.feature, config.structure
        self.norms = nn.ModuleList(nn.LayerNorm(token) for _ in range(3))
        self.unit_query, self.unit_out = nn.Linear(token, token), nn.Linear(token, token, bias=False)
        self.unit_value = nn.Parameter(0.1 * torch.randn(len(AXES), token))
        self.regions, self.regions_out = nn.Linear(token, 3 * token), nn.Linear(token, token)
        self.up, self.down = nn.Linear(token, 2 * token), nn.Linear(2 * token, token)

    def forward(self, r: Tensor, les: Tensor, unit_keys: Tensor) -> Tensor:
        if self.feature:
            r = r + self._asked(self.norms[0](r), les, unit_keys)
        if self.structure:
            r = r + self._discussed(self.norms[1](r))
        return r + self.down(F.gelu(self.up(self.norms[2](r))))

    def _asked(self, r: Tensor, les: Tensor, unit_keys: Tensor) -> Tensor:
        """What the units answer; `les` [B, T, 41] weighs their values, so that an idle unit says nothing."""
        scores = (self.unit_query(r) @ unit_keys.T * r.shape[-1] ** -0.5).softmax(-1)  # [B, T, R, 41]
        return self.unit_out((scores * les[:, :, None]) @ self.unit_value * len(AXES) ** 0.5)

    def _discussed(self, r: Tensor) -> Tensor:
        q, k, v = self.regions(r).split(r.shape[-1], dim=-1)
        return self.regions_out((q @ k.transpose(2, 3) * r.shape[-1] ** -0.5).softmax(-1) @ v)


def ramp(logit: Tensor, low: float, high: float) -> Tensor:
    """From 0 where the posterior is `low` to 1 where it is `high`, even in its logit."""
    zero, one = (math.log(p / (1 - p)) for p in (low, high))
    return ((logit - zero) / (one - zero)).clamp(0, 1)


def eased(activity: Tensor, before: Tensor) -> Tensor:
    """Mean [B, T, 1] over this frame and those before: `activity` [B, T, 1] after `before` [B, EASE - 1]."""
    frames = torch.cat([before.to(activity.dtype), activity[..., 0]], dim=1)
    return F.avg_pool1d(frames[:, None], EASE, stride=1)[:, 0, :, None]


def pressed(logit: Tensor) -> Tensor:
    """How far the lips are shut for a closure as likely as that: never quite the same for two likelihoods, so that the
    surer one is always the tighter one."""
    return (SEAL_SLOPE * (logit - math.log(SEAL_HALF / (1 - SEAL_HALF)))).sigmoid()


class LipSeal(nn.Module):
    """Shut lips: what a face becomes while p, b or m closes, whatever else it shows: `lip_seal` tells how."""

    keep: Tensor
    """[63, 63]"""
    press: Tensor
    """[63]"""

    def __init__(self) -> None:
        super().__init__()
        keep, press = lip_seal()
        self.register_buffer("keep", torch.from_numpy(keep), persistent=False)
        self.register_buffer("press", torch.from_numpy(press), persistent=False)

    def forward(self, face: Tensor, seal: Tensor) -> Tensor:
        """`face` [..., 63], `seal` [...] from 0, open, to 1, shut."""
        return face + seal[..., None] * (face @ self.keep + self.press - face)


class Cdan(nn.Module):
    """See the module's docstring. B streams, T frames; T is 1 in the exported graph."""

    table: Tensor
    """[41, 63] LES -> coefficients."""
    speaks: Tensor
    """[R, 63] 1 where a region moves a coefficient."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        self.spectra = Spectra()
        self.ear = CausalConv(FEATURES, c.stem, 3)
        self.stem = nn.ModuleList(StemLayer(c.stem) for _ in range(c.stems))
        self.hops = nn.ModuleList(HopLayer(c.stem, d) for d in c.dilations)
        self.stem_norm, self.patch = nn.LayerNorm(c.stem), nn.Linear(HOPS_PER_FRAME * c.stem, c.width)
        self.lags, self.voice = nn.Linear(FINE_BINS, LAGS), nn.Linear(LAGS, c.width)
        self.lags.weight.data.copy_(lag_waves(LAGS))
        self.look_ahead = nn.Embedding(MAX_LOOK_AHEAD + 1, c.width)
        self.layers = nn.ModuleList(TimeLayer(c) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.width)
        self.heads = nn.Linear(c.width, 4)  # activity, seal, loudness, pitch
        self.glance, self.opinion = Glance(c.width, c.glance), nn.Linear(c.glance, 1, bias=False)
        nn.init.zeros_(self.opinion.weight)
        self.noise_glance = NoiseGlance()
        self.phones = nn.Linear(c.width, 2 * c.phones)
        self.unit_keys = nn.Parameter(torch.randn(len(AXES), c.token))
        self.yielding, self.yielding_bias = nn.Linear(c.width, c.token), nn.Parameter(torch.full((len(AXES),), -2.0))
        self.regions = nn.Linear(c.width, len(REGIONS) * c.token)
        self.crossings = nn.ModuleList(Crossing(c) for _ in range(c.crossings))
        self.token_norm = nn.LayerNorm(c.token)
        self.read = nn.Parameter(0.02 * torch.randn(len(FACE), c.token))
        self.seal = LipSeal()
        self.register_buffer("table", torch.from_numpy(LES_TO_FACE.copy()), persistent=False)
        self.register_buffer("speaks", torch.from_numpy(speaks()), persistent=False)

    def init_state(self, batch: int) -> State:
        c, new = self.config, self.read.new_zeros
        return State(
            samples=new(batch, PAST),
            floor=new(batch, BANDS),
            bands=new(batch, 2, FEATURES),
            stem=new(batch, len(self.stem), 4, c.stem),
            hops=new(batch, 2 * sum(c.dilations), c.stem),
            local=new(batch, c.layers, 2, c.width),
            keys=new(batch, c.layers, c.window - 1, c.width),
            values=new(batch, c.layers, c.window - 1, c.width),
            filled=new(batch, c.window - 1),
            levels=new(batch, CONTRAST_HOPS - HOPS_PER_FRAME),
            glance_hops=new(batch, 2, 4, glance.HOP),
            glance_frames=new(batch, 2, glance.FRAMES - 1, glance.FRAME),
            active=new(batch, EASE - 1),
        )

    def step(self, pcm: Tensor, les: Tensor, look_ahead: Tensor, state: State) -> tuple[Output, State]:
        """`pcm` [B, T * CHUNK], `les` [B, T, 41] of the OUTPUT's frames, `look_ahead` int [B] in frames: the output
        after chunk n belongs to chunk n - look_ahead."""
        sound, samples = self.spectra.step(pcm, state.samples)
        context, state = self.listen(sound, look_ahead, state._replace(samples=samples))
        output = self.decode(context, les, before=state.active)
        active = torch.cat([state.active, output.prosody[..., 0]], dim=1)[:, 1 - EASE :]
        return output, state._replace(active=active)

    def forward(self, pcm: Tensor, les: Tensor, look_ahead: Tensor) -> Output:
        return self.step(pcm, les, look_ahead, self.init_state(len(pcm)))[0]

    def listen(self, sound: Sound, look_ahead: Tensor, state: State) -> tuple[Tensor, State]:
        """Spectra -> context [B, T, width + glance + 1]: what was heard, beside it what the glance makes of it, and at
        last what is added to the logit of a closure in noise."""
        floor = noise_floor(sound.mel, state.floor, state.filled[:, -1])
        features = spectrum_features(sound.mel, floor).to(state.bands.dtype)
        x, bands = self.ear.step(features, state.bands)
        noise, levels = masked(sound.mel, state.levels)
        shapes = features[..., :SHAPE], look_ahead, state.bands[..., :SHAPE]
        seen, glances = [], []
        for i, window in enumerate((self.glance, self.noise_glance)):
            what, *memory = window.step(*shapes, state.glance_hops[:, i], state.glance_frames[:, i])
            seen.append(what)
            glances.append(memory)
        pasts = []
        for i, layer in enumerate(cast(list[StemLayer], self.stem)):
            x, past = layer.step(x, state.stem[:, i])
            pasts.append(past)
        x, hops = self._hops(x, state.hops)
        x = self.patch(self.stem_norm(x).unflatten(1, (-1, HOPS_PER_FRAME)).flatten(2))  # [B, T, width]
        tilted = (sound.fine - sound.fine.mean(dim=2, keepdim=True)).to(x.dtype)
        x = x + self.voice(F.gelu(self.lags(tilted))) + self.look_ahead(look_ahead)[:, None].to(x.dtype)
        filled = torch.cat([state.filled, torch.ones_like(x[:, :, 0])], dim=1)
        glance_hops, glance_frames = (torch.stack(of_glances, dim=1) for of_glances in zip(*glances, strict=True))
        memories: list[tuple[Tensor, Tensor, Tensor]] = []
        for i, time_layer in enumerate(cast(list[TimeLayer], self.layers)):
            x, *memory = time_layer.step(x, state.local[:, i], state.keys[:, i], state.values[:, i], filled)
            memories.append((memory[0], memory[1], memory[2]))
        local, keys, values = (torch.stack(of_layers, dim=1) for of_layers in zip(*memories, strict=True))
        stem, filled = torch.stack(pasts, dim=1), filled[:, 1 - self.config.window :]
        x = self.norm(x)
        after = State(
            state.samples, floor[:, -1], bands, stem, hops, local, keys, values, filled, levels, glance_hops,
            glance_frames, state.active,
        )  # fmt: skip
        added = noise[..., None].to(x.dtype) * self.noise_glance(seen[1])
        return torch.cat([x, self.glance(seen[0], x), added], dim=2), after

    def _hops(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        pasts = list(past.split([2 * d for d in self.config.dilations], dim=1))
        for i, layer in enumerate(cast(list[HopLayer], self.hops)):
            x, pasts[i] = layer.step(x, pasts[i])
        return x, torch.cat(pasts, dim=1)

    def decode(self, context: Tensor, les: Tensor, seal: Tensor | None = None, before: Tensor | None = None) -> Output:
        """[B, T, width + glance + 1] and [B, T, 41] -> what the face does. In training the true `seal` [B, T] is told:
        so the open mouth is learned for itself, and whether it shuts is no compromise with how far it opens. `before`
        [B, EASE - 1] is the activity until now; without it units give way at once."""
        les = torch.where(torch.isnan(les), torch.zeros_like(les), les).clamp(0, 1)
        activity_logit, seal_logit, loudness, pitch = self.hints(context)[0].unbind(2)
        activity = ramp(activity_logit, ACTIVITY_LOW, ACTIVITY_HIGH)[..., None]
        context = context[..., : self.config.width]
        yielding = activity if before is None else eased(activity, before)
        face = self.linear(les, context, yielding) + activity * self.speech(les, context)
        # In training nothing is clamped, so that every gradient lives; the targets lie within [0, 1] anyway.
        face = face if self.training else face.clamp(0, 1)
        face = self.seal(face, activity[..., 0] * pressed(seal_logit) if seal is None else seal)
        voice = torch.stack([loudness.sigmoid(), pitch.tanh()], dim=2)
        return Output(
            face if self.training else face.clamp(0, 1),
            torch.cat([activity, activity * voice], dim=2),
            activity_logit,
            seal_logit,
        )

    def hints(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, 4] activity, seal, loudness, pitch, and phones [B, T, 2, phones], before any squashing."""
        heard, glance, noise = context.split([self.config.width, self.config.glance, 1], dim=2)
        hints = self.heads(heard) + F.pad(self.opinion(glance) + noise, (1, 2))
        return hints, self.phones(heard).unflatten(2, (2, -1))

    def linear(self, les: Tensor, context: Tensor, activity: Tensor) -> Tensor:
        """The visible path [B, T, 63]: each unit through the table, less what it yields to speech."""
        if not self.config.feature:
            return les @ self.table
        scores = self.yielding(context) @ self.unit_keys.T * self.config.token**-0.5 + self.yielding_bias
        return (les * (1 - activity * scores.sigmoid())) @ self.table

    def speech(self, les: Tensor, context: Tensor) -> Tensor:
        """What the mouth says, and what the units become beside it [B, T, 63]."""
        r = self.regions(context).unflatten(2, (len(REGIONS), self.config.token))
        for crossing in self.crossings:
            r = crossing(r, les, self.unit_keys)
        return (self.token_norm(r) @ self.read.T * self.speaks).sum(2)  # of [B, T, R, 63]
