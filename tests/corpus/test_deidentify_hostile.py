"""Slow texts are looked for among what the recognisers themselves look for (benchmarks/hostile.py).

What a text costs is counted and not timed: bytes that automata read beyond the one pass, and questions asked of
validators in Python, each at about the time it takes. A pass over prose takes some 40 ns a byte (the benchmark times
the same texts: `python -m benchmarks.deidentify`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings, target

from benchmarks.hostile import GLUES, Form, Gene, Recipe, forms, search
from corpus.deidentify.contact import AddressFinder
from corpus.deidentify.joined import Joined
from corpus.deidentify.profiles import DEFAULT_TYPES, Search, scanner
from corpus.deidentify.recogniser import Candidate, Recogniser, Shape
from corpus.deidentify.scanner import Scanner

PASS, STEP, QUESTION = 40.0, 4.0, 2500.0  # nanoseconds: of a byte, of a byte an automaton reads, of a question
SIZE = 16_000  # bytes: enough for candidates to be looked at together


@dataclass
class Counted:
    """A scanner whose validators count how often they are asked."""

    scan: Scanner
    asked: int = 0

    @classmethod
    def of(cls, recognisers: tuple) -> "Counted":
        own = cls(Scanner([]))
        counting = (
            replace(r, accept=own._counting(r.accept)) if isinstance(r, Shape | Recogniser | AddressFinder) else r
            for r in recognisers
        )
        own.scan = Scanner(counting)
        return own

    def _counting(self, accept: Callable[[Candidate], bool]) -> Callable[[Candidate], bool]:
        def count(candidate: Candidate) -> bool:
            self.asked += 1
            return accept(candidate)

        return count

    def cost(self, text: bytes) -> float:
        """Multiple of what a pass over prose costs."""
        steps, asked = self.scan.steps, self.asked
        self.scan.scan(Joined([text]))
        work = STEP * (self.scan.steps - steps) + QUESTION * (self.asked - asked)
        return 1 + work / len(text) / PASS


COUNTED = {
    profile: Counted.of(scanner(Search(profile), frozenset(DEFAULT_TYPES[profile])).recognisers)
    for profile in ("hipaa_safe_harbor", "code")
}
FORMS = {profile: forms(counted.scan) for profile, counted in COUNTED.items()}
# In counted work; what the clock says of each form is in docs/deidentify.md.
BOUND = 10.0


def genes(known: list[Form]) -> st.SearchStrategy[Gene]:
    return st.builds(Gene, st.sampled_from(known), st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13]), st.booleans())


@pytest.mark.parametrize("profile", ["hipaa_safe_harbor", "code"])
def test_no_text_of_what_is_looked_for_costs_many_times_what_prose_does(profile):
    counted = COUNTED[profile]

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        st.lists(genes(FORMS[profile]), min_size=1, max_size=3),
        st.sampled_from(GLUES),
        st.booleans(),
        st.integers(0, 99),
    )
    def searched(chosen, glue, fresh, seed):
        cost = counted.cost(Recipe(tuple(chosen), glue, fresh, seed).text(SIZE))
        target(cost)
        assert cost < BOUND

    searched()


@pytest.mark.slow
def test_an_evolved_text_costs_no_more():
    """Every form by itself, whole and cut and spoken for, and changed ones of the worst."""
    counted = COUNTED["hipaa_safe_harbor"]
    met = search(FORMS["hipaa_safe_harbor"], counted.cost, size=2000, rounds=40)
    assert met[0][0] < BOUND, met[0][1].name
    assert len(met) > 2 * len(FORMS["hipaa_safe_harbor"])


@pytest.mark.parametrize("profile", ["hipaa_safe_harbor", "code"])
def test_the_cost_of_a_form_grows_with_the_text_and_no_faster(profile):
    """Twice the text is twice the work: nothing looks further the longer the text is."""
    counted = COUNTED[profile]
    for form in FORMS[profile][::7]:
        recipe = Recipe((Gene(form),), " ", fresh=False)
        counted.cost(recipe.text(8000))  # works out the automaton's states
        short, long = (counted.cost(recipe.text(size)) for size in (4000, 8000))
        assert long <= 1.5 * short + 1, recipe.name


def test_prose_costs_little():
    text = ("The patient walked to the window and looked out over the quiet harbour for a while. " * 50).encode()
    assert COUNTED["hipaa_safe_harbor"].cost(text) < 2
