"""Faces are found, followed and cropped steadily: on pictures made from a public-domain portrait."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cached_property

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from fakespan.errors import ConfigError
from fakespan.media.crop import CROP_SIZE, MOUTH_BOX
from fakespan.media.cuts import mark_cuts
from fakespan.media.detect import FaceDetector, iou
from fakespan.media.faces import FaceConfig, TrackEnd, TrackFrame, follow_faces
from fakespan.media.tracking import REACH, SIZE_SLACK, SLACK, SteadyPath, crop_box, drag, link, places_between
from fakespan.types import FaceTrack

HEAD = data.astronaut()[0:256, 96:352]  # a portrait 256 pixels wide; its face is about 100 of them
WIDTH, HEIGHT = 640, 360


@dataclasses.dataclass(frozen=True)
class DrawnPicture:
    is_after_hole = False

    """A picture that is drawn when somebody looks."""

    index: int
    draw: Callable[[int], np.ndarray]

    @cached_property
    def pixels(self) -> np.ndarray:
        return self.draw(self.index)

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    def crop(self, x0: int, y0: int, x1: int, y1: int, *, at_most: int | None = None) -> np.ndarray:
        assert 0 <= x0 < x1 <= self.width
        assert 0 <= y0 < y1 <= self.height
        return self.pixels[y0:y1, x0:x1]

    def thumbnail(self, max_side: int) -> np.ndarray:
        scale = min(1.0, max_side / max(self.width, self.height))
        size = (max(1, round(self.width * scale)), max(1, round(self.height * scale)))
        return cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)


def video(n_frames: int, draw: Callable[[int], np.ndarray]) -> Iterator[DrawnPicture]:
    return (DrawnPicture(k, draw) for k in range(n_frames))


def backdrop(seed: int = 0) -> np.ndarray:
    """A blurred pattern of blobs."""
    coarse = np.random.default_rng(seed).integers(40, 200, (9, 16, 3), np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def with_heads(*corners: tuple[int, int], seed: int = 0) -> np.ndarray:
    """The backdrop with the portrait pasted at each top left corner."""
    picture = backdrop(seed)
    for x, y in corners:
        visible = picture[y : y + 256, max(0, x) : x + 256]
        visible[:] = HEAD[: visible.shape[0], max(0, -x) : max(0, -x) + visible.shape[1]]
    return picture


def run(pictures: Iterator[DrawnPicture], **options: object) -> tuple[dict[int, list[TrackFrame]], list[FaceTrack]]:
    """Frames of each track, and the tracks; checks what every result promises."""
    frames: dict[int, list[TrackFrame]] = {}
    tracks: list[FaceTrack] = []
    for event in follow_faces(pictures, **options):  # type: ignore[arg-type]
        if isinstance(event, TrackEnd):
            tracks.append(event.track)
        else:
            assert event.track not in {track.id for track in tracks}
            assert event.face.shape == (96, 96, 3)
            assert event.face.dtype == np.uint8
            frames.setdefault(event.track, []).append(event)
    for track in tracks:
        indices = [frame.index for frame in frames.get(track.id, [])]
        if track.is_scanned:
            assert indices == list(range(round(track.start_s * 25), round(track.end_s * 25)))
        else:
            assert indices == []
    assert set(frames) <= {track.id for track in tracks}
    return frames, tracks


# --- following ---


def test_a_still_face_gives_one_track_and_exactly_still_crops() -> None:
    rng = np.random.default_rng(1)
    scene = with_heads((200, 60)).astype(np.int16)

    def noisy(_: int) -> np.ndarray:
        return np.clip(scene + rng.integers(-6, 7, scene.shape), 0, 255).astype(np.uint8)

    def marked(index: int) -> np.ndarray:  # the noise moves the detector's box; a clean copy shows where the crop was
        return noisy(index) if index % 6 == 0 else scene.astype(np.uint8)

    frames, (track,) = run(video(50, marked))
    clean = [frame.face for frame in frames[track.id] if frame.index % 6]
    assert all(np.array_equal(face, clean[0]) for face in clean)
    assert (track.start_s, track.end_s) == (0.0, 2.0)


def test_the_crop_is_framed_like_voxceleb() -> None:
    _, (track,) = run(video(40, lambda _: with_heads((200, 60))))
    x, y, width, height = np.array(track.box) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
    assert width == pytest.approx(height)
    face = FaceDetector().detect(with_heads((200, 60))).boxes[0]
    size = np.sqrt((face[2] - face[0]) * (face[3] - face[1]))
    assert size / width == pytest.approx(0.6, abs=0.06)
    assert (face[0] + face[2]) / 2 == pytest.approx(x + width / 2, abs=0.1 * width)
    assert (face[1] + face[3]) / 2 == pytest.approx(y + 0.345 * height, abs=0.1 * height)


def test_a_mouth_is_what_its_box_of_the_same_track_shows() -> None:
    def shown(mode: str, **options: object) -> np.ndarray:
        scene = with_heads((200, 60))
        config = FaceConfig(face_size=CROP_SIZE, **options)  # type: ignore[arg-type]
        events = list(follow_faces(video(40, lambda _: scene), mode, config))  # type: ignore[arg-type]
        return next(event.face for event in events if isinstance(event, TrackFrame))

    for mode in ("auto", "whole"):
        face, mouth = shown(mode), shown(mode, framing="mouth")
        x0, y0, x1, y1 = (round(part * CROP_SIZE) for part in MOUTH_BOX)
        larger = cv2.resize(face[y0:y1, x0:x1], (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
        assert np.abs(larger.astype(float) - mouth).mean() < 4


def test_a_moving_face_is_followed() -> None:
    crops: dict[int, tuple[int, int, int, int]] = {}

    class Watched(DrawnPicture):
        def crop(self, x0: int, y0: int, x1: int, y1: int, *, at_most: int | None = None) -> np.ndarray:
            crops[self.index] = (x0, y0, x1, y1)
            return super().crop(x0, y0, x1, y1)

    _, (track,) = run(Watched(k, lambda k: with_heads((20 + 3 * k, 60))) for k in range(75))
    assert (track.start_s, track.end_s) == (0.0, 3.0)
    face = FaceDetector().detect(with_heads((20, 60))).boxes[0]
    face_width = float(face[2] - face[0])
    for index, (x0, _, x1, _) in crops.items():
        truth = (face[0] + face[2]) / 2 + 3 * index
        # the leash, and at the very end the pictures after the last look
        assert (x0 + x1) / 2 == pytest.approx(truth, abs=(0.2 if index < 66 else 0.4) * face_width)
    sides = [x1 - x0 for x0, _, x1, _ in crops.values()]
    assert max(sides) - min(sides) < 0.1 * face_width


def test_two_people_give_two_tracks() -> None:
    frames, tracks = run(video(40, lambda _: with_heads((20, 60), (350, 80))))
    assert sorted(track.box[0] < 0.4 for track in tracks) == [False, True]
    assert {track.id for track in tracks} == set(frames) == {0, 1}
    assert all((track.start_s, track.end_s) == (0.0, 1.6) for track in tracks)


def test_a_cut_ends_the_track_at_the_right_frame() -> None:
    def draw(index: int) -> np.ndarray:
        return with_heads((100, 60), seed=0) if index < 41 else with_heads((110, 65), seed=5)

    _, tracks = run(video(90, draw))
    assert [(t.start_s, t.end_s) for t in tracks] == [(0.0, 41 / 25), (41 / 25, 90 / 25)]


def test_a_face_that_appears_and_goes_is_a_track_of_that_time() -> None:
    _, (track,) = run(video(130, lambda k: with_heads((200, 60)) if 30 <= k < 90 else backdrop(0)))
    assert track.start_s == pytest.approx(30 / 25, abs=0.5)
    assert track.end_s == pytest.approx(90 / 25, abs=0.5)


def test_a_face_hidden_for_a_moment_stays_one_track() -> None:
    def draw(index: int) -> np.ndarray:
        picture = with_heads((200, 60))
        if 41 < index < 54:  # a hand before the mouth
            picture[150:230, 270:380] = (180, 140, 120)
        return picture

    _, tracks = run(video(100, draw))
    assert [(t.start_s, t.end_s) for t in tracks] == [(0.0, 4.0)]


def test_a_track_that_is_too_short_is_told_but_gives_no_frames() -> None:
    frames, (track,) = run(video(40, lambda _: with_heads((200, 60))), config=FaceConfig(min_track_s=2.0))
    assert not frames
    assert not track.is_scanned
    assert (track.start_s, track.end_s) == (0.0, 1.6)


def test_a_small_face_in_a_tall_picture_is_found() -> None:
    picture = cv2.resize(backdrop(), (1080, 1920))
    picture[600:728, 500:628] = cv2.resize(HEAD, (128, 128), interpolation=cv2.INTER_AREA)
    _, (track,) = run(video(30, lambda _: picture))
    x, y, width, height = track.box
    assert 500 / 1080 < x + width / 2 < 628 / 1080
    assert 600 / 1920 < y + height / 2 < 728 / 1920


@pytest.mark.parametrize(("side", "is_judged"), [(128, True), (72, False)])
def test_a_face_of_too_few_pixels_is_told_and_not_scanned(side: int, is_judged: bool) -> None:
    picture = cv2.resize(backdrop(), (320, 180))
    picture[40 : 40 + side, 120 : 120 + side] = cv2.resize(HEAD, (side, side), interpolation=cv2.INTER_AREA)
    _, (track,) = run(video(50, lambda _: picture), config=FaceConfig(min_side=80))
    assert (track.is_scanned, track.is_small) == (is_judged, not is_judged)


@pytest.mark.parametrize("is_left", [True, False])
def test_the_number_of_faces_is_bounded_and_the_largest_is_followed(is_left: bool) -> None:
    def draw(_: int) -> np.ndarray:
        picture = with_heads((20, 60))
        picture[100:228, 450:578] = cv2.resize(HEAD, (128, 128), interpolation=cv2.INTER_AREA)
        return picture if is_left else np.ascontiguousarray(picture[:, ::-1])

    _, (track,) = run(video(60, draw), config=FaceConfig(max_faces=1))
    x, _, width, _ = track.box
    assert (x + width / 2 < 0.5) is is_left


def test_few_pictures_are_held_at_a_time() -> None:
    alive: set[int] = set()
    most = 0

    class Counted(DrawnPicture):
        def __del__(self) -> None:
            alive.discard(self.index)

    def pictures() -> Iterator[Counted]:
        nonlocal most
        for k in range(150):
            alive.add(k)
            most = max(most, len(alive))
            yield Counted(k, lambda _: with_heads((200, 60)))

    run(pictures())
    assert most < 40


# --- the whole picture ---


@pytest.mark.parametrize("side", [160, 224])
def test_a_video_of_face_crops_is_used_whole(side: int) -> None:
    crop = cv2.resize(data.astronaut()[20:200, 135:315], (side, side), interpolation=cv2.INTER_AREA)
    frames, (track,) = run(video(30, lambda _: crop))
    assert track == FaceTrack(0, 0.0, 1.2, (0.0, 0.0, 1.0, 1.0), is_whole=True)
    assert len(frames[0]) == 30


def test_a_portrait_with_room_around_is_not_a_face_crop() -> None:
    small = cv2.resize(data.astronaut(), (224, 224), interpolation=cv2.INTER_AREA)
    _, (track,) = run(video(30, lambda _: small))
    assert not track.is_whole


def test_modes_whole_and_none() -> None:
    frames, (track,) = run(video(3, lambda _: backdrop()), mode="whole")
    assert track.is_whole
    assert track.is_scanned
    assert len(frames[0]) == 3
    assert run(video(3, lambda _: with_heads((20, 60))), mode="none") == ({}, [])


# --- nothing to see ---


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (224, 224), (360, 640), (9, 2000)])
@pytest.mark.parametrize("mode", ["auto", "whole"])
def test_black_pictures_of_any_size(size: tuple[int, int], mode: str) -> None:
    _, tracks = run(video(30, lambda _: np.zeros((*size, 3), np.uint8)), mode=mode)
    assert [track.is_whole for track in tracks] == ([True] if mode == "whole" else [])


def test_pictures_without_a_face() -> None:
    assert run(video(30, lambda _: backdrop())) == ({}, [])


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_hardly_any_picture(n_frames: int) -> None:
    """A face must last to be followed; no picture is no error."""
    for draw in (lambda _: with_heads((200, 60)), lambda _: HEAD):
        assert run(video(n_frames, draw)) == ({}, [])


# --- cuts ---


def cuts_of(pictures: list[np.ndarray]) -> list[int]:
    marked = list(mark_cuts(video(len(pictures), lambda k: pictures[k])))
    assert [picture.index for picture, _ in marked] == list(range(len(pictures)))
    return [picture.index for picture, is_cut in marked if is_cut]


def test_cuts_are_found_at_their_frame() -> None:
    shots = [backdrop(0)] * 7 + [backdrop(1)] * 5 + [backdrop(2)] * 9
    assert cuts_of(shots) == [7, 12]
    assert cuts_of([backdrop(0)] * 5 + [backdrop(1)]) == [5]


def test_a_moving_shot_does_not_hide_the_cut_after_the_next_one() -> None:
    moving = [np.roll(backdrop(0), 8 * k, axis=1) for k in range(12)]
    alike = cv2.addWeighted(backdrop(1), 0.45, backdrop(2), 0.55, 0)
    assert cuts_of([*moving, *[backdrop(1)] * 2, *[alike] * 3]) == [12, 14]


def test_a_flash_a_fade_and_a_pan_are_no_cuts() -> None:
    flash = [backdrop(0)] * 6 + [np.full_like(backdrop(0), 255)] + [backdrop(0)] * 6
    fade = [(backdrop(0) * (k / 24)).astype(np.uint8) for k in range(25)]
    pan = [np.roll(backdrop(0), 25 * k, axis=1) for k in range(20)]
    assert [cuts_of(pictures) for pictures in (flash, fade, pan)] == [[], [], []]


# --- the detector ---


def test_the_detector_finds_the_face_and_only_it() -> None:
    detector = FaceDetector()
    found = detector.detect(with_heads((200, 60)))
    assert len(found) == 1
    assert found.scores[0] > 0.99
    x0, y0, x1, y1 = found.boxes[0]
    assert 200 < x0 < x1 < 456
    assert 60 < y0 < y1 < 316


def test_looking_again_keeps_to_the_face_without_drifting() -> None:
    detector = FaceDetector()
    picture = with_heads((200, 60))
    box = first = detector.detect(picture).boxes[:1]
    for _ in range(30):
        found = detector.refine(picture, box)
        box = found.boxes
    assert found.scores[0] > 0.9
    assert iou(first[0], box)[0] > 0.8
    assert detector.refine(backdrop(), first).scores[0] < 0.7


# --- arithmetic ---

coordinates = st.floats(-2000, 2000)
places = st.builds(lambda x, y, size: np.array([x, y, size]), coordinates, coordinates, st.floats(10, 500))


def steady_at_once(looks: list[np.ndarray]) -> list[np.ndarray]:
    """The readable twin of SteadyPath: all looks known beforehand."""
    steady: list[np.ndarray] = []
    for k in range(len(looks)):
        target = np.median(looks[max(0, k - REACH) : k + REACH + 1], axis=0)
        steady.append(drag(steady[-1], target) if steady else target)
    return steady


@given(st.lists(places, max_size=20))
def test_the_stream_gives_what_all_at_once_gives(looks: list[np.ndarray]) -> None:
    path, given_out = SteadyPath(), []
    for k, look in enumerate(looks):
        given_out += path.add(6 * k, look)
        assert len(given_out) == max(0, k + 1 - REACH)
    given_out += path.finish()
    assert [index for index, _ in given_out] == [6 * k for k in range(len(looks))]
    for (_, place), expected in zip(given_out, steady_at_once(looks), strict=True):
        np.testing.assert_array_equal(place, expected)


@given(places, places)
def test_the_leash_ends_where_its_slack_allows(anchor: np.ndarray, target: np.ndarray) -> None:
    moved = drag(anchor, target)
    slack = SLACK * anchor[2]
    distance = np.hypot(*(target - anchor)[:2])
    assert np.hypot(*(target - moved)[:2]) == pytest.approx(min(distance, slack), abs=1e-6)
    assert abs(np.log(target[2] / moved[2])) <= SIZE_SLACK + 1e-9
    if distance <= slack and abs(np.log(target[2] / anchor[2])) <= SIZE_SLACK:
        assert np.array_equal(moved, anchor)


@given(places, places, st.integers(1, 30))
def test_between_two_looks_the_place_moves_on_a_line(start: np.ndarray, end: np.ndarray, n_steps: int) -> None:
    steps = places_between((7, start), (7 + n_steps, end))
    assert [index for index, _ in steps] == list(range(8, 8 + n_steps))
    np.testing.assert_allclose(steps[-1][1], end, rtol=1e-9, atol=1e-9)
    whole = np.array([start] + [place for _, place in steps])
    np.testing.assert_allclose(np.diff(whole, axis=0), np.tile((end - start) / n_steps, (n_steps, 1)), atol=1e-6)


@given(places, st.integers(1, 3000), st.integers(1, 3000))
def test_a_crop_is_square_and_lies_in_the_picture(place: np.ndarray, width: int, height: int) -> None:
    x0, y0, x1, y1 = crop_box(place, width, height)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert x1 - x0 == y1 - y0


@settings(max_examples=50)
@given(st.integers(0, 5), st.integers(0, 5), st.randoms(use_true_random=False))
def test_linking_takes_the_best_pairs_first(n_rows: int, n_columns: int, random) -> None:
    overlaps = np.array([[random.random() for _ in range(n_columns)] for _ in range(n_rows)]).reshape(n_rows, n_columns)
    pairs = link(overlaps, 0.3)
    taken = [overlaps[pair] for pair in pairs]
    assert taken == sorted(taken, reverse=True)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    free_rows = set(range(n_rows)) - {row for row, _ in pairs}
    free_columns = set(range(n_columns)) - {column for _, column in pairs}
    assert all(overlaps[row, column] < 0.3 for row in free_rows for column in free_columns)


boxes = st.builds(
    lambda x, y, w, h: np.array([x, y, x + w, y + h], np.float32), *[st.integers(0, 30)] * 2, *[st.integers(1, 20)] * 2
)


@given(boxes, boxes)
def test_overlap_counts_shared_pixels(one: np.ndarray, other: np.ndarray) -> None:
    grids = np.zeros((2, 64, 64), bool)
    for grid, (x0, y0, x1, y1) in zip(grids, (one.astype(int), other.astype(int)), strict=True):
        grid[y0:y1, x0:x1] = True
    shared, either = (grids[0] & grids[1]).sum(), (grids[0] | grids[1]).sum()
    assert iou(one, other[None])[0] == pytest.approx(shared / either, abs=1e-6)


@pytest.mark.parametrize(
    ("key", "value"), [("detect_every", 7), ("min_confidence", 1.5), ("min_track_s", -1.0), ("max_faces", 0)]
)
def test_an_option_that_makes_no_sense_is_named(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=key):
        FaceConfig(**{key: value})  # type: ignore[arg-type]
