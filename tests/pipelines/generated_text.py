"""Text made of common words, by a seed."""

from random import Random

VOCABULARY = """
the of and to in that is was for with as on by which from this have be not are or an had at it their patient
treatment results showed significant increase blood pressure clinical study group therapy response disease
symptoms hospital doctor nurse ward record history family house river mountain city council road bridge market
season weather language writing printed volume chapter letter reader author journey village harbour winter
summer morning evening light shadow colour number measure weight length minute century people country nation
government election
"""
WORDS = VOCABULARY.split()


def sentence(random: Random) -> str:
    words = [random.choice(WORDS) for _ in range(random.randint(8, 18))]
    return " ".join(words).capitalize() + "."


def document(random: Random) -> str:
    return "\n\n".join(" ".join(sentence(random) for _ in range(4)) for _ in range(random.randint(2, 5)))
