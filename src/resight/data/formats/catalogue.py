"""The data set formats by name. Another one is a file beside this and a line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from resight.core.errors import ConfigError, DatasetError, unknown_name
from resight.data.city.synthetic import draw_city, parse_city
from resight.data.crops import SPLITS, Dataset
from resight.data.formats.cuhk03 import looks_like_cuhk03, read_cuhk03
from resight.data.formats.dukemtmc import looks_like_dukemtmc, read_dukemtmc
from resight.data.formats.folder import looks_like_folder, read_folder
from resight.data.formats.manifest import looks_like_manifest, read_manifest
from resight.data.formats.market1501 import looks_like_market1501, read_market1501
from resight.data.formats.mars import looks_like_mars, read_mars
from resight.data.formats.msmt17 import looks_like_msmt17, read_msmt17
from resight.data.formats.tables import OPTIONAL, REQUIRED
from resight.data.formats.veri776 import looks_like_veri776, read_veri776
from resight.data.formats.viper import looks_like_viper, read_viper
from resight.data.labels import settled
from resight.data.listing import holds_folders_of_pictures, list_entries
from resight.data.pictures import is_picture


@dataclass(frozen=True)
class Format:
    """layout: what is looked for, in words. looks_like: whether a path is of this format. read: the reader; it takes
    the path, and a variant where has_variants (`--format name:variant`)."""

    layout: str
    looks_like: Callable[[Path], bool]
    read: Callable[..., Dataset]
    has_variants: bool = False


FORMATS: dict[str, Format] = {
    "manifest": Format(
        "a .csv, .parquet or .jsonl file, or manifest.csv or manifest.parquet in the folder",
        looks_like_manifest,
        read_manifest,
    ),
    "market1501": Format(
        "bounding_box_train/, query/, bounding_box_test/ with names such as 0002_c1s1_000451_03.jpg",
        looks_like_market1501,
        read_market1501,
    ),
    "dukemtmc": Format("the same folders with names such as 0001_c2_f0046182.jpg", looks_like_dukemtmc, read_dukemtmc),
    "cuhk03": Format(
        "images_detected/ or images_labeled/ with cuhk03_new_protocol_config_*.mat, or bounding_box_train/ with "
        "names such as 0001_c1_1.png",
        looks_like_cuhk03,
        read_cuhk03,
        has_variants=True,
    ),
    "msmt17": Format(
        "list_train.txt, list_query.txt, list_gallery.txt beside train/ and test/, or mask_train_v2/ and mask_test_v2/",
        looks_like_msmt17,
        read_msmt17,
        has_variants=True,
    ),
    "viper": Format("cam_a/ and cam_b/ with names such as 001_45.bmp", looks_like_viper, read_viper, has_variants=True),
    "mars": Format("bbox_train/ and bbox_test/ with 0001/0001C1T0001F001.jpg", looks_like_mars, read_mars),
    "veri776": Format(
        "image_train/, image_query/, image_test/ with names such as 0001_c001_00016450_0.jpg",
        looks_like_veri776,
        read_veri776,
    ),
    "folder": Format(
        "train/, query/, gallery/ (or val/query/, val/gallery/) with <person>/<camera>_<anything>.<ext>",
        looks_like_folder,
        read_folder,
    ),
}
# Files that people have in place of a table: what they are, and what to do.
_COLUMNS = "the columns path, pid, camid, split"
NOT_READ = {
    ".zip .tar .gz .tgz .bz2 .xz .zst .7z .rar": "an archive: unpack it, and name the folder or the table that was in "
    "it",
    ".xlsx .xls .xlsm .ods": f"a spreadsheet: save it as CSV (in Excel: CSV UTF-8), with {_COLUMNS}",
    ".tsv .tab .txt": f"text: a table with {_COLUMNS}, by commas, semicolons, tabs or |, is read where its name ends "
    "in .csv; rename it",
    ".json": f"JSON: a table is read as .csv or .parquet, or as .jsonl with one object a line, with {_COLUMNS}",
}
SYNTHETIC = "synthetic"  # drawn by code, so it has no folder to look at


def open_dataset(spec: str | Path, format: str | None = None, *, columns: Mapping[str, str] | None = None) -> Dataset:
    """Opens a data set: a folder or a table of any known format, or the drawn city, `synthetic`, with its settings
    after a colon. Pictures are not read yet.

    Labels mean what `resight.data.labels` says: 0 is a distractor, or a person where query or train holds it.

    format: a name of FORMATS, instead of finding it by looking; with a variant where the format has any
    (`msmt17:trainval`). columns: what a table calls its columns, by our names ({"pid": "person_id"}).

    Raises DatasetError where the path does not exist or is of no known format, ConfigError for an unknown format, an
    unknown setting, or columns of what is no table.

    Example:

        >>> import resight
        >>> data = resight.open_dataset("synthetic:train_people=1,test_people=2")
        >>> len(data.train), len(data.query), len(data.gallery)
        (16, 7, 21)
    """
    name, _, variant = (format or "").partition(":")
    if format is not None and name not in (*FORMATS, SYNTHETIC):
        raise unknown_name("format", name, (*FORMATS, SYNTHETIC))
    text = str(spec)
    if name == SYNTHETIC or (format is None and text.split(":")[0] == SYNTHETIC and not os.path.exists(text)):
        return draw_city(parse_city(text))
    root = Path(spec)
    if not os.path.exists(root):  # unlike Path's, never an OSError, however long the name
        near = next((f" Is {root}{end} meant?" for end in (".csv", ".parquet") if os.path.exists(f"{root}{end}")), "")
        raise DatasetError(f"{root} does not exist. Name a folder of crops, a manifest, or `synthetic`.{near}")
    name = name or find_format(root)
    chosen = FORMATS[name]
    check_columns(root, name == "manifest", columns or {})
    if columns:
        return settled(read_manifest(root, columns=columns))
    if not variant:
        return settled(chosen.read(root))
    if not chosen.has_variants:
        raise ConfigError(f"the format {name} has no variants: name it as {name!r}, not {format!r}")
    return settled(chosen.read(root, variant))


def check_columns(root: Path, is_table: bool, columns: Collection[str]) -> None:
    """Raises ConfigError for names of columns where there is no table, or that are none of ours."""
    if columns and not is_table:
        raise ConfigError(f"{root} is no table, so it has no columns to name")
    for name in columns:
        if name not in (*REQUIRED, *OPTIONAL):
            raise unknown_name("column", name, (*REQUIRED, *OPTIONAL))


def find_format(root: Path) -> str:
    """The name of the format that the path looks like; stricter formats are tried first. Raises DatasetError where it
    looks like none, saying what was looked for and found."""
    for name, format in FORMATS.items():
        if format.looks_like(root):
            return name
    if is_picture(root) and not os.path.isdir(root):
        raise DatasetError(
            f"{root} is one picture, and no data set: list it in a table with the columns path, pid, camid, split, or "
            "for a gallery in lines of JSON with path and camera (a .jsonl file)"
        )
    if not os.path.isdir(root):
        for suffixes, what in NOT_READ.items():
            if root.suffix.lower() in suffixes.split():
                raise DatasetError(f"{root} is {what}")
    found = f"has {list_entries(root)}" if os.path.isdir(root) else "is a file"
    others = ", ".join(name for name in FORMATS if name not in ("folder", "manifest"))
    if os.path.isdir(root) and holds_folders_of_pictures(root):
        found += (
            f". If each of those folders is a person, `resight data split {root} -o NEW.csv` divides them into train, "
            "query and gallery"
        )
    if root.name in SPLITS and (whole := root.resolve().parent) and looks_like_folder(whole):
        raise DatasetError(f"{root} is one split of a data set; name the folder that holds them all, {whole}")
    raise DatasetError(
        f"{root} is of no known format: it {found}. Pictures of your own lie in {FORMATS['folder'].layout}, or are "
        f"listed in {FORMATS['manifest'].layout}. Also read: {others}; with --format NAME (format=) one says what it "
        "looked for"
    )
