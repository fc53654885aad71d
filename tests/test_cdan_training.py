"""How CDAN is trained: speech degraded on its spectra, runs that resume, rivals that lack one part."""

import json
import math
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.audio.mel import BANDS
from engine.cdan.constants import PAST, REGIONS, Config
from engine.cdan.glance import BEFORE, about
from engine.cdan.glance import FRAMES as FRAMES_SEEN
from engine.cdan.network import Cdan, TimeLayer
from engine.cdan.spectra import SHAPE, SILENCE, Sound, Spectra, shape
from engine.cdan.training import augment, glance, mixing, noise_glance
from engine.cdan.training.ablation import RIVALS
from engine.cdan.training.dataset import Corpus
from engine.cdan.training.phones import PHONES, Phone
from engine.cdan.training.refit import SEAL, Examples, fit, listened
from engine.cdan.training.shard import FRAMES, HOPS, SAMPLES, Segment, Truth, write
from engine.cdan.training.train import BELIEVED, SHARES, Budget, Run, belief, contrast_db, train
from engine.les import AXES
from engine.units import CHUNK, FPS, SAMPLE_RATE

TINY = Config(stem=8, stems=1, width=16, heads=2, layers=1, window=8, token=8, crossings=1)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spectra(pcm: Tensor) -> Sound:
    return Spectra().step(pcm, torch.zeros(len(pcm), PAST))[0]


def hiss(seed: int, gain: float, batch: int = 3) -> Tensor:
    return gain * torch.randn(batch, 100 * CHUNK, generator=random(seed))


class TestMixing:
    def test_adding_powers_is_what_adding_sounds_does(self) -> None:
        one, other = hiss(0, 0.05), hiss(1, 0.02)
        for a, b, both in zip(*(mixing.power(spectra(x)) for x in (one, other, one + other)), strict=True):
            assert float((a + b).mean() / both.mean()) == pytest.approx(1, abs=0.02)

    def test_two_sounds_meet_as_their_waves_do(self) -> None:
        one, other = hiss(0, 0.05), hiss(1, 0.05)
        apart, beside, both = (mixing.power(spectra(x)) for x in (one, other, one + other))
        met = mixing.together(apart, beside, random())
        for a, b, true, ours in zip(apart, beside, both, met, strict=True):
            spread, wanted = ((x / (a + b)).log10().std(dim=1).mean() for x in (ours, true))
            assert float(spread) == pytest.approx(float(wanted), rel=0.15)
            assert float((ours / (a + b)).mean()) == pytest.approx(1, abs=0.03)

    def test_units_come_back_from_powers(self) -> None:
        heard = spectra(hiss(0, 0.05))
        for a, b in zip(mixing.units(mixing.power(heard)), heard, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)

    def test_another_throat_moves_formants_and_leaves_the_pitch(self) -> None:
        peak = torch.zeros(2, 4, BANDS)
        peak[:, :, 30] = 1.0
        moved = peak @ mixing.warps(torch.tensor([1.0, 1.1]))
        torch.testing.assert_close(moved[0], peak[0])
        assert int(moved[1, 0].argmax()) in (26, 27, 28)
        sound = spectra(hiss(0, 0.05))
        assert torch.equal(mixing.stretched(sound, random()).fine, sound.fine)

    def test_silence_stays_silence(self) -> None:
        silence = spectra(torch.zeros(2, 20 * CHUNK))
        for x in (mixing.coloured(silence, 0.3, random()), mixing.heard(silence, random())):
            assert float(x.mel.max()) == pytest.approx(SILENCE) and float(x.fine.max()) == pytest.approx(SILENCE)

    def test_most_near_speech_and_less_of_far_gets_noise(self) -> None:
        far = torch.arange(8000) % 2 == 1
        snr = mixing.snr_db(far, random())
        assert snr.min() >= 0
        for where, clean in ((~far, mixing.CLEAN), (far, mixing.CLEAN_FAR)):
            assert float((snr[where] > 100).float().mean()) == pytest.approx(clean, abs=0.03)
            assert float((snr[where] <= 20).float().mean()) == pytest.approx(mixing.NOISY * (1 - clean), abs=0.03)

    def test_every_hearing_is_another(self) -> None:
        draw = random()
        sound, noise = spectra(hiss(0, 0.05)), spectra(hiss(1, 0.05))
        first, second = (mixing.degraded(sound, noise, torch.zeros(3, dtype=torch.bool), draw) for _ in range(2))
        assert first.mel.shape == sound.mel.shape and first.fine.shape == sound.fine.shape
        assert not torch.equal(first.mel, second.mel)
        assert torch.isfinite(first.mel).all() and first.mel.min() >= SILENCE - 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vowels and closures."""
    return hums(tmp_path_factory.mktemp("corpus"), {"aa": 700, "m": 200, "iy": 2500, "uw": 400, "pau": 0})


def hums(out: Path, hertz: dict[str, int]) -> Path:
    """Eight segments, two copies each: hums of changing height, told to be phones."""
    draw = np.random.default_rng(0)
    names = draw.choice(list(hertz), (8, 40))
    t = np.arange(SAMPLES) / SAMPLE_RATE
    segments, pcm = [], np.zeros((8, 2, SAMPLES), np.int16)
    for i, row in enumerate(names):
        at = np.minimum((t / 0.256).astype(int), 39)
        wave = 3000 * np.sin(2 * np.pi * np.array([hertz[n] for n in row])[at] * t)
        pcm[i] = wave[None] + draw.normal(0, 30, (2, SAMPLES))
        spoken = tuple(Phone(str(n), 0.256 * k, 0.256 * (k + 1)) for k, n in enumerate(row))
        curves = np.full(HOPS, 0.5, np.float32), np.zeros(HOPS, np.float32)
        segments.append(Segment(wave.astype(np.float32), Truth(spoken, *curves), ("hum",)))
    write(out / "shard0000.npz", pcm, segments)
    np.savez(out / "noise0000.npz", pcm=draw.normal(0, 1000, (3, SAMPLES)).astype(np.int16))
    return out


class TestCorpus:
    def test_truth_waits_for_the_look_ahead(self, folder: Path) -> None:
        """Frame t of the truth is what the network says after hearing chunk t: later by the look-ahead."""
        corpus, index = Corpus(folder), torch.arange(4)
        now, late = (corpus.batch(index, random(), ahead) for ahead in (0, 2))
        assert now.face.shape == (4, FRAMES, 63) and now.phone.shape == (4, FRAMES, 2)
        assert torch.equal(late.phone[:, 2:], now.phone[:, :-2])
        assert torch.equal(late.seal[:, 2:], now.seal[:, :-2])

    def test_copies_share_one_truth(self, folder: Path) -> None:
        corpus = Corpus(folder)
        batch = corpus.batch(torch.tensor([0, 1]), random(), 0)
        assert len(corpus) == 16
        assert torch.equal(batch.phone[0], batch.phone[1])
        assert not torch.equal(batch.sound.mel[0], batch.sound.mel[1])

    def test_an_empty_folder_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="run python -m engine.cdan.training.corpus"):
            Corpus(tmp_path)


class TestBelief:
    """A closure counts more where noise hides it."""

    def words_in(self, noise_db: float) -> Tensor:
        """Spectra [1, HOPS, BANDS] of bursts of half a second with pauses as long, in noise so far below them."""
        said = 0.1 * torch.randn(1, SAMPLES, generator=random(1))
        words = said * (torch.arange(SAMPLES) // (SAMPLE_RATE // 2) % 2)
        return spectra(words + 0.1 * 10 ** (-noise_db / 20) * torch.randn(1, SAMPLES, generator=random(2))).mel

    @pytest.mark.parametrize("snr_db", [5.0, 10.0, 15.0])
    def test_contrast_is_the_ratio_of_speech_to_noise(self, snr_db: float) -> None:
        assert float(contrast_db(self.words_in(snr_db)).mean()) == pytest.approx(snr_db, abs=3)

    def test_counts_once_in_quiet_and_most_in_noise(self) -> None:
        quiet, some, loud = (belief(self.words_in(snr_db)) for snr_db in (40.0, 16.0, 5.0))
        assert quiet.shape == (1, FRAMES)
        assert float(quiet.max()) == 1 and float(loud.min()) == BELIEVED
        assert 1 < float(some.mean()) < BELIEVED


class TestRefit:
    """The head of closures alone, to what the ear hears."""

    def test_finds_closures_and_believes_them_more_in_noise(self) -> None:
        torch.manual_seed(3)
        net = Cdan(TINY)
        kept = net.heads.weight.detach().clone()
        noisy = torch.arange(4000) % 2
        context = torch.randn(4000, TINY.width + TINY.glance + 1, generator=random())
        context[:, 1], context[:, -1] = noisy, 0  # the ear hears the noise, and nothing is added in it
        seal = ((context[:, 0] + torch.randn(4000, generator=random(1))) > 1).float()
        fit(net, Examples(context.half(), seal, torch.where(noisy > 0, BELIEVED, 1.0)))
        with torch.no_grad():
            logit = net.hints(context[None])[0][0, :, SEAL]
        assert torch.corrcoef(torch.stack([logit, context[:, 0]]))[0, 1] > 0.7
        odds = logit[noisy > 0].mean() - logit[noisy == 0].mean()
        assert float(odds) == pytest.approx(math.log(BELIEVED), abs=0.4)
        others = torch.arange(len(kept)) != SEAL
        assert torch.equal(net.heads.weight[others], kept[others])

    def test_what_a_corpus_says_is_what_the_head_learns(self, folder: Path) -> None:
        torch.manual_seed(0)
        net = Cdan(TINY)
        examples = listened(net, Corpus(folder), 2, random())
        assert len(examples.context) == len(examples.seal) == len(examples.belief) == 16 * FRAMES

        def missed() -> float:
            logit = net.hints(examples.context[None].float())[0][0, :, SEAL]
            return float(F.binary_cross_entropy_with_logits(logit.detach(), examples.seal, pos_weight=examples.belief))

        before = missed()
        fit(net, examples)
        assert missed() < 0.9 * before


class TestGlance:
    """The second opinion on closures is trained beside a network that stays as it is."""

    def test_middles_of_consonants_count_most(self) -> None:
        spoken = [("aa", 6), ("m", 4), ("iy", 7), ("s", 3), ("pau", 20)]  # in halves of a frame
        halves = torch.tensor([PHONES.index(name) for name, count in spoken for _ in range(count)])
        told = glance.telling(halves.reshape(1, -1, 2))[0] - glance.ELSEWHERE
        wanted = torch.zeros(20)
        wanted[3:5] = 0.5  # m is in the middle between two frames
        wanted[8:10] = torch.tensor([0.25, 0.75])  # s three quarters of the way into the later one
        torch.testing.assert_close(told.float(), wanted, atol=2e-3, rtol=0)

    def test_steady_noise_is_as_loud_as_told(self) -> None:
        speech = 0.02 * torch.randn(200, SAMPLES // 16, generator=random(1))
        noise = torch.randn(200, SAMPLES // 16, generator=random(2))
        both = glance.noisy(speech, noise, random(3))
        said, hissed = ((both * x).mean(1) / x.square().mean(1) for x in (speech, noise))  # what each counts
        loud = torch.tensor([augment.level(one.numpy()) for one in speech])
        snr = 20 * (said * loud / hissed).log10()
        low, high = glance.SNR_DB
        assert low - 1 < float(snr.min()) < low + 1 and high - 1 < float(snr.max()) < high + 1

    @torch.no_grad()
    def test_streams_begin_anew_or_out_of_silence(self) -> None:
        torch.manual_seed(0)
        net, look_ahead = Cdan(TINY).eval(), torch.arange(3, dtype=torch.int32).repeat(20)
        start = glance.beginnings(glance.silence(net), look_ahead, random())
        silent = start.filled[:, -1] > 0
        assert 0.3 < float(silent.float().mean()) < 0.7
        assert float(start.floor[silent].max()) == pytest.approx(SILENCE) and not start.floor[~silent].any()
        quiet, said = spectra(torch.zeros(60, FPS * CHUNK)), spectra(hiss(0, 0.05, 60))
        both = Sound(*(torch.cat(parts, dim=1) for parts in zip(quiet, said, strict=True)))
        found = net.listen(said, look_ahead, start)[0]
        for some, wanted in ((~silent, said), (silent, both)):
            heard = net.listen(wanted, look_ahead, net.init_state(60))[0][:, -found.shape[1] :]
            torch.testing.assert_close(found[some], heard[some], atol=1e-4, rtol=0)

    def test_the_same_speech_is_never_heard_in_the_same_steady_noise(self, folder: Path) -> None:
        said = glance.steady(folder, random())
        one, other = next(said).sound.mel, next(said).sound.mel  # all that the corpus holds, and again
        assert ((one - other).flatten(1).abs().mean(1) > 0.05).all()

    def test_learns_what_to_add_and_resumes(self, folder: Path, tmp_path: Path) -> None:
        torch.manual_seed(0)
        net = Cdan(TINY).eval()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        run = glance.Run(tmp_path, net, rate=1e-2)
        glance.train(run, folder, Budget(steps=60))
        said = next(glance.mixture(folder, random(9)))
        terms = run.losses(glance.listened(net, said, net.init_state(len(said.seal))))
        assert terms["together"] < 0.9 * terms["before"]
        for name, value in net.state_dict().items():
            assert torch.equal(value, before[name]) != name.startswith(("glance.", "opinion.")), name

        again = glance.Run(tmp_path, Cdan(TINY), rate=3e-3)
        assert again.steps == run.steps and again.seconds == run.seconds
        for one, other in zip(run.parts.parameters(), again.parts.parameters(), strict=True):
            assert torch.equal(one, other)

    @torch.inference_mode()
    @pytest.mark.parametrize("look_ahead", [0, 1, 2])
    def test_window_lies_alike_about_the_output_and_ends_with_what_is_heard(self, look_ahead: int) -> None:
        count, steps = 3, 5
        numbers = torch.arange(1.0, FRAMES_SEEN + steps)[None, :, None].expand(count, -1, 1)
        windows = about(numbers, torch.full((count,), look_ahead, dtype=torch.int32))
        newest = FRAMES_SEEN + torch.arange(steps)
        places = (newest - look_ahead)[:, None] + torch.arange(FRAMES_SEEN) - BEFORE
        wanted = torch.where(places <= newest[:, None], places, 0).float()
        torch.testing.assert_close(windows, wanted.expand(count, -1, -1))


class TestNoiseGlance:
    """The third opinion on closures is trained alone."""

    @torch.no_grad()
    @pytest.mark.parametrize("look_ahead", [0, 1, 2])
    def test_windows_show_what_the_stream_does(self, folder: Path, look_ahead: int) -> None:
        """Cut out, a frame looks as it does in its stream."""
        torch.manual_seed(0)
        net, said = Cdan(TINY).eval(), next(glance.steady(folder, random()))
        said = said._replace(look_ahead=torch.full((len(said.seal),), look_ahead, dtype=torch.int32))
        cut, state = noise_glance.cut(said, random(1)), net.init_state(len(said.seal))
        memory = state.bands[..., :SHAPE], state.glance_hops[:, 1], state.glance_frames[:, 1]
        stream = net.noise_glance.step(shape(said.sound.mel), said.look_ahead, *memory)[0]
        stream = stream[:, FRAMES_SEEN:].flatten(0, 1)
        seen = noise_glance.seen(net.noise_glance, cut)
        distance = torch.cdist(seen, stream, compute_mode="donot_use_mm_for_euclid_dist")
        assert len(seen) > 20 and float(distance.amin(dim=1).max()) < 1e-5

    def test_learns_and_leaves_all_else(self, tmp_path: Path) -> None:
        folder = hums(tmp_path, {"aa": 700, "m": 200, "n": 2500, "s": 1200, "pau": 0})
        torch.manual_seed(0)
        net = Cdan(TINY).eval()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        kept = [noise_glance.half(next(glance.steady(folder, random())))]
        missed = noise_glance.train(net, noise_glance.consonants(kept, random()), Budget(steps=250), rate=2e-3)
        share = next(noise_glance.consonants(kept, random())).seal.mean()
        guessed = float(-(share * share.log() + (1 - share) * (1 - share).log()))
        assert guessed > 0.5 and missed < 0.7 * guessed
        for name, value in net.state_dict().items():
            assert torch.equal(value, before[name]) != name.startswith("noise_glance."), name


def loss(terms: dict[str, float]) -> float:
    return sum(SHARES[name] * term for name, term in terms.items())


class TestRun:
    def test_learns_logs_and_resumes(self, folder: Path, tmp_path: Path) -> None:
        torch.manual_seed(0)
        corpus = Corpus(folder)
        held = [corpus.batch(torch.arange(4), random(5))]
        run = Run(tmp_path, Cdan(TINY), rate=1e-2)
        before = loss(run.examine(held))
        train(corpus, held, run, Budget(steps=60), size=4)
        assert loss(run.examine(held)) < 0.9 * before

        again = Run(tmp_path, Cdan(TINY), rate=1e-2)
        assert again.steps == 60 and again.seconds == run.seconds
        assert again.examine(held) == run.examine(held)
        train(corpus, held, again, Budget(steps=62), size=4)
        entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert [entry["step"] for entry in entries] == [60, 62]
        assert entries[0]["held"].keys() == entries[0]["trained"].keys()

    def test_curves_are_a_picture(self, folder: Path, tmp_path: Path) -> None:
        corpus = Corpus(folder)
        run = Run(tmp_path, Cdan(TINY), rate=1e-2)
        train(corpus, [corpus.batch(torch.arange(2), random())], run, Budget(steps=1), size=2)
        words = ElementTree.parse(tmp_path / "curves.svg").iter("{http://www.w3.org/2000/svg}text")
        assert {"seal", "phone", "coefficients"} <= {word.text for word in words}


class TestRivals:
    """Each lacks exactly the part that its name says."""

    PCM = 0.05 * torch.randn(1, 60 * CHUNK, generator=random())
    AHEAD = torch.zeros(1, dtype=torch.int32)

    @torch.inference_mode()
    def test_without_feature_attention_emotions_only_add(self) -> None:
        torch.manual_seed(1)
        net = RIVALS["no-feature"]().eval()
        context = net.listen(spectra(self.PCM), self.AHEAD, net.init_state(1))[0][..., : net.config.width]
        les = torch.rand(1, 60, len(AXES), generator=random())
        torch.testing.assert_close(net.speech(les, context), net.speech(0 * les, context))
        torch.testing.assert_close(net.linear(les, context, torch.ones(1, 60, 1)), les @ net.table)

    @torch.inference_mode()
    @pytest.mark.parametrize(("name", "forgets"), [("whole", False), ("no-structure", True)])
    def test_without_structure_nobody_looks_far_back(self, name: str, forgets: bool) -> None:
        net = RIVALS[name]().eval()
        state, x = net.init_state(1), torch.randn(1, 20, net.config.width, generator=random())
        other = torch.cat([-x[:, :10], x[:, 10:]], dim=1)
        filled = torch.cat([state.filled, torch.ones(1, 20)], dim=1)
        layer = cast(TimeLayer, net.layers[0])
        memory = state.local[:, 0], state.keys[:, 0], state.values[:, 0], filled
        one, another = (layer.step(start, *memory)[0] for start in (x, other))
        assert torch.equal(one[:, 15:], another[:, 15:]) == forgets

    @torch.inference_mode()
    @pytest.mark.parametrize(("name", "apart"), [("whole", False), ("no-structure", True)])
    def test_without_structure_regions_do_not_talk(self, name: str, apart: bool) -> None:
        net = RIVALS[name]().eval()
        r = torch.randn(1, 1, len(REGIONS), net.config.token, generator=random())
        other = r.clone()
        other[:, :, 0] *= -1
        les = torch.zeros(1, 1, len(AXES))
        one, another = (net.crossings[0](x, les, net.unit_keys) for x in (r, other))
        assert torch.equal(one[:, :, 1:], another[:, :, 1:]) == apart

    @torch.inference_mode()
    def test_linear_is_linear(self) -> None:
        torch.manual_seed(1)
        net = RIVALS["linear"]().train()
        context, _ = net.listen(spectra(self.PCM), self.AHEAD, net.init_state(1))
        les = torch.rand(1, 60, len(AXES), generator=random())
        rest = net.decode(context, 0 * les).coefficients
        half, whole = (net.decode(context, level * les).coefficients - rest for level in (0.5, 1.0))
        torch.testing.assert_close(2 * half, whole)
