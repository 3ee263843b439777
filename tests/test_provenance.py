"""What a file says of itself: content credentials and the traces of its making, from friend and foe."""

from __future__ import annotations

import datetime
import json
import random
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clips import numbered_picture, spoken, write_clip, write_frames_at
from fakespan.localizer import load_model
from fakespan.media.boxes import edit_lists, movie_index
from fakespan.media.container import BEST
from fakespan.media.credentials import read_credentials
from fakespan.media.jumps import Hole, Jumps
from fakespan.media.making import read_making
from fakespan.report.export import json_text, read_json
from fakespan.report.html import render_html
from fakespan.report.provenance import credentials_line, provenance_facts
from fakespan.types import EditList, Making
from scans import recorded

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MADE = {"action": "c2pa.created", "digitalSourceType": AI, "softwareAgent": {"name": "Maker", "version": "2"}}
CREATED = {"action": "c2pa.created", "digitalSourceType": AI.replace("trainedAlgorithmicMedia", "digitalCapture")}
CUT = {"action": "c2pa.edited", "when": "2026-01-02T03:04:05Z"}

Sign = Callable[..., Path]


def certificate() -> tuple[bytes, bytes]:
    """A chain of certificates of a made-up newsroom, and the private key, in PEM."""

    def name(common: str) -> x509.Name:
        parts = ((NameOID.ORGANIZATION_NAME, "Example Newsroom"), (NameOID.COMMON_NAME, common))
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])

    def issued(common: str, key: ec.EllipticCurvePrivateKey, number: int) -> x509.CertificateBuilder:
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        built = x509.CertificateBuilder().subject_name(name(common)).issuer_name(name("Root"))
        built = built.public_key(key.public_key()).serial_number(number)
        return built.not_valid_before(now - day).not_valid_after(now + 9 * day)

    def usage(signs_certificates: bool) -> x509.KeyUsage:
        others = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        marks = {"key_cert_sign": signs_certificates, "crl_sign": signs_certificates, "decipher_only": False}
        return x509.KeyUsage(digital_signature=True, **others, **marks)

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = issued("Root", root_key, 1).add_extension(x509.BasicConstraints(True, None), critical=True)
    root = root.add_extension(usage(True), critical=True)
    own = issued("Desk", key, 2).add_extension(x509.BasicConstraints(False, None), critical=True)
    own = own.add_extension(usage(False), critical=True)
    own = own.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    chain = [own.add_extension(issuer, critical=False), root]
    pem = b"".join(c.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) for c in chain)
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, key.private_bytes(serialization.Encoding.PEM, *form)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip without credentials."""
    path = tmp_path_factory.mktemp("plain") / "clip.mp4"
    times_s = np.arange(30) / 25
    pictures = [numbered_picture(k) for k in range(30)]
    return write_clip(path, pictures, times_s, sound=spoken(1.2), sound_rate=16_000)


@pytest.fixture(scope="module")
def sign() -> Sign:
    """Writes a copy of a clip with content credentials."""
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", *certificate(), None))

    def sign_(source: Path, path: Path, *actions: object, url: str = "", parent: Path | None = None) -> Path:
        assertion = {"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}
        builder = c2pa.Builder({"claim_generator_info": [{"name": "Writer"}], "assertions": [assertion]})
        if url:
            builder.set_no_embed()
            builder.set_remote_url(url)
        if parent is not None:
            with parent.open("rb") as file:
                builder.add_ingredient({"title": "before", "relationship": "parentOf"}, "video/mp4", file)
        with source.open("rb") as file, path.open("w+b") as out:
            builder.sign(signer, "video/mp4", file, out)
        return path

    return sign_


@pytest.fixture(scope="module")
def signed(plain: Path, sign: Sign, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sign(plain, tmp_path_factory.mktemp("signed") / "signed.mp4", MADE)


def making(path: Path) -> Making:
    return read_making(path, BEST, Jumps())


# -- content credentials


def test_credentials_say_who_signed_and_what_was_done(signed: Path, sign: Sign, tmp_path: Path) -> None:
    found = read_credentials(signed)
    assert (found.state, found.issuer, found.signer) == ("valid", "Example Newsroom", "Desk")
    assert found.generator == "Writer"
    assert (found.says_ai, found.source_types) == (True, ("trainedAlgorithmicMedia",))
    later = read_credentials(sign(signed, tmp_path / "later.mp4", CREATED, CUT, parent=signed))
    assert [action.name for action in later.actions] == ["c2pa.created", "c2pa.created", "c2pa.edited"]
    assert (later.actions[0].software, later.actions[2].when) == ("Maker 2", "2026-01-02T03:04:05Z")
    assert later.says_ai  # of what it was made from


def test_a_file_without_credentials_has_none(plain: Path, tmp_path: Path) -> None:
    assert read_credentials(plain).state == "none"
    matroska, _ = write_frames_at(tmp_path / "clip.mkv", 25, 0.2)
    assert read_credentials(matroska).state == "none"


def test_an_edit_behind_the_signature_is_seen(signed: Path, tmp_path: Path) -> None:
    content = bytearray(signed.read_bytes())
    at = content.rfind(b"mdat") + 2000
    content[at] ^= 255
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(content)
    found = read_credentials(changed)
    assert (found.state, found.failures) == ("invalid", ("assertion.bmffHash.mismatch",))
    assert found.issuer == "Example Newsroom"


def test_credentials_that_lie_elsewhere_are_not_fetched(plain: Path, sign: Sign, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.c2pa"
        found = read_credentials(sign(plain, tmp_path / "remote.mp4", MADE, url=url))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert found.state == "elsewhere"
    assert url in found.detail


def test_without_the_extra_the_result_names_the_command(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_credentials(plain)
    assert found.state == "not_looked_at"
    assert "pip install 'fakespan[provenance]'" in found.detail


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_are_answered(seed: int, signed: Path, tmp_path: Path) -> None:
    rng, content = random.Random(seed), bytearray(signed.read_bytes())
    path = tmp_path / "damaged.mp4"
    for _ in range(6):
        cut = content[: rng.randrange(1, len(content))] if rng.random() < 0.3 else content.copy()
        first = cut.find(b"jumb") if rng.random() < 0.5 else 0
        for _ in range(rng.choice((1, 20, 400))):
            cut[rng.randrange(max(first, 0), min(len(cut), max(first, 0) + 12_000) or 1) % len(cut)] = rng.randrange(
                256
            )
        path.write_bytes(cut)
        assert read_credentials(path).state != "not_looked_at"
        assert isinstance(making(path), Making)


# -- how the file was made


def test_the_container_tells_how_it_was_made(plain: Path, tmp_path: Path) -> None:
    found = making(plain)
    assert found.application.startswith("Lavf")
    assert (found.is_variable_rate, found.shortest_step_s) == (False, 0.04)
    (video,) = (trace for trace in found.encoders if trace.place == "video 1")
    assert video.value.startswith("x264 - core")
    assert "crf=12.0" in video.value
    tagged = tmp_path / "tagged.mov"
    with av.open(str(plain)) as source, av.open(str(tagged), "w") as out:
        out.metadata.update({"creation_time": "2026-01-02T03:04:05Z", "comment": "x" * 5000})
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    found = making(tagged)
    assert found.created_at.startswith("2026-01-02T03:04:05")
    assert max(len(tag.value) for tag in found.tags) == 300


def test_a_variable_rate_is_told_from_rounding(tmp_path: Path) -> None:
    rounded, _ = write_frames_at(tmp_path / "constant.mkv", 30_000 / 1001, 1.0)  # in whole milliseconds
    assert making(rounded).is_variable_rate is False
    times_s = [k * 0.04 + 0.01 * (k % 3 == 0) for k in range(12)]
    varied = write_clip(tmp_path / "varied.mp4", [numbered_picture(k) for k in range(12)], times_s)
    found = making(varied)
    assert found.is_variable_rate is True
    assert found.longest_step_s == pytest.approx(0.05, abs=0.001)


def test_what_the_clock_did_is_told(plain: Path) -> None:
    found = read_making(plain, BEST, Jumps([Hole(50, 10.0)], n_restarts=2))
    assert (found.n_gaps, found.n_restarts) == (1, 2)


def test_the_index_is_looked_for_behind_many_boxes_but_not_for_ever(tmp_path: Path) -> None:
    path, free, index = tmp_path / "a.mp4", b"\0\0\0\x08free", b"\0\0\0\x0bmoovabc"
    for before, found in (
        (b"", b"abc"),
        (free * 5000, b"abc"),
        (free * 200_000, b""),
        (b"\0\0\0\x01mdat" + bytes(7) + b"\x11.", b"abc"),
        (b"\0\0\0\x01mdat" + b"\xff" * 8, b""),
        (b"\0\0\0\x07free", b""),
    ):
        path.write_bytes(before + index)
        assert movie_index(path) == found
    path.write_bytes(b"\0\0")
    assert movie_index(path) == b""


def test_edit_lists_are_counted_and_not_believed(plain: Path) -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    def track(n_stated: int, n_there: int) -> bytes:
        edits = box(b"elst", bytes(4) + n_stated.to_bytes(4, "big") + bytes(12 * n_there))
        return box(b"trak", box(b"tkhd", bytes(80)) + box(b"edts", edits))

    index = box(b"mvhd", bytes(90)) + track(3, 3) + box(b"trak", b"") + track(2**32 - 1, 2)
    assert edit_lists(index) == (EditList(1, 3), EditList(3, 2))
    assert edit_lists(index[:-30]) == (EditList(1, 3), EditList(3, 0))
    assert edit_lists(b"") == ()
    assert [found.track for found in edit_lists(movie_index(plain))] == [1, 2]


# -- beside the verdict


def test_a_scan_has_it_and_judges_the_same(plain: Path, signed: Path, tiny_path: Path) -> None:
    localizer = load_model(tiny_path)
    bare, told = (localizer.scan(path, faces="none") for path in (plain, signed))
    assert bare.provenance is not None
    assert told.provenance is not None
    assert (bare.provenance.credentials.state, told.provenance.credentials.state) == ("none", "valid")
    assert (bare.segments, bare.score, bare.verdict, bare.notes) == (
        told.segments,
        told.score,
        told.verdict,
        told.notes,
    )
    facts = dict(provenance_facts(told))
    assert facts["Tracks"] == "video 1 h264 und (judged), audio 1 aac und (judged)"
    assert "Edit lists" not in facts  # one entry a track is usual


def test_json_gives_it_back_and_the_page_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json_text(recorded()))
    assert read_json(path) == recorded()
    page = render_html(recorded())
    for text in ("created (Maker 2, trainedAlgorithmicMedia)", "Writer 3", "20.0 to 60.0 ms", "track 1: 3"):
        assert text in page
    assert "jumps ahead 1 time, goes back 2 times" in page
    assert "<b>Newsroom" not in page
    assert "\x1b" not in page
    assert "a trained model generated a part" in credentials_line(recorded())
    assert "What the file says of itself" not in render_html(recorded(provenance=None))


def test_a_result_cannot_smuggle_other_types(tmp_path: Path) -> None:
    record = recorded().to_dict()
    record["provenance"]["credentials"]["actions"] = [{"name": ["x"]}]
    path = tmp_path / "result.json"
    path.write_text(json.dumps(record))
    with pytest.raises(Exception, match=r"provenance.credentials.actions\[0\].name"):
        read_json(path)
