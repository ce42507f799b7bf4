"""A share of the training data is held out by whole groups, as a pure function of the seed and their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eterna.config import DataSection, config_from_values
from eterna.data import RawExample, ReadSource, gather_sources, read_sources
from eterna.data.hold_out import HELD_OUT, choose_groups, hold_out, rank
from eterna.data.sources import SourceContent
from eterna.errors import ConfigError, DataError
from eterna.world import find_world, load_world

names = st.text(min_size=1, max_size=6)
shares = st.floats(0.01, 0.5)
seeds = st.integers(0, 2**32 - 1)


def source(groups: list[str], name: str = "a.jsonl") -> ReadSource:
    examples = [
        RawExample(f"{number}", None, text=f"text {number}", group=group) for number, group in enumerate(groups)
    ]
    return ReadSource("train", name, 2.0, SourceContent(examples, "abc"))


def groups_of(read: ReadSource) -> list[str]:
    return [example.group for example in read.content.examples]


@given(st.lists(names, min_size=2, max_size=40).filter(lambda found: len(set(found)) > 1), shares, seeds)
def test_the_split_is_a_partition_that_divides_no_group(groups: list[str], share: float, seed: int) -> None:
    kept, held = hold_out([source(groups)], share, seed)
    assert kept.content.examples
    assert held.content.examples
    assert not set(groups_of(kept)) & set(groups_of(held))
    both = [*kept.content.examples, *held.content.examples]
    assert sorted(int(example.id) for example in both) == list(range(len(groups)))
    for side in (kept, held):
        assert [int(one.id) for one in side.content.examples] == sorted(int(one.id) for one in side.content.examples)


@given(st.lists(names, min_size=2, max_size=20, unique=True), shares, seeds, st.randoms())
def test_the_order_of_the_examples_changes_nothing(groups: list[str], share: float, seed: int, draw: Any) -> None:
    mixed = draw.sample(groups, len(groups))
    first, second = hold_out([source(groups)], share, seed)[1], hold_out([source(mixed)], share, seed)[1]
    assert set(groups_of(first)) == set(groups_of(second))


def test_a_new_group_moves_no_other_one() -> None:
    groups = [f"talk {number}" for number in range(200)]
    before = choose_groups({0: set(groups)}, 0.1, 42)
    assert choose_groups({0: {*groups, "another"}}, 0.1, 42) - {"another"} == before


def test_another_seed_holds_out_others_and_about_as_many() -> None:
    groups = {f"talk {number}" for number in range(2000)}
    first, second = choose_groups({0: groups}, 0.1, 1), choose_groups({0: groups}, 0.1, 2)
    assert first != second
    assert all(160 <= len(chosen) <= 240 for chosen in (first, second))


def test_which_groups_are_held_out_never_changes_between_versions() -> None:
    assert [round(rank(42, name), 6) for name in ("a", "b", "ñ")] == [0.726591, 0.876506, 0.924781]


def test_a_group_in_two_files_stays_on_one_side() -> None:
    read = [
        source([f"g{number}" for number in range(30)]),
        source([f"g{number}" for number in range(15, 50)], "b.jsonl"),
    ]
    split = hold_out(read, 0.3, 5)
    kept = {name for one in split if one.part == "train" for name in groups_of(one)}
    held = {name for one in split if one.part == "eval" for name in groups_of(one)}
    assert not kept & held


def test_each_source_has_its_own_held_out_part_beside_it() -> None:
    read = [source(["a", "b", "c"]), source(["d", "e"], "b.jsonl")]
    split = hold_out(read, 0.2, 0)
    assert [(one.part, one.name, one.weight) for one in split] == [
        ("train", "a.jsonl", 2.0),
        ("train", "b.jsonl", 2.0),
        ("eval", f"a.jsonl {HELD_OUT}", 1.0),
        ("eval", f"b.jsonl {HELD_OUT}", 1.0),
    ]
    assert all(one.content.examples for one in split)


def test_the_hash_of_a_held_out_part_says_what_it_holds() -> None:
    read = [source([f"g{number}" for number in range(40)])]
    hashes = {hold_out(read, 0.2, seed)[1].content.sha256 for seed in (1, 1, 2)}
    assert len(hashes) == 2
    assert hold_out(read, 0.2, 1)[0].content.sha256 == "abc"


def test_a_file_of_one_group_is_refused() -> None:
    with pytest.raises(DataError, match=r"cannot divide a\.jsonl: all of it is one group") as caught:
        hold_out([source(["a", "a"])], 0.1, 0)
    assert "`group` column" in str(caught.value)


def test_files_whose_groups_stand_elsewhere_are_refused_where_one_would_get_no_side() -> None:
    read = [source(["a", "b"]), source(["b", "c"], "b.jsonl"), source(["a", "c"], "c.jsonl")]
    with pytest.raises(DataError, match="its groups also stand in other files"):
        hold_out(read, 0.01, 0)


def test_without_a_share_nothing_is_held_out() -> None:
    read = [source(["a"])]
    assert hold_out(read, 0.0, 0) == read


def test_the_world_keeps_its_own_splits() -> None:
    world = load_world(find_world("eterna:biblioteca"))
    data = DataSection(train=[{"world": "examples"}, {"world": "books"}])  # type: ignore[list-item]
    read = read_sources(data, world)
    assert hold_out(read, 0.3, 0) == read


Values = Callable[..., dict[str, Any]]


@pytest.fixture
def values(tmp_path: Path) -> Values:
    """The values of a run file on twenty conversations, and a file for data.eval."""
    (tmp_path / "all.jsonl").write_text(rows("talk", 20), encoding="utf-8")
    (tmp_path / "held.jsonl").write_text(rows("other", 3), encoding="utf-8")

    def build(held_out: bool = False, **more: Any) -> dict[str, Any]:
        data: dict[str, Any] = {"train": [{"path": str(tmp_path / "all.jsonl")}], "hold_out": 0.2}
        data |= {"eval": [{"path": str(tmp_path / "held.jsonl")}]} if held_out else {}
        return {"model": {"name": "x"}, "data": data, **more}

    return build


def rows(name: str, count: int) -> str:
    return "".join(json.dumps({"prompt": f"{name} {n}?", "completion": f"It is {n}."}) + "\n" for n in range(count))


def test_it_works_beside_held_out_files(values: Values) -> None:
    config = config_from_values(values(held_out=True)).config
    read, copies = gather_sources(config.data, config.training.seed, None)
    assert [(one.part, Path(one.name).name) for one in read] == [
        ("train", "all.jsonl"),
        ("eval", "held.jsonl"),
        ("eval", f"all.jsonl {HELD_OUT}"),
    ]
    assert copies.found == []


def test_what_is_held_out_counts_as_held_out_data(values: Values) -> None:
    asked = values(training={"eval_strategy": "steps"}, evaluation={"best": {"perplexity": -1}})
    assert config_from_values(asked).config.data.holds_out
    asked["data"]["hold_out"] = 0
    with pytest.raises(ConfigError, match=r"data\.eval is empty"):
        config_from_values(asked)


def test_a_run_of_the_world_alone_has_nothing_to_divide(values: Values) -> None:
    asked = values(world="eterna:biblioteca")
    asked["data"]["train"] = [{"world": "examples"}]
    with pytest.raises(ConfigError, match=r"data\.hold_out divides files"):
        config_from_values(asked)
