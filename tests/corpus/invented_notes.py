"""Clinical notes about people who do not exist: names put together from syllables of many languages, so that they are
in no list, in the places where notes have names. Each case names the kind of place, and its spans are labelled."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from corpus.deidentify.lexicon import lexicon
from corpus.kernels.hashing import contains, hashes_of

_SYLLABLES = {
    "slav": (
        ["Bor", "Drag", "Vel", "Mir", "Zdr", "Kras", "Yar", "Tvrd", "Lub", "Rad", "Stoj", "Vukm"],
        ["o", "a", "i", "e"],
        ["slava", "mir", "ković", "nić", "enko", "wicz", "chuk", "šek", "dan", "ński"],
    ),
    "yor": (
        ["Ade", "Olu", "Ayo", "Chi", "Nwa", "Oke", "Ife", "Obi", "Eze", "Uzo"],
        ["ba", "lu", "ma", "ke", "ny", "tu", "wo"],
        ["ola", "emi", "eka", "oma", "yinka", "chukwu", "ndu", "zie"],
    ),
    "ind": (
        ["Var", "Shri", "Pad", "Kri", "Ven", "Jay", "Ram", "Sub", "Anu", "Dev"],
        ["a", "i", "u"],
        ["nathan", "deep", "kanth", "priya", "raman", "vel", "swamy", "jeet", "mani", "lekha"],
    ),
    "chin": (
        ["Xi", "Zhe", "Qui", "Hua", "Yun", "Jia", "Bao", "Ruo", "Shu", "Tia"],
        ["", "n"],
        ["ng", "lin", "yan", "wei", "feng", "xun", "mei", "rong", "chen", "zhi"],
    ),
    "arab": (
        ["Abu", "Fay", "Kha", "Muh", "Zay", "Nas", "Tar", "Hay", "Sul", "Raf"],
        ["a", "i", "ou"],
        ["ddin", "lah", "med", "reem", "sim", "dar", "biri", "zani", "fiq"],
    ),
    "angl": (
        ["Thorn", "Wex", "Hald", "Brin", "Cros", "Marl", "Pem", "Quill", "Tred", "Ash"],
        ["er", "ing", "le", "a", "o"],
        ["wick", "by", "sworth", "combe", "stead", "more", "ley", "ford", "gate", "hurst"],
    ),
    "span": (
        ["Gua", "Hern", "Quint", "Zald", "Itur", "Bel", "Ech", "Mon", "Ura", "Vil"],
        ["a", "e", "i"],
        ["ndez", "varría", "rrieta", "guren", "lozano", "barra", "cheta", "royo", "ñiga"],
    ),
    "nord": (
        ["Thor", "Hjal", "Sig", "Øde", "Åse", "Ing", "Ulf", "Bjør", "Ragn", "Svei"],
        ["ma", "va", "e", "ar"],
        ["rsen", "lund", "dóttir", "gaard", "kvist", "holm", "stad", "vik"],
    ),
    "jap": (
        ["Ka", "Shi", "To", "Ya", "Na", "Hi", "Mo", "Ta", "Ki", "Su"],
        ["ma", "ra", "shi", "ku", "mi", "zu"],
        ["moto", "gawa", "shita", "hiro", "ko", "nobu", "zawa", "bara"],
    ),
}

TEMPLATES = (
    ("title", "Mr. {last} is a 67-year-old man with chest pain."),
    ("title", "Mrs {last} was seen in clinic today."),
    ("title", "We thank Dr {last} for this referral."),
    ("title", "Discussed with Dr. {full}, who agrees."),
    ("title2", "Drs. {last} and {last} attended."),
    ("seenby", "Seen by {full}, MD on rounds."),
    ("seenby", "Examined by {full} this morning."),
    ("seenby", "Dictated by: {full}"),
    ("sign", "Electronically signed by {full}, NP"),
    ("sign", "\n\nSincerely,\n\n{full}\nConsultant Neurologist\n"),
    ("sign", "/s/ {full}\n"),
    ("sign", "Kind regards,\n{full}\n"),
    ("cc", "cc: {full}, MD; {full}, RN"),
    ("cc", "CC: Dr. {last}, {full}"),
    ("label", "Patient: {full}\nDOB: 1/2/1950\n"),
    ("label", "Patient Name: {reversed}   MRN: 3301922"),
    ("label", "Name: {REVERSED}  Sex: F"),
    ("label", "PATIENT: {UPPER}\n"),
    ("label", "Attending Physician: {full}\n"),
    ("label", "Referring provider: {full}\nPCP: {full}\n"),
    ("label", "Next of kin: {full} (daughter)"),
    ("label", "Emergency contact - {full}, 212-555-0188"),
    ("label", "Surgeon: {last}\nAssistant: {last}\n"),
    ("header", "{TIGHT} (3991822)\nADMISSION NOTE\n"),
    ("header", "{UPPER}\nMRN 4459211\nDISCHARGE SUMMARY\n"),
    ("header", "RE: {full}\n\nDear Colleague,"),
    ("family", "His wife {first} reports that he has been confused."),
    ("family", "Her daughter, {first}, is at the bedside."),
    ("family", "Lives with her son {first} and his partner {first}."),
    ("family", "The patient's brother ({first}) has diabetes."),
    ("family", "Spoke with patient's mother {full} by phone."),
    ("family", "Daughter {first} is health care proxy."),
    ("poss", "{full}'s daughter called."),
    ("poss", "Mr. {last}'s blood pressure improved."),
    ("dialog", "Doctor: Good morning, Ms. {last}. How are you?\nPatient: Fine."),
    ("dialog", "Doctor: Hi, {first}. What brings you in?\n"),
    ("dialog", "Patient: Thanks, Dr. {last}.\n"),
    ("dialog", "Doctor: What is your name?\nPatient: My name is {full}.\n"),
    ("dialog", "Nurse: I'm {first}, I will be taking care of you.\n"),
    ("age", "{full} is a 54-year-old woman who presents with cough."),
    ("age", "{full}, 71 y/o male, admitted with sepsis."),
    ("cred", "Reviewed with {full}, PharmD."),
    ("cred", "{full}, RN, called the family."),
    ("cred", "Anesthesia: {full}, CRNA"),
    ("initial", "Plan per {initial}, MD."),
    ("initial", "Notes reviewed, {initials}."),
    ("nurse", "Nurse {last} notified at 0300."),
    ("nurse", "Nurse practitioner {full} will follow up."),
    ("nurse", "Social worker {full} met with the family."),
    ("nurse", "Case manager: {full}. PT: {full}."),
    ("verb", "{full} was discharged home in stable condition."),
    ("verb", "{full} presented to the emergency department with dyspnea."),
    ("verb", "{first} states that the pain began yesterday."),
    ("verb", "{last} denies fever or chills."),
    ("called", "Called {full} at home to discuss results."),
    ("called", "I spoke with {full} regarding the plan."),
    ("called", "Follow up with {full} in two weeks."),
    ("called", "Patient was referred to {full} in cardiology."),
    ("called", "She prefers to be called {first}."),
    ("called", "Care was transferred to {full}, oncology."),
    ("repeat", "Mr. {same} fell at home. {same} was alone at the time."),
    ("baby", "Baby boy {last} was born at 39 weeks."),
    ("known", "the patient, also known as {full}, returned."),
)


class Names:
    """Names drawn by a seed, none of whose words the lexicon has."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self._known = lexicon().keys

    def word(self) -> str:
        while True:
            begin, middle, end = (self.draw.choice(part) for part in _SYLLABLES[self.draw.choice(sorted(_SYLLABLES))])
            if not contains(self._known, hashes_of(((begin + middle + end).lower(),))[0]):
                return begin + middle + end

    def last(self) -> str:
        kind = self.draw.random()
        if kind < 0.08:
            return f"{self.word()}-{self.word()}"
        particle = self.draw.choice(["van der ", "de la ", "O'", "Mc", "al-", "von "]) if kind < 0.13 else ""
        return particle + self.word()

    def initial(self) -> str:
        return self.draw.choice("ABCDEFGHJKLMNPRSTVW")

    def full(self) -> str:
        one = self.word()
        first = self.draw.choice([one, f"{one} {self.initial()}.", one, f"{one}-{self.word()}"])
        return f"{first} {self.last()}"


def notes(number: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Labelled cases, {"text", "spans", "kind"}, as `deid-eval` reads them."""
    names = Names(seed)
    made: dict[str, Callable[[], str]] = {
        "first": names.word,
        "last": names.last,
        "full": names.full,
        "reversed": lambda: f"{names.last()}, {names.word()}",
        "REVERSED": lambda: f"{names.last()}, {names.word()}".upper(),
        "TIGHT": lambda: f"{names.last()},{names.word()}".upper(),
        "UPPER": lambda: names.full().upper(),
        "initial": lambda: f"{names.initial()}. {names.last()}",
        "initials": lambda: f"{names.initial()}.{names.initial()}. {names.last()}",
    }
    for _ in range(number):
        kind, template = names.draw.choice(TEMPLATES)
        same, text, spans = names.last(), "", []
        for place, part in enumerate(template.replace("{", "}").split("}")):
            if place % 2:
                part = same if part == "same" else made[part]()
                spans.append([len(text), len(text) + len(part), "PERSON"])
            text += part
        yield {"text": text, "spans": spans, "kind": kind}
