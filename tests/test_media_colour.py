"""How pictures are shown: non-square pixels are stretched, high dynamic range becomes SDR."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

import fakespan
from clips import write_clip
from fakespan.media.colour import to_sdr
from fakespan.media.decode import read_pictures
from fakespan.media.probe import probe
from remade import finds_the_forgery, sample_pictures, sample_sound

BT2020, PQ, HLG = 9, 16, 18
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
WHITE = 203  # cd/m²


def _pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084 of linear light, 1 at SDR white."""
    power = (np.clip(light, 0, None) * WHITE / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light: np.ndarray) -> np.ndarray:
    """BT.2100 HLG of linear display light, 1 at SDR white, for a display of 1,000 cd/m²."""
    shown = np.clip(light, 0, None) * WHITE / 1000
    luma = np.maximum(shown @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
    scene = shown * luma ** (1 / 1.2 - 1)
    dark = np.sqrt(3 * scene)
    return np.where(scene <= 1 / 12, dark, 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073)


def _write_wide(path, pictures, curve, transfer):
    """A lossless 10-bit clip in the colours of BT.2020."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, context = "yuv420p10le", stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = BT2020, transfer, 9, 1
        for picture in pictures:
            code = curve((picture / 255.0) ** 2.4 @ TO_2020.T)
            deep = np.round(np.clip(code, 0, 1) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(deep, "rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020", dst_color_range="MPEG")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("curve", "transfer", "kind"),
    [(_pq, PQ, "PQ"), (_hlg, HLG, "HLG"), (lambda light: np.clip(light, 0, 1) ** (1 / 2.4), 14, "")],
    ids=["PQ", "HLG", "BT.2020"],
)
def test_a_picture_of_wide_colours_looks_as_it_did_in_sdr(tmp_path, curve, transfer, kind):
    before = sample_pictures()[:2]
    path = _write_wide(tmp_path / "wide.mkv", before, curve, transfer)
    picture = next(read_pictures(path))
    whole = picture.rgb()
    assert np.abs(whole.astype(int) - before[0]).mean() < 3
    assert np.abs(picture.crop(31, 42, 201, 212).astype(int) - whole[42:212, 31:201]).mean() < 1
    small = cv2.resize(before[0], (160, 160), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.thumbnail(160).astype(int) - small).mean() < 3
    assert probe(path).hdr == kind


def test_lights_above_white_stay_in_order_and_keep_their_hue():
    light = np.array([0.5, 1.0, 2.0, 8.0])[:, None, None] * [1.0, 0.5, 0.25] @ TO_2020.T
    shown = to_sdr(np.round(_pq(light) * 65535).astype(np.uint16), "PQ").reshape(4, 3).astype(int)
    assert (np.diff(shown[:, 0]) > 0).all()
    assert shown.max() < 256
    ratios = (shown / 255.0) ** 2.4
    np.testing.assert_allclose(ratios[:, 1] / ratios[:, 0], 0.5, atol=0.02)


def test_a_scan_says_that_it_saw_high_dynamic_range(tmp_path, tiny_path):
    path = _write_wide(tmp_path / "hdr.mkv", sample_pictures()[:30], _pq, PQ)
    result = fakespan.load_model(tiny_path).scan(path, faces="whole")
    assert any("PQ" in note and "SDR" in note for note in result.notes)


@pytest.mark.parametrize(("stored", "aspect"), [((200, 320), Fraction(8, 5)), ((256, 192), Fraction(3, 4))])
def test_pixels_that_are_not_square_are_stretched(tmp_path, stored, aspect):
    shown = sample_pictures()[:2]
    if aspect < 1:
        shown = [cv2.resize(picture, (192, 192), interpolation=cv2.INTER_AREA) for picture in shown]
    squeezed = [cv2.resize(picture, stored, interpolation=cv2.INTER_AREA) for picture in shown]
    path = write_clip(tmp_path / "film.mkv", squeezed, [0.0, 0.04], pixel_aspect=aspect)
    picture, info = next(read_pictures(path)), probe(path)
    assert (picture.width, picture.height) == (info.width, info.height) == shown[0].shape[1::-1]
    whole = picture.rgb()
    assert whole.shape == shown[0].shape
    assert np.abs(whole.astype(int) - shown[0]).mean() < 6
    assert np.abs(picture.crop(31, 42, 101, 112).astype(int) - whole[42:112, 31:101]).max() <= 2
    assert picture.thumbnail(96).shape == (96, 96, 3)


@pytest.mark.parametrize("aspect", [Fraction(1000, 1), Fraction(1, 1000)])
def test_an_impossible_shape_of_pixels_is_ignored(tmp_path, aspect):
    path = write_clip(tmp_path / "odd.mkv", sample_pictures()[:1], [0.0], pixel_aspect=aspect)
    assert next(read_pictures(path)).rgb().shape == (320, 320, 3)


def test_the_forgery_is_found_in_squeezed_pictures(tmp_path):
    pictures = [cv2.resize(picture, (200, 320), interpolation=cv2.INTER_AREA) for picture in sample_pictures()]
    times_s = np.arange(len(pictures)) / 25
    path = write_clip(
        tmp_path / "film.mkv",
        pictures,
        times_s,
        sound=sample_sound(),
        sound_rate=16_000,
        audio_codec="pcm_s16le",
        pixel_aspect=Fraction(8, 5),
    )
    assert finds_the_forgery(fakespan.scan(path))
