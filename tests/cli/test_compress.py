"""An image in K colours: its bits, its pixels, and every kind of image there is."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emdist.compression.image import compress_image, compressed_bits
from emdist.compression.pictures import index_bits
from emdist.compression.report import Compression
from emdist.errors import ConfigError, DataError, DtypeError, OutputExistsError
from emdist.fit.events import Began, Event
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array
from emdist.settings.config import FitSection
from tests.support.command_line import ROOT, Command

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

PICTURES = ROOT / "docs" / "images"
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (18, 24, 3), dtype=np.uint8)
GREY = NOISE[..., 0]
#: Brief fits, where the result is not what is looked at.
BRIEF = FitSection(max_iter=2)


@dataclass(frozen=True)
class Png:
    """What stands in the chunks of a PNG, read without Pillow."""

    width: int
    height: int
    depth: int
    colour_type: int
    palette: Array
    lines: bytes

    @classmethod
    def read(cls, path: Path | str) -> Png:
        chunks = list(_chunks(Path(path).read_bytes()))
        header = dict(chunks)[b"IHDR"]
        plte = np.frombuffer(dict(chunks).get(b"PLTE", b""), np.uint8).reshape(-1, 3)
        data = b"".join(body for name, body in chunks if name == b"IDAT")
        assert {name for name, _ in chunks} <= {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"iCCP"}
        width, height = (int.from_bytes(header[i : i + 4], "big") for i in (0, 4))
        return cls(width, height, header[8], header[9], plte, zlib.decompress(data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        check = data[at + 8 + length : at + 12 + length]
        assert zlib.crc32(body) == int.from_bytes(check, "big")
        yield body[:4], body[4:]
        at += 12 + length


def save(path: Path, pixels: Array, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def shown(path: Path | str) -> Array:
    """What a viewer shows: (height, width, 3)."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize(
    ("colours", "bits", "percent"), [(2, 43_248, "4.2"), (3, 86_472, "8.3"), (10, 173_040, "16.7")]
)
def test_the_numbers_of_bishop(
    colours: int, bits: int, percent: str, emdist: Command, tmp_path: Path
) -> None:
    photo = PICTURES / "china.png"
    assert compressed_bits(240 * 180, colours) == bits
    answer = emdist("compress", photo, "a.png", "--colours", colours, "--json")
    assert answer.code == 0, answer.err
    found = answer.lines[-1]
    assert found["raw_bits"] == 1_036_800
    assert found["bits"] == bits
    assert f"{100 * found['share']:.1f}" == percent
    page = emdist("compress", photo, "a.png", "-k", colours, "--overwrite").out
    assert f"{bits:,} bits, {percent}% of the uncompressed size" in page
    assert "240 x 180, 1,036,800 bits uncompressed" in page
    assert len(np.unique(shown("a.png").reshape(-1, 3), axis=0)) == colours


def test_formula_and_file_agree_where_png_has_the_depth() -> None:
    exact = {k for k in range(1, 257) if index_bits(k) == math.ceil(math.log2(k))}
    assert exact == {*range(2, 5), *range(9, 17), *range(129, 257)}
    assert all(index_bits(k) > math.ceil(math.log2(k)) for k in {*range(1, 257)} - exact)


@pytest.mark.parametrize("colours", [1, 2, 3, 4, 5, 10, 16, 17, 256])
def test_what_stands_in_the_file(colours: int, tmp_path: Path) -> None:
    found = compress_image(save(tmp_path / "a.png", NOISE), tmp_path / "b.png", colours, BRIEF)
    png = Png.read(found.out)
    assert (png.width, png.height, png.colour_type) == (24, 18, 3)
    assert png.palette.shape == (colours, 3)
    assert png.depth == found.index_bits == index_bits(colours)
    assert len(png.lines) == 18 * (1 + math.ceil(24 * png.depth / 8))  # a filter's byte each line
    assert found.file_bytes == Path(found.out).stat().st_size
    lost = NOISE.astype(float) - shown(found.out)
    assert found.rmse == pytest.approx(math.sqrt(np.square(lost).mean()), rel=1e-12)
    assert found.psnr == pytest.approx(20 * math.log10(255 / found.rmse))


def _from_the_same_start(photo: Path, start: Array) -> tuple[Compression, Any]:
    """Our compression and scikit-learn's K-means, both to their exact ends."""
    cluster = pytest.importorskip("sklearn.cluster")
    pixels, k = shown(photo).reshape(-1, 3), len(start)
    np.savez(photo.with_name("start.npz"), means=start)
    fit = FitSection(start=str(photo.with_name("start.npz")), tol=0, max_iter=1000)
    found = compress_image(photo, photo.with_name("out.png"), k, fit)
    assert found.status == "converged"
    return found, cluster.KMeans(k, init=start, n_init=1, tol=0, max_iter=1000).fit(pixels)


def test_palette_and_pixels_are_those_of_kmeans(tmp_path: Path) -> None:
    # Eight colours with noise, none of whose pixels lies near a boundary.
    corners = np.array([[x, y, z] for x in (40, 210) for y in (40, 210) for z in (40, 210)])
    rng = np.random.default_rng(0)
    pixels = corners[rng.integers(0, 8, (60, 80))] + rng.integers(-25, 26, (60, 80, 3))
    photo = save(tmp_path / "a.png", pixels.astype(np.uint8))
    found, wanted = _from_the_same_start(photo, corners + 20.0)
    palette = Png.read(found.out).palette
    assert np.array_equal(palette, np.rint(wanted.cluster_centers_))
    assert np.array_equal(shown(found.out).reshape(-1, 3), palette[wanted.labels_])
    assert found.inertia == pytest.approx(wanted.inertia_, rel=1e-6)
    assert found.iterations == wanted.n_iter_


def test_a_photograph_is_compressed_as_by_scikit_learn(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes((PICTURES / "flower.png").read_bytes())
    colours = np.unique(shown(photo).reshape(-1, 3), axis=0)
    start = np.random.default_rng(0).choice(colours, 10, replace=False).astype(float)
    found, wanted = _from_the_same_start(photo, start)
    assert found.inertia == pytest.approx(wanted.inertia_, rel=1e-4)
    palette = Png.read(found.out).palette
    same = (shown(found.out).reshape(-1, 3) == palette[wanted.labels_]).all(axis=1)
    # Pixels half-way between two centres go to either, by the last bit of a distance.
    assert same.mean() > 0.999
    assert np.abs(palette - wanted.cluster_centers_).max() < 1


@pytest.mark.long
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    own=st.integers(1, 6),
    colours=st.integers(1, 8),
    grey=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_few_colours_are_kept_exactly(
    shape: tuple[int, int],
    own: int,
    colours: int,
    grey: bool,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (own, 1 if grey else 3), dtype=np.uint8)
    pixels = palette[rng.integers(0, own, shape)]
    path = tmp_path_factory.mktemp("few") / "a.png"
    save(path, pixels[..., 0] if grey else pixels)
    found = compress_image(path, path.with_name("b.png"), colours)
    there = len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0))
    assert found.colours == min(colours, there)
    assert found.raw_bits == pixels.size * 8
    assert found.bits == compressed_bits(shape[0] * shape[1], found.colours)
    assert (found.psnr is None) == (found.rmse == 0) == (colours >= there)
    if colours >= there:
        assert np.array_equal(shown(found.out), np.broadcast_to(pixels, (*shape, 3)))


def test_fewer_colours_than_asked_for_are_said(emdist: Command, tmp_path: Path) -> None:
    save(tmp_path / "flat.png", np.full((50, 40, 3), (1, 2, 3), np.uint8))
    answer = emdist("compress", "flat.png", "b.png", "-k", 5)
    assert "| colours | 1 (the image has no more; you asked for 5) |" in answer.out
    assert "no loss" in answer.out
    assert "24 bits, 0.1% of the uncompressed size" in answer.out
    assert "iteration 1:" in answer.err


def test_one_pixel_and_a_rare_colour(tmp_path: Path) -> None:
    assert (
        compress_image(save(tmp_path / "a.png", NOISE[:1, :1]), tmp_path / "b.png", 10).bits == 24
    )
    # Too rare for the sample that K-means is seeded from, yet kept.
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[150, 7], pixels[299, 299] = (255, 0, 1), (0, 9, 0)
    found = compress_image(save(tmp_path / "c.png", pixels), tmp_path / "d.png", 3)
    assert found.psnr is None
    assert np.array_equal(shown(found.out), pixels)


ALPHA = np.dstack([NOISE, np.full(GREY.shape, 255, np.uint8)])
#: Kept as they are, or brought to what a palette holds: bits of a raw pixel, and what is said.
KINDS: dict[str, tuple[str, Array, str | None, int, str]] = {
    "grey": ("a.png", GREY, None, 8, ""),
    "bits": ("a.png", GREY > 99, None, 1, ""),
    "16 bits": ("a.png", GREY.astype(np.uint16) * 257, None, 16, ""),
    "16 bits TIFF": ("a.tif", GREY.astype(np.uint16) * 257, None, 16, ""),
    "grey and opaque": ("a.png", ALPHA, "LA", 8, "alpha band was dropped"),
    "opaque": ("a.png", ALPHA, None, 24, "alpha band was dropped"),
    "CMYK": ("a.tif", NOISE, "CMYK", 24, "mode CMYK was converted"),
    "CMYK JPEG": ("a.jpg", NOISE, "CMYK", 24, "mode CMYK was converted"),
    "palette": ("a.png", NOISE, "P", 24, "mode P was converted"),
    "JPEG": ("a.JPG", NOISE, None, 24, ""),
    "BMP": ("a.bmp", NOISE, None, 24, ""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_images(kind: str, tmp_path: Path) -> None:
    name, pixels, mode, raw, note = KINDS[kind]
    found = compress_image(save(tmp_path / name, pixels, mode), tmp_path / "b.png", 256)
    assert found.raw_bits == raw * pixels.shape[0] * pixels.shape[1]
    assert len(found.notes) == bool(note)
    assert note in "".join(found.notes)
    if mode is None and pixels.dtype != np.uint16:
        lost = shown(found.out).astype(float) - shown(tmp_path / name)
        assert found.rmse == pytest.approx(math.sqrt(np.square(lost).mean()))
    if pixels.dtype == np.uint16:
        assert np.array_equal(shown(found.out)[..., 0], GREY)


def test_rgb_profile_is_kept(tmp_path: Path) -> None:
    cms = pytest.importorskip("PIL.ImageCms")
    profile = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    for mode, kept in (("RGB", True), ("L", False), ("CMYK", False)):
        path = save(tmp_path / f"{mode}.tif", NOISE, mode, icc_profile=profile)
        found = compress_image(path, tmp_path / f"{mode}.png", 4, BRIEF)
        assert Image.open(found.out).info.get("icc_profile") == (profile if kept else None)


@pytest.mark.covering
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Flat squares of 16 pixels, which JPEG keeps flat.
    pixels = np.kron(NOISE[:2, :3], np.ones((16, 16, 1), np.uint8))
    save(tmp_path / f"a.{suffix}", pixels, exif=exif)
    found = compress_image(tmp_path / f"a.{suffix}", tmp_path / "b.png", 64)
    wanted = shown(tmp_path / f"a.{suffix}")
    assert (found.height, found.width) == wanted.shape[:2]
    assert (found.height > found.width) == (orientation >= 5)
    assert np.array_equal(shown(found.out), wanted)


def _clear(pixels: Array) -> Array:
    out = pixels.copy()
    out[3, 3, -1] = 254
    return out


def _pages(path: Path) -> None:
    pages = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def _torn(path: Path) -> None:
    path.write_bytes(save(path, NOISE).read_bytes()[:700])


REFUSED: dict[str, tuple[str, Any, type[Exception], str]] = {
    "transparent": ("a.png", lambda p: save(p, _clear(ALPHA)), DataError, "transparent pixels"),
    "a clear colour": (
        "a.png",
        lambda p: save(p, NOISE, transparency=tuple(map(int, NOISE[4, 4]))),
        DataError,
        "flatten the image",
    ),
    "a clear grey": (
        "a.png",
        lambda p: save(p, GREY, transparency=int(GREY[4, 4])),
        DataError,
        "flatten",
    ),
    "a clear 16-bit grey": (
        "a.png",
        lambda p: save(p, GREY.astype(np.uint16) * 257, transparency=int(GREY[4, 4]) * 257),
        DataError,
        "transparent pixels",
    ),
    "a clear entry": (
        "a.png",
        lambda p: Image.fromarray(GREY).convert("P").save(p, transparency=int(GREY[4, 4])),
        DataError,
        "flatten",
    ),
    "floats": (
        "a.tif",
        lambda p: save(p, GREY.astype(np.float32)),
        DtypeError,
        "no value means white",
    ),
    "integers": ("a.tif", lambda p: save(p, GREY.astype(np.int32)), DtypeError, "Scale it to 8"),
    "animated": ("a.png", _pages, DataError, "has 2 pages"),
    "pages": ("a.tif", _pages, DataError, "has 2 pages"),
    "torn": ("a.png", _torn, DataError, "not a readable image"),
    "junk": ("a.png", lambda p: p.write_bytes(b"junk"), DataError, "not a readable image"),
    "empty": ("a.jpg", lambda p: p.write_bytes(b""), DataError, "not a readable image"),
    "a table": ("a.csv", lambda p: p.write_text("1,2\n3,4\n"), ConfigError, "is not an image"),
    "an unknown format": ("a.gif", _pages, ConfigError, "no known suffix"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    name, prepare, error, words = REFUSED[what]
    prepare(tmp_path / name)
    with pytest.raises(error, match=words):
        compress_image(tmp_path / name, tmp_path / "b.png", 4)
    assert [path.name for path in tmp_path.iterdir()] == [name]


MISTAKES = {
    "too many colours": ("a.png b.png -k 257", 2, "has 1 to 256 colours"),
    "no colours": ("a.png b.png -k 0", 2, "has 1 to 256 colours"),
    "an unknown start": ("a.png b.png --init kmean", 2, "did you mean 'kmeans'"),
    "another format": ("a.png b.jpg", 2, "does not end in .png"),
    "a URL": ("a.png s3://bucket/b.png", 2, "is a URL"),
    "its own source": ("a.png ./a.png --overwrite", 2, "would replace the image"),
    "several images": ("?.png c.png", 2, "matches 2 files"),
    "not an image": ("none.png b.png", 3, "no file or folder"),
    "a file in the way": ("a.png there.png", 4, "--overwrite"),
    "a folder in the way": ("a.png folder.png --overwrite", 4, "is a folder"),
    "no folder": ("a.png nowhere/b.png", 5, "does not exist. Create it first"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, emdist: Command, tmp_path: Path) -> None:
    command, code, words = MISTAKES[mistake]
    save(tmp_path / "a.png", NOISE)
    save(tmp_path / "z.png", NOISE)
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    answer = emdist("compress", *command.split())
    assert answer.code == code, answer.err
    assert words in " ".join(answer.err.replace("│", " ").split())
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_the_help_names_every_seeder_and_its_own_defaults(emdist: Command) -> None:
    told = " ".join(re.sub("[\u2500-\u257f]", " ", emdist("compress", "--help").out).split())
    for name in plugins("emdist.fit.seeding", "seeder"):
        assert name in told, name
    assert "(default: 300)" in told
    assert "mixtures" not in told


def test_overwrite_replaces_and_quiet_names_the_place(emdist: Command, tmp_path: Path) -> None:
    save(tmp_path / "a.png", NOISE)
    (tmp_path / "b.png").write_bytes(b"mine")
    answer = emdist("compress", "a.png", "b.png", "-k", 3, "--overwrite", "--quiet")
    assert (answer.code, answer.out, answer.err) == (0, f"{tmp_path / 'b.png'}\n", "")
    assert len(Png.read("b.png").palette) == 3


def test_the_same_seed_gives_the_same_file(emdist: Command, tmp_path: Path) -> None:
    save(tmp_path / "a.png", NOISE)
    options = ("--init", "random", "--n-init", 2, "--max-iter", 3, "--tol", 0, "--colors", 6)
    for name, seed in (("b.png", 1), ("c.png", 1), ("d.png", 2)):
        assert emdist("compress", "a.png", name, "--seed", seed, *options).code == 0
    assert Path("b.png").read_bytes() == Path("c.png").read_bytes()
    assert Path("b.png").read_bytes() != Path("d.png").read_bytes()


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    save(tmp_path / "a.png", NOISE)
    stages = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Began):
            stages.append(event.stage)
            if event.stage == "label":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress_image(tmp_path / "a.png", tmp_path / "b.png", 4, BRIEF, listen=interrupt)
    assert stages[0] == "ingest"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    save(tmp_path / "a.png", NOISE)

    def appear(event: Event) -> None:
        (tmp_path / "b.png").write_bytes(b"mine")

    with pytest.raises(OutputExistsError, match="Another process created"):
        compress_image(tmp_path / "a.png", tmp_path / "b.png", 4, BRIEF, listen=appear)
    assert (tmp_path / "b.png").read_bytes() == b"mine"


def test_the_pictures_of_the_documentation() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 400_000
    text = (ROOT / "docs" / "image-compression.md").read_text(encoding="utf-8")
    for name in ("china", "flower"):
        for colours in (2, 3, 10):
            picture = PICTURES / f"{name}-{colours}.png"
            png = Png.read(picture)
            assert (png.width, png.height, len(png.palette)) == (240, 180, colours)
            assert f"images/{picture.name}" in text
            assert f"{picture.stat().st_size:,}" in text
