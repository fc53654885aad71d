"""Portraits of every kind: small, turned, tilted, dark, grey, drawn, with glasses, before anything."""

import io
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.face import load
from engine.face.coefficients import INDEX
from engine.portrait import Portrait, default_photo, prepare
from engine.portrait.fit import fit_head
from engine.portrait.frame import make_frame
from engine.portrait.glasses import find_glasses, stiffened
from engine.portrait.landmarks import Rgb, find_faces
from engine.portrait.photo import load_photo
from engine.renderer import CpuRenderer
from engine.tracks import rest

EYES = ((33, 133), (362, 263))


@cache
def anna() -> Rgb:
    return load_photo(default_photo("anna"))


def png(picture: Rgb) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def tilted(picture: Rgb, degrees: float) -> Rgb:
    rows, cols = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((cols / 2, rows / 2), degrees, 0.8)
    return np.asarray(cv2.warpAffine(picture, turn, (cols, rows), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def pencil(picture: Rgb) -> Rgb:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    drawn = cv2.divide(grey, 255 - cv2.GaussianBlur(255 - grey, (0, 0), 12), scale=256)
    return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_GRAY2RGB), np.uint8)


def painted(picture: Rgb) -> Rgb:
    flat = cv2.bilateralFilter(cv2.medianBlur(picture, 11), 15, 60, 15)
    return np.asarray(flat // 32 * 32 + 16, np.uint8)


def spectacled(picture: Rgb, thickness: int = 6) -> Rgb:
    drawn = picture.copy()
    points = find_faces(picture)[0].points[:, :2]
    middles = [points[list(corners)].mean(0) for corners in EYES]
    size = float(np.hypot(*(middles[1] - middles[0])))
    for x, y in middles:
        middle = (round(float(x)), round(float(y) + 0.04 * size))
        axes = (round(0.4 * size), round(0.3 * size))
        cv2.ellipse(drawn, middle, axes, 0, 0, 360, (50, 35, 30), thickness, cv2.LINE_AA)
    return drawn


@cache
def prepared(kind: str) -> Portrait:
    return prepare(png(KINDS[kind](anna())))


KINDS: dict[str, Callable[[Rgb], Rgb]] = {
    "small": lambda a: cv2.resize(a, (195, 195), interpolation=cv2.INTER_AREA),
    "tilted to the left": lambda a: tilted(a, 38),
    "tilted to the right": lambda a: tilted(a, -38),
    "dark": lambda a: (a * 0.12).astype(np.uint8),
    "overexposed": lambda a: np.clip(a * 2.2 + 20, 0, 255).astype(np.uint8),
    "grey": lambda a: cv2.cvtColor(cv2.cvtColor(a, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
    "pencil": pencil,
    "painted": painted,
    "glasses": spectacled,
}


class TestEveryKind:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_cut_out_and_can_be_shown(self, kind: str) -> None:
        portrait = prepared(kind)
        assert not [remark for remark in portrait.report.remarks if remark.subject == "background"]
        assert len(portrait.to_bytes()) < 20_000_000
        matte = portrait.layers["person"][..., 3]
        assert not matte[:40, :150].any() and (matte[-40:, 450:570] == 255).all()

    @pytest.mark.parametrize("kind", ["tilted to the left", "pencil", "dark"])
    def test_opens_its_mouth_and_shuts_its_eyes(self, kind: str) -> None:
        renderer, still, moved = CpuRenderer(256), rest(), rest()
        moved[[INDEX["jawOpen"], INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 0.6, 1, 1
        before, after = (renderer.render(prepared(kind), face).astype(int) for face in (still, moved))
        change = np.abs(after - before).max(2)
        spread = before[60:200, 70:186].std()
        eyes, mouth, crown = change[85:125, 90:166], change[145:190, 105:150], change[:40]
        assert np.percentile(eyes, 95) > spread / 3 and np.percentile(mouth, 95) > spread / 3 and crown.max() < 12

    def test_a_strong_tilt_is_turned_away_but_for_a_rest(self) -> None:
        rolls = [prepared(kind).report.roll for kind in ("tilted to the left", "tilted to the right")]
        assert abs(abs(rolls[0]) - 8) < 2.5 and abs(rolls[0] + rolls[1]) < 3


class TestSmallFaces:
    def test_are_enlarged_as_sharp_as_they_were(self) -> None:
        """Nearer to the large photo than its own enlargement would be, and with more of its detail."""
        large = make_frame(anna(), find_faces(anna())[0]).picture.astype(np.float32)
        small = cv2.resize(anna(), (256, 256), interpolation=cv2.INTER_AREA)
        plain = cv2.resize(small, anna().shape[1::-1], interpolation=cv2.INTER_CUBIC)
        face = find_faces(small)[0]
        ours = make_frame(small, face).picture.astype(np.float32)
        bare = make_frame(plain, find_faces(plain)[0]).picture.astype(np.float32)
        skin = (slice(300, 560), slice(300, 720))
        detail = [np.abs(np.diff(a[skin], axis=1)).mean() for a in (bare, ours, large)]
        assert detail[0] * 1.15 < detail[1] < detail[2]


class TestGlasses:
    def test_are_found_where_there_are_some(self) -> None:
        for picture, there in ((anna(), False), (spectacled(anna()), True), (load_photo(default_photo("zola")), False)):
            frame = make_frame(picture, find_faces(picture)[0])
            assert (find_glasses(frame.picture, frame.landmarks) is not None) is there

    def test_their_rims_stay_while_brows_and_lids_move(self) -> None:
        frame = make_frame(spectacled(anna()), find_faces(spectacled(anna()))[0])
        glasses, loose = find_glasses(frame.picture, frame.landmarks), fit_head(frame, load())
        assert glasses is not None
        stiff, far = stiffened(loose, glasses), glasses.relative(loose.vertices[:, :2]).min(0)
        front = loose.vertices[:, 2] > np.median(loose.vertices[:, 2])

        def share(name: str, where: np.ndarray) -> float:
            now, before = (np.linalg.norm(g.shapes[INDEX[name]][where & front], axis=1).sum() for g in (stiff, loose))
            return float(now / before)

        rim, lens, forehead = np.abs(far - 1) < 0.08, far < 0.5, far > 1.5
        assert share("browDownLeft", rim) < 0.2 and share("cheekSquintRight", rim) < 0.2
        assert share("eyeBlinkLeft", lens) > 0.97 and share("browOuterUpLeft", forehead) == 1
