"""Portraits without a server: what the bridges to frameworks stand on. Their own tests are in tests/frameworks."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.portrait import Portrait
from server.bridges.stage import performed
from server.bridges.studio import Studio
from server.commands import Refusal
from server.conversation import SpeechEnded
from server.media import Shown
from server.portraits import Portraits
from server.sessions import Full
from server.settings import Settings
from tests.frameworks.material import RATE, nobody, tone
from tests.server_fakes import FakeEngine
from tests.server_running import prepare_at_once, until


class TestAPerformance:
    async def test_words_come_out_to_the_sample_and_then_their_end(self) -> None:
        async with Studio(FakeEngine) as studio:
            live = await studio.open(nobody(), size=256)
            words, samples = live.conversation.begin(rate=RATE), 0
            live.conversation.append(words, tone(440, 0.5))
            live.conversation.end(words)
            async with performed(live) as slots:
                async for slot in slots:
                    if isinstance(slot, Shown):
                        samples += sum(span.end - span.begin for span in slot.said)
                        assert all(np.abs(slot.sound[span.offset]) > 0 for span in slot.said if span.begin)
                        assert slot.picture.shape == (256, 256, 3) and slot.sound.shape == (1920,)
                    else:
                        assert isinstance(slot, SpeechEnded) and slot.utterance == words
                        break
            assert samples == pytest.approx(0.5 * 48_000, abs=48)
            await until(lambda: live.deserted)

    async def test_a_receiver_that_was_busy_for_long_has_missed_no_sound(self) -> None:
        async with Studio(FakeEngine) as studio:
            live = await studio.open(nobody(), size=256)
            words, samples = live.conversation.begin(rate=RATE), 0
            live.conversation.append(words, tone(440, 1.8))
            live.conversation.end(words)
            async with performed(live) as slots:
                await asyncio.sleep(1.6)
                async for slot in slots:
                    if not isinstance(slot, Shown):
                        break
                    samples += sum(span.end - span.begin for span in slot.said)
            assert samples == pytest.approx(1.8 * 48_000, abs=48)

    async def test_it_ends_with_its_session(self) -> None:
        async with Studio(FakeEngine) as studio:
            live, seen = await studio.open(nobody(), size=256), 0
            async with performed(live) as slots:
                async for _ in slots:
                    seen += 1
                    if seen == 3:
                        asyncio.get_running_loop().create_task(live.end("deleted"))
            assert studio.sessions == 0


class TestOpening:
    async def test_a_default_portrait_is_prepared_once_and_shared(self, tmp_path: Path) -> None:
        async with Studio(FakeEngine, Settings(portraits_dir=tmp_path, max_sessions=4)) as studio:
            prepared: list[str] = []
            loaded: list[Portrait] = []

            async def prepare(photo: bytes, out: Path) -> dict[str, Any]:
                prepared.append(out.stem)
                return await prepare_at_once(photo, out)

            def load(_: Path) -> Portrait:
                loaded.append(nobody())
                return loaded[-1]

            studio._portraits = Portraits(tmp_path, prepare, load, 0)
            one, two = await asyncio.gather(studio.open("anna"), studio.open("anna"))
            await studio.open("anna")
            assert one.id != two.id and prepared.count("anna") == 1 and len(loaded) == 1

    async def test_refusals(self, tmp_path: Path) -> None:
        async with Studio(FakeEngine, Settings(portraits_dir=tmp_path, max_sessions=1)) as studio:
            with pytest.raises(Refusal):
                await studio.open(str(tmp_path / "nobody.jpg"))
            with pytest.raises(Refusal):
                await studio.open(nobody(), size=77)
            await studio.open(nobody())
            with pytest.raises(Full):
                await studio.open(nobody())
