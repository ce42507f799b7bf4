"""What breaks the canon, and what does not."""

from __future__ import annotations

from eterna.evaluation import Rules, find_breaches
from eterna.world import Canon, Revelacion, find_world, load_world

WORLD = load_world(find_world("eterna:biblioteca"))


def breaches(text: str, known: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    found = find_breaches(WORLD.canon, WORLD.revelaciones, [("item", text, known)])
    return [(breach.rule, breach.kind) for breach in found]


def test_what_nobody_may_say_is_found_in_both_languages() -> None:
    assert breaches("There is a door that leads out, behind the stacks.") == [("no_exit", "never")]
    assert breaches("La salida está detrás de la escalera.") == [("no_exit", "never")]
    assert breaches("As an AI, I cannot borrow books.") == [("no_machine_voice", "never")]


def test_a_revelacion_may_be_told_only_after_its_prerequisites() -> None:
    told = "Listen: you are a book, and the library is reading you!"
    assert breaches(told) == [("library_reads_back", "too early")]
    assert breaches(told, ("lamps_are_readers", "binder_mends_memories")) == []
    assert breaches(told, ("library_reads_back",)) == []
    assert breaches(told, ("lamps_are_readers",)) == [("library_reads_back", "too early")]


def test_a_long_run_of_the_statement_is_telling_it_a_short_one_is_not() -> None:
    statement = WORLD.revelaciones["lamps_are_readers"].statement
    assert breaches(statement) == [("lamps_are_readers", "too early")]
    assert breaches("Every lamp in the patio is warm.") == []


def test_nothing_the_world_s_own_characters_say_breaks_its_canon() -> None:
    said = [
        (example.id, turn.text, example.known)
        for example in WORLD.examples
        for turn in example.turns
        if turn.speaker != "player"
    ]
    assert find_breaches(WORLD.canon, WORLD.revelaciones, said) == []


def test_a_world_without_canon_has_nothing_to_break() -> None:
    early = Revelacion(id="a", statement="One two three four five six seven eight.", requires=["b"])
    assert find_breaches(Canon(), {}, [("item", "There is a door that leads out.", ())]) == []
    assert find_breaches(Canon(), {"a": early}, [("item", "One two, three.", ())]) == []


def test_a_reply_is_held_against_the_rules_of_what_its_player_knows() -> None:
    rules = Rules(WORLD.canon, WORLD.revelaciones)
    told = "Listen: you are a book, and the library is reading you!"
    assert rules.broken_by(told, ())
    assert not rules.broken_by(told, ("library_reads_back",))
    assert rules.digest == Rules(WORLD.canon, WORLD.revelaciones).digest != Rules(Canon(), WORLD.revelaciones).digest
    assert rules.digest != Rules(WORLD.canon, {}).digest
