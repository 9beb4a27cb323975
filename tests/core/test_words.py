from __future__ import annotations

from resight.core.words import counted


def test_a_number_and_its_noun_agree() -> None:
    assert [counted(number, "picture") for number in (0, 1, 2000)] == ["0 pictures", "1 picture", "2,000 pictures"]
    assert [counted(number, "entry does", "entries do") for number in (1, 2)] == ["1 entry does", "2 entries do"]
