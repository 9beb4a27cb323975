"""A model's card: as rows for a terminal, and as Markdown."""

from __future__ import annotations

import json
import re

from resight.core.calibration import FALSE_ACCEPT_RATE
from resight.core.pictures.preprocessing import LEVEL
from resight.embedding.card import Card, Measurement

WATCHING = (
    "Re-identification watches people. Whoever uses this model answers for that under the law of the place: who is "
    "recorded, for what, for how long, and who may search."
)

LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "BSD-3-Clause": "bsd-3-clause"}  # as model hubs have them


def card_rows(card: Card, identity: str) -> list[tuple[str, str]]:
    """(title, text) of everything that a user should know, in that order."""
    size = card.preprocessing
    numbers = [", ".join(f"{value:.4g}" for value in values) for values in (size.mean, size.std)]
    centring = size.image_centring
    shift = f"; before that, each channel of a picture is shifted {centring:g} of the way from its mean to {LEVEL:g}"
    rows = [
        ("name", card.name),
        ("identity", identity),
        ("input", f"{size.height} x {size.width} pixels (height x width), {size.channel_order}, {size.resize}"),
        ("mean, std", f"{numbers[0]}; {numbers[1]}, of values in [0, 1]{shift if centring else ''}"),
        ("embedding", f"dimension {card.dim}, of unit length, compared by cosine similarity"),
        ("parts", "; ".join(f"{part.name}: {part.start} to {part.stop - 1}" for part in card.parts)),
        ("network", card.network),
        ("trained on", card.trained_on),
        ("rights", card.rights),
        ("bad at", card.weaknesses),
    ]
    rows += [("figures" if place == 0 else "", describe(figure)) for place, figure in enumerate(card.figures)]
    if not card.figures:
        rows.append(("figures", "none were counted"))
    rows.append(("calibration", describe_calibration(card)))
    rows += [(name.replace("_", " "), text) for name, text in card.provenance.items()]
    return rows


def describe(figure: Measurement) -> str:
    """One measurement in a line."""
    return (
        f"rank-1 {_with_interval(figure.rank1, figure.rank1_interval)}, mAP "
        f"{_with_interval(figure.mean_ap, figure.mean_ap_interval)} ({figure.protocol}; {figure.num_query:,} queries, "
        f"{figure.num_gallery:,} gallery pictures) on {figure.data}"
    )


def describe_calibration(card: Card) -> str:
    """What its similarities mean, in a line."""
    calibration = card.calibration
    if calibration is None:
        return "none: a threshold would be a guess; run `resight calibrate` on people of your site"
    rate = max(FALSE_ACCEPT_RATE, calibration.least_false_accept_rate)
    index = calibration.accept_index(rate)
    same = "supports no" if index is None else f"{calibration.thresholds[index]:.3f} for a"
    return (
        f"{same} false accept rate of {rate:g}, on {calibration.data} ({calibration.rights}), {calibration.date}; at "
        "another site it may not hold"
    )


def model_card(card: Card, identity: str, loaded_as: str = "model.resight") -> str:
    """Markdown with a head of YAML, as model hubs read it (Hugging Face's model card metadata).

    loaded_as: the path, or the packaged name, that its example loads.
    """
    # JSON strings are YAML strings, whatever is in them.
    whole = re.fullmatch(r"(\S+)( \([^()]*\))?", card.rights)  # a name alone, or with where it is from
    known = LICENCES.get(whole[1]) if whole else None
    named = [f"license: {known}"] if known else ["license: other", f"license_name: {json.dumps(card.rights)}"]
    head = ["---", *named, "library_name: resight"]
    head += ["pipeline_tag: image-feature-extraction", "tags:", "- person-re-identification", "- onnx"]
    if card.figures:
        head += ["model-index:", f"- name: {json.dumps(card.name)}", "  results:"]
        for figure in card.figures:
            head += [
                "  - task:",
                "      type: image-retrieval",
                "    dataset:",
                f"      name: {json.dumps(figure.data)}",
                f"      type: {json.dumps(figure.protocol)}",
                "    metrics:",
                "    - type: rank-1",
                f"      value: {figure.rank1:.4f}",
                "    - type: mAP",
                f"      value: {figure.mean_ap:.4f}",
            ]
    head += ["---", "", f"# {_plain(card.name)}", "", WATCHING, "", "| | |", "|---|---|"]
    rows = [f"| {title} | {_plain(text)} |" for title, text in card_rows(card, identity)]
    use = ["", "## Use", "", "```python", "import resight", "", f"model = resight.load({json.dumps(loaded_as)})"]
    use += ['embeddings = model.embed(["a.jpg", "b.jpg"])', "model.similarity(embeddings[0], embeddings[1])", "```", ""]
    return "\n".join([*head, *rows, *use])


def _plain(text: str) -> str:
    """No markup, no new lines: what a bundle says of itself is a stranger's text."""
    flat = " ".join(text.split())
    for sign in ("\\", "|", "<", "[", "`", "*", "_"):
        flat = flat.replace(sign, "&lt;" if sign == "<" else "\\" + sign)
    return flat


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
