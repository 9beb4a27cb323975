"""`resight embed`: pictures to a file of embeddings, without PyTorch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from resight.cli import output
from resight.cli.data import tell
from resight.cli.models import MODEL_HELP
from resight.cli.sites import SiteOption, open_site
from resight.core.errors import ConfigError, DataError, DatasetError
from resight.core.files import check_folder_of
from resight.core.records import EmbeddedCrops
from resight.data.crops import SPLITS, Crop, Problem
from resight.data.pictures import is_picture, open_pictures

PART = 2048  # pictures; what a kill costs at the most
COLUMNS = {"names": "camera", "tracks": "track", "times": "time"}  # further ones, and what of a crop makes them


def embed(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders of pictures, data sets, or `synthetic`.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file: .npz or .parquet.")],
    shard: Annotated[str | None, typer.Option(help="3/8: the third of eight equal parts, for eight machines.")] = None,
    engine: Annotated[
        str, typer.Option(help="here; ray, all cores by processes; ray://HOST:PORT or ray://auto, a cluster of Ray.")
    ] = "here",
    workers: Annotated[int | None, typer.Option(min=1, help="Of Ray, at the most. Default: all cores.")] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Take folders as pictures alone, without looking for identities.")
    ] = False,
    runtime: Annotated[str, typer.Option(help="onnxruntime or openvino.")] = "onnxruntime",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the network, and as many to decode.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=4096, help="Pictures a run of the network.")] = 32,
    site_: SiteOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Writes `vector`, `name`, `content` (equal of equal pictures), `blank` (shows nothing) and, of a data set, `pid`,
    `camid` and `split`, and as far as they are known `person`, `camera`, `track` and `time`, a row a picture.

    Stopped or killed, the same command goes on where it was; workers of Ray may die, too. `resight evaluate
    --embeddings` reads the file.

    Examples:

      resight embed default my_data -o embeddings.parquet

      resight embed mine.resight frames/ more/*.jpg -o frames.npz --plain --shard 3/8

      resight embed default archive/ -o archive.parquet --plain --engine ray://head:6379
    """
    from resight.data.embedding_files import EmbeddingFile
    from resight.embedding.archive.on_ray import embed_on_ray, order_of
    from resight.embedding.archive.parts import embed_here
    from resight.embedding.loading import load

    cluster = _cluster(engine)
    if cluster is None and workers is not None:
        raise ConfigError("--workers is of --engine ray; here --threads says how much is used")
    loaded = load(model, runtime=runtime, threads=threads, device=device, batch_size=batch_size)
    site = open_site(site_, loaded)
    rows, known = _rows(paths, format, plain)
    if out.suffix.lower() == ".parquet":
        _check_text(rows)
    first, last = _share(len(rows), shard)
    rows = rows[first:last]
    if not rows:
        raise DataError(f"shard {shard} of {len(rows)} pictures holds none")
    listing = hashlib.sha256("\0".join(starmap(_listed, rows)).encode("utf-8", "surrogateescape"))
    plan = {"columns": 3, "model": loaded.identity, "pictures": listing.hexdigest(), "num": len(rows), "part": PART}
    more = {name: any(getattr(crop, field) is not None for _, crop in rows) for name, field in COLUMNS.items()}
    more["names"] |= any(crop.person for _, crop in rows)
    more = {name: True for name, there in more.items() if there}  # then every part has the same columns
    if site is not None:
        plan["site"] = site.identity
    file = EmbeddingFile(out, {**plan, **more})
    check_folder_of(out, "--out", model, site_, *paths)
    context.with_resource(file.alone())
    file.begin()
    parts = dict(enumerate(rows[start : start + PART] for start in range(0, len(rows), PART)))
    todo = {number: [crop for _, crop in part] for number, part in parts.items() if not file.has_part(number)}
    going_on = len(rows) - sum(map(len, todo.values()))
    if going_on:
        output.say(f"going on after {going_on:,} of {len(rows):,} pictures")
    problems: list[Problem] = []
    blank: list[str] = []
    strange = 0
    found = embed_here(loaded, todo, strict=strict)
    if cluster is not None:
        order = order_of(model, loaded, runtime=runtime, threads=threads, device=device, batch_size=batch_size)
        found = embed_on_ray(order, todo, address=cluster[0], workers=workers, strict=strict)
    with output.progress(f"embedding by {loaded.name}", len(rows), going_on) as advance:
        for done in found if todo else ():
            embedded = done.embedded
            problems.extend(done.problems)
            blank.extend(done.blank)
            vectors = embedded.embeddings if site is None else site.apply(embedded.embeddings, embedded.camera_names)
            strange += 0 if site is None else sum(not site.knows(name) for name in embedded.camera_names)
            columns: dict[str, Any] = {"vector": vectors, "name": np.array(embedded.names, np.str_)}
            columns["content"] = embedded.content_hashes
            columns["blank"] = np.isin(columns["name"], np.array(done.blank, np.str_))
            if known:
                columns |= _known(embedded, parts[done.number], more)
            file.write_part(done.number, columns)
            advance(len(parts[done.number]))
    num = file.finish(len(parts), loaded.identity if site is None else f"{loaded.identity}+{site.identity}")
    output.name_problems(problems)
    if strange:
        output.say(f"{strange:,} of {num:,} pictures are by cameras without a mean, and get the site's")
    if blank:
        output.say(f"{len(blank):,} picture(s) show nothing, and their embeddings tell nobody: {', '.join(blank[:5])}")
    if not num:
        out.unlink()
        raise DataError(f"not one of {len(rows):,} pictures can be read")
    output.tell(f"{num:,} of {len(rows):,} pictures, of dimension {loaded.dim}, by {loaded.name}: {out}")


def _known(embedded: EmbeddedCrops, part: Sequence[tuple[str, Crop]], more: Collection[str]) -> dict[str, Any]:
    """The columns of a data set. part: (split, crop) of all its pictures."""
    of_name = {crop.name: (split, crop) for split, crop in part}
    splits, shown = zip(*(of_name[name] for name in embedded.names), strict=True) if embedded.names else ((), ())
    known = {"pid": embedded.pids, "camid": embedded.camids, "split": np.array(splits, np.str_)}
    return known | dict(_labels(shown, more))


def _listed(split: str, crop: Crop) -> str:
    """All that a part keeps of a picture beside its embedding: parts of other labels are not gone on with."""
    labels = (crop.pid, crop.camid, crop.person, *(getattr(crop, field) for field in COLUMNS.values()))
    return f"{split}/{crop.name}\0{labels}"


def _cluster(engine: str) -> tuple[str | None] | None:
    """None: this process; else the cluster's address, or None for one of this machine. Raises ConfigError."""
    if engine == "here":
        return None
    match = re.fullmatch(r"ray(?:://(\S+))?", engine)
    if not match:
        raise ConfigError(f"--engine is here, ray, or ray:// and the address of a cluster's head, not {engine!r}")
    return (match[1],)


def _labels(crops: Sequence[Crop], more: Collection[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """What the data call people and cameras, tracks and times, where any of the data has them."""
    if "names" in more:
        yield "person", np.array([crop.person or "" for crop in crops], np.str_)
        yield "camera", np.array([crop.camera or "" for crop in crops], np.str_)
    if "tracks" in more:
        yield "track", np.array([crop.track or "" for crop in crops], np.str_)
    if "times" in more:
        yield "time", np.array([np.nan if crop.time is None else crop.time for crop in crops], np.float64)


def _rows(paths: Sequence[str], format: str | None, plain: bool) -> tuple[list[tuple[str, Crop]], bool]:
    """(split, crop) of every picture, in a fixed order, and whether identities are known."""
    from resight.data.formats.catalogue import open_dataset

    if not plain and len(paths) == 1 and (paths[0].startswith("synthetic") or not is_picture(Path(paths[0]))):
        try:
            dataset = open_dataset(paths[0], format)
        except DatasetError:
            if format is not None or not Path(paths[0]).is_dir():
                raise
            output.say(f"{paths[0]} is no data set that is known: taken as pictures without identities")
        else:
            tell(dataset)
            output.name_problems(dataset.problems)
            return [(split, crop) for split in SPLITS for crop in getattr(dataset, split)], True
    return [("", crop) for crop in open_pictures(*paths)], False


def _check_text(rows: Sequence[tuple[str, Crop]]) -> None:
    """Raises ConfigError for a name that Parquet cannot hold, before any work is done."""
    for _, crop in rows:
        try:
            "".join((crop.name, crop.person or "", crop.camera or "", crop.track or "")).encode()
        except UnicodeEncodeError:
            name = crop.name.encode("utf-8", "backslashreplace").decode()
            raise ConfigError(f"Parquet holds no names that are not UTF-8, as of {name}; write an .npz") from None


def _share(num: int, shard: str | None) -> tuple[int, int]:
    """The rows from where to where. Raises ConfigError for what is no shard."""
    if shard is None:
        return 0, num
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard is as 3/8, the third of eight, not {shard!r}")
    part, of = int(match[1]), int(match[2])
    return num * (part - 1) // of, num * part // of
