"""From a photo's bytes to a prepared portrait: read, find the face, fit the head, cut, build the layers, judge."""

import cv2
import numpy as np

from engine.face import load
from engine.face.coefficients import INDEX
from engine.portrait.errors import PortraitError
from engine.portrait.file import Portrait
from engine.portrait.fit import Fit, Geometry, fit_head
from engine.portrait.frame import make_frame
from engine.portrait.glasses import find_glasses, stiffened
from engine.portrait.judge import judge
from engine.portrait.landmarks import Face, Rgb, find_faces
from engine.portrait.layers import build_layers
from engine.portrait.matte import separate
from engine.portrait.photo import load_photo
from engine.portrait.surround import continued
from engine.units import FRAME_SIZE

SMALLEST_FACE_PX = 80
FURTHEST_TURN = 50.0  # degrees
LEAST_INSIDE = 0.97  # of the landmarks
MOST_CLOSED = 0.8  # of both eyes


def prepare(data: bytes) -> Portrait:
    """The largest face of a photo, ready to be driven. PortraitError for a photo that can't be used."""
    photo = load_photo(data)
    faces = _found(photo)
    face = faces[0]
    frame = make_frame(photo, face)
    head = load()
    geometry = fit_head(frame, head)
    _check(photo, face, geometry)
    if glasses := find_glasses(frame.picture, frame.landmarks):
        geometry = stiffened(geometry, glasses)
    frame = continued(frame, geometry, head)
    parts = separate(frame, geometry, head)
    fit = Fit(**vars(geometry), picture=parts.picture, matte=parts.matte, background=parts.background)
    return Portrait(build_layers(fit, head), judge(faces, frame, fit, parts.sure), _thumbnail(frame.picture))


def _check(photo: Rgb, face: Face, geometry: Geometry) -> None:
    """PortraitError for a face that can't be brought to life."""
    if max(map(abs, geometry.pose[:2])) > FURTHEST_TURN:
        raise PortraitError("turned_away", "the face is turned away: take a photo that looks into the camera")
    inside = ((face.points[:, :2] >= 0) & (face.points[:, :2] < photo.shape[1::-1])).all(1)
    if inside.mean() < LEAST_INSIDE:
        raise PortraitError("face_cut_off", "the photo's edge cuts the face off: use a photo that shows all of it")
    if min(geometry.source[INDEX[f"eyeBlink{side}"]] for side in ("Left", "Right")) > MOST_CLOSED:
        raise PortraitError("eyes_closed", "the eyes are closed: use a photo with open eyes")


def _found(photo: Rgb) -> list[Face]:
    """The largest first, which is large enough."""
    faces = find_faces(photo)
    if not faces:
        raise PortraitError("no_face", "no face was found: use a photo that shows one from the front, well lit")
    height = round(float(np.ptp(faces[0].points[:, 1])))
    if height < SMALLEST_FACE_PX:
        raise PortraitError(
            "face_too_small",
            f"the face is only {height} pixels high: use a photo with one of {SMALLEST_FACE_PX} or more",
        )
    return faces


def _thumbnail(picture: Rgb) -> bytes:
    small = cv2.resize(picture, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return jpeg.tobytes()
