"""`resight serve`: a gallery behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_add import Model_
from resight.core.cores import available_cores
from resight.data.city.synthetic import CityConfig, draw_city
from resight.embedding.loading import load
from resight.embedding.packaged import packaged_models
from resight.gallery.opening import open_gallery, open_with_model


def serve(
    place: Annotated[str, typer.Argument(help="The gallery: a file, or an address as postgresql://host/database.")],
    *,
    model: Model_ = None,
    host: Annotated[str, typer.Option(help="Where it listens. Other machines reach it on another than 127.0.0.1.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8000,
    host_name: Annotated[
        list[str] | None, typer.Option(help="A name by which it is reached, as in the address bar. May be repeated.")
    ] = None,
    root: Annotated[str, typer.Option(help="The path under which a proxy shows it, as /resight.")] = "",
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate (PEM), with --tls-key.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Let other machines reach it without TLS: a proxy before it has it.")
    ] = False,
    proxy: Annotated[
        list[str] | None, typer.Option(help="The address of a proxy, whose word on who asks is taken. May be repeated.")
    ] = None,
    behind_tls: Annotated[bool, typer.Option("--behind-tls", help="A proxy shows it by https.")] = False,
    state: Annotated[Path | None, typer.Option(help="The folder of the keys. By default PLACE.service.")] = None,
    new_address: Annotated[
        bool, typer.Option("--new-address", help="Print a one-time address, as at the first start: for a lost key.")
    ] = False,
    offer: Annotated[
        list[Path] | None, typer.Option(help="A bundle that the gallery may be embedded again with. May be repeated.")
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Makes the gallery first, of drawn people, with pictures to search for."),
    ] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Of a picture.")] = 4_000_000,
    max_body_mb: Annotated[int, typer.Option(min=1, max=1024, help="Of a request, in MB.")] = 16,
    searches_a_minute: Annotated[int, typer.Option(min=1, help="By each key.")] = 600,
) -> None:
    """Serves a gallery: REST under /api/v1, and a page on which a person is found, judged, corrected and forgotten.

    The first start prints an address that works once and lets you make keys.

    Examples:

      resight serve site.db

      resight serve demo.db --demo
    """
    from resight.service.serving import Listening, check_root, state_folder
    from resight.service.serving import serve as serve_gallery
    from resight.service.settings import MB, ServiceSettings

    listening = Listening(host, port, tls_cert, tls_key, plain_http, tuple(proxy or ()))
    settings = ServiceSettings(
        hosts=tuple(host_name or ()),
        secure=behind_tls,
        root=check_root(root),
        max_pixels=max_pixels,
        max_body=max_body_mb * MB,
        searches_a_minute=searches_a_minute,
        readers=max(2, available_cores()),
    )
    folder = state_folder(place, state)
    if demo:
        _make_demo(Path(place))
    offered = {name: name for name in packaged_models()} | {path.stem: str(path) for path in offer or ()}
    gallery = open_with_model(place, model, who="service")
    serve_gallery(gallery, folder, listening, settings, output.say, offered=offered, new_address=new_address)


def _make_demo(place: Path) -> None:
    """A gallery of the drawn city's test people at this place, if there is none, and a folder of queries beside it."""
    if place.exists():
        return
    city = draw_city(CityConfig(train_people=1))
    output.say("drawing people, none of whom exists")
    with open_gallery(place, load("city"), keep_crops=True, new=True) as gallery:
        gallery.add_dataset(city, splits=["gallery"], progress=output.progress)
    pictures = place.with_name(f"{place.name}.pictures")
    pictures.mkdir(exist_ok=True, mode=0o700)
    for number, crop in enumerate(city.query[::16], 1):
        (pictures / f"{number}.jpg").write_bytes(crop.read())
    output.say(f"pictures to search for: {pictures}")
