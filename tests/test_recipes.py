"""The scripts beside the recipes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from recipes.base.ship import ship
from recipes.eltec_text import body_text
from recipes.novels import chapters, continuations, is_heading, prepare
from recipes.persona_chat import conversation
from recipes.persona_chat import prepare as prepare_personas
from recipes.shape import heads_of, make_shape

from eterna.errors import UserError

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.mark.parametrize(("name", "kind", "nodes"), [("one_node_fsdp2", "FSDP", 1), ("two_nodes", "MULTI_GPU", 2)])
def test_launch_configs_are_read_by_accelerate(name: str, kind: str, nodes: int) -> None:
    config = load_config_from_file(str(RECIPES / "accelerate" / f"{name}.yaml"))
    assert config.distributed_type.value == kind
    assert config.num_machines == nodes
    assert config.num_processes == 8 * nodes
    assert config.fsdp_config.get("fsdp_version") == (2 if kind == "FSDP" else None)


def test_the_files_that_launch_commands_name_exist() -> None:
    files = [*(RECIPES / "accelerate").iterdir(), RECIPES / "several_gpus.yaml"]
    named = {name for file in files for name in re.findall(r"recipes/[\w/]+\.yaml", file.read_text(encoding="utf-8"))}
    assert len(named) >= 4
    assert all((RECIPES.parent / name).is_file() for name in named)


def words(count: int) -> str:
    return " ".join(["palabra"] * count)


BOOK = f"A NOVEL\n\nBy Nobody\n\nCHAPTER I\n\n{words(250)}\n\n{words(30)}\n\n{words(40)}\n\nCapítulo II\n\n{words(300)}\n\nIII\n\n{words(400)}\n"


def test_chapters_are_found_by_their_headings() -> None:
    assert [chapter.split("\n")[0] for chapter in chapters(BOOK, 6000)] == ["CHAPTER I", "Capítulo II", "III"]


def test_no_word_of_a_chapter_is_lost() -> None:
    assert sum(chapter.count("palabra") for chapter in chapters(BOOK, 6000)) == BOOK.count("palabra")


def test_a_book_without_headings_is_cut_into_blocks() -> None:
    text = "\n\n".join(words(100) for _ in range(30))
    assert [len(chapter.split()) for chapter in chapters(text, 900)] == [1000, 1000, 1000]


@pytest.mark.parametrize(
    ("line", "expected"), [("CHAPTER IV", True), ("XII.", True), ("THE BLACK CAT.", True), ("“Yes,” he said.", False)]
)
def test_headings(line: str, expected: bool) -> None:
    assert is_heading(line) is expected


def test_continuations_are_neighbours_and_used_once() -> None:
    assert list(continuations(chapters(BOOK, 6000)[0])) == [(words(30), words(40))]


def test_a_hard_wrapped_book_gives_whole_paragraphs() -> None:
    wrapped = "\n\n".join(textwrap.fill(paragraph, 72) for paragraph in BOOK.strip().split("\n\n"))
    assert wrapped != BOOK.strip()
    assert chapters(wrapped, 6000) == chapters(BOOK, 6000)


def test_a_book_of_a_paragraph_a_line_needs_no_blank_lines() -> None:
    assert chapters(BOOK.replace("\n\n", "\n"), 6000) == chapters(BOOK, 6000)


@pytest.mark.parametrize(("every", "longest"), [(0, 6000), (1, 6000), (10, 0)])
def test_novels_held_out_altogether_are_refused(tmp_path: Path, every: int, longest: int) -> None:
    with pytest.raises(UserError, match="--hold-out-every is"):
        prepare(tmp_path, tmp_path / "out", [], every, longest)


@pytest.mark.parametrize("hidden", [64, 192, 256, 320, 384, 448])
def test_the_heads_of_a_shape_divide_it(hidden: int) -> None:
    heads, key_heads = heads_of(hidden)
    assert hidden % heads == heads % key_heads == 0


def test_the_shape_of_the_base_model_stays() -> None:
    assert (heads_of(192), heads_of(256)) == ((3, 1), (4, 2))


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        ('{"text": "a"}', {"hidden": 200}, "--hidden is 200, .*\n    fix: --hidden 192"),
        ('{"text": "a"}', {"vocabulary": 200}, "--vocabulary is 200"),
        ('{"text": "a"}\n{"words": "a"}', {}, "text.jsonl:2: the row has no text"),
    ],
)
def test_a_shape_that_cannot_work_is_refused(tmp_path: Path, row: str, settings: dict[str, int], message: str) -> None:
    (tmp_path / "text.jsonl").write_text(row, encoding="utf-8")
    values = {"vocabulary": 300, "hidden": 64, "layers": 1, "window": 32, **settings}
    with pytest.raises(UserError, match=message):
        make_shape(tmp_path / "out", [tmp_path / "text.jsonl"], **values)
    assert not (tmp_path / "out").exists()


def test_a_failed_shipping_leaves_the_packaged_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises((OSError, ValueError)):
        ship(tmp_path / "nowhere", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"


def test_a_speaker_s_mark_inside_a_sentence_is_text() -> None:
    said = "User 1: Hello, are you User 2: the second?\nUser 2: I am."
    messages = conversation("I paint.", said)
    assert messages is not None
    assert [message["content"] for message in messages] == ["I paint.", "Hello, are you User 2: the second?", "I am."]


def test_a_file_without_the_columns_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("user 2 personas,words\na,b\n", encoding="utf-8")
    script = str(RECIPES / "persona_chat.py")
    done = subprocess.run([sys.executable, script, str(tmp_path / "x.csv"), "out"], capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "x.csv:1: there is no column 'Best Generated Conversation'" in done.stderr


def test_held_out_chapters_are_in_no_training_file(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(
        "\n\n".join(f"CHAPTER {n}\n\nmark{n}x {words(300)}" for n in range(1, 13)), encoding="utf-8"
    )
    counts = prepare(tmp_path, tmp_path / "out", ["book"], every=5)
    assert (counts["train"], counts["valid"]) == (10, 2)
    held = [
        json.loads(line)["text"] for line in (tmp_path / "out" / "valid.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert ["mark5x" in held[0], "mark10x" in held[1]] == [True, True]
    trained = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8")
    assert "mark5x" not in trained
    assert "mark10x" not in trained


def test_the_novels_of_the_recipes_are_cut_as_the_results_say(shared: Path, tmp_path: Path) -> None:
    novels = ["Burnett_Garden_1911", "Haggard_She_1887", "Wcollins_Woman_1860"]
    counts = prepare(shared / "corpora" / "english_novels", tmp_path / "three", novels)
    assert (counts["train"], counts["valid"]) == (120, 12)
    tales = prepare(
        shared / "corpora" / "english_public_domain", tmp_path / "poe", ["poe_vol2"], every=5, longest=20000
    )
    assert (tales["train"], tales["valid"]) == (20, 4)


TEI = """<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><p>Kept out.</p></teiHeader><text>
<front><p>A title page</p></front>
<body><div><head>Capítulo I</head><quote><l>Una morena me mata</l><l/></quote>
<p>Veinte años  hace, <pb n="8"/>
 poco más o menos.</p></div></body></text></TEI>"""


def test_the_text_of_a_tei_file_is_its_paragraphs_and_verses(tmp_path: Path) -> None:
    (tmp_path / "sab.xml").write_text(TEI, encoding="utf-8")
    assert body_text(tmp_path / "sab.xml") == "Una morena me mata\n\nVeinte años hace, poco más o menos.\n"


def test_a_file_without_a_tei_body_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sab.xml").write_text("<TEI/>", encoding="utf-8")
    with pytest.raises(ValueError, match="has no TEI body"):
        body_text(tmp_path / "sab.xml")


PERSONAS = """user 1 personas,user 2 personas,Best Generated Conversation
I sew.,"I fish.
 I am old.","User 1: Hello.
User 2: Good   day.
User 1: Bye."
I sew.,I fish.,"User 2: Well?
User 1: Hello.
User 2: Yes?"
I sew.,I fish.,"User 1: Hello.
User 1: Hello?
User 2: Yes?"
"""


def test_the_second_speaker_becomes_the_character_and_has_the_last_word() -> None:
    assert conversation("I fish.\n I am old.\n", "User 1: Hello.\nUser 2: Good   day.\nUser 1: Bye.") == [
        {"role": "system", "content": "I fish.\nI am old."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Good day."},
    ]


@pytest.mark.parametrize(
    "text", ["", "User 1: Hello.", "User 1: A\nUser 1: B\nUser 2: C", "User 1: A\nUser 2: B\nUser 1:\nUser 2: C"]
)
def test_a_conversation_that_does_not_alternate_is_left_out(text: str) -> None:
    assert conversation("I fish.", text) is None


def test_conversations_left_out_are_counted_and_the_tenth_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "spc.csv").write_text(PERSONAS, encoding="utf-8")
    assert prepare_personas(tmp_path / "spc.csv", tmp_path) == (1, 1, 1)
    held, trained = (
        [json.loads(line) for line in (tmp_path / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]
        for part in ("valid", "train")
    )
    assert [row["id"] for row in held] == ["spc-0"]
    assert [message["content"] for message in trained[0]["messages"]] == ["I fish.", "Hello.", "Yes?"]
