"""Synthetic identities and the clinical-like notes that hold them: made by a seeded generator, nobody's.

Values pass the checks a recogniser makes (Luhn, area codes) without being anyone's: e-mail under example.org (RFC
2606), addresses of the shared range 100.64.0.0/10 (RFC 6598), 555-01xx telephone numbers.
"""

from random import Random
from typing import NamedTuple

FIRST = ("Ada", "Bela", "Carmen", "Dmitri", "Elif", "Farid", "Greta", "Hanna", "Ines", "Jonas", "Kaveh", "Lena")
LAST = ("Abara", "Bergman", "Castillo", "Demir", "Eriksen", "Fontaine", "Haddad", "Ivanov", "Jensen", "Kowalski")


class Identity(NamedTuple):
    """One planted value and its type, in the names of corpus.deidentify."""

    type: str
    value: str


def email(random: Random) -> str:
    return f"{random.choice(FIRST)}.{random.choice(LAST)}{random.randrange(100)}@example.org".lower()


def phone(random: Random) -> str:
    area, line = (
        f"{random.choice('2345678')}{random.choice('1234567')}{random.randrange(10)}",
        f"01{random.randrange(100):02d}",
    )
    return random.choice(("({0}) 555-{1}", "{0}-555-{1}", "+1 {0} 555 {1}")).format(area, line)


def ssn(random: Random) -> str:
    return f"{random.randrange(750, 773)}-{random.randrange(10, 99)}-{random.randrange(1000, 9999)}"


def card(random: Random) -> str:
    """Sixteen digits of the Visa or Mastercard range with a right Luhn digit."""
    digits = random.choice(("4", "52")).ljust(2, str(random.randrange(10)))
    digits += "".join(str(random.randrange(10)) for _ in range(13))
    digits += str(luhn_digit(digits))
    separator = random.choice(("", " ", "-"))
    return separator.join(digits[start : start + 4] for start in range(0, 16, 4))


def luhn_digit(digits: str) -> int:
    """The check digit to append to `digits` (ISO/IEC 7812): with it, the weighted sum is a multiple of ten."""
    doubled = (int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits)))
    return -sum(value - 9 if value > 9 else value for value in doubled) % 10


def address(random: Random) -> str:
    return f"100.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def url(random: Random) -> str:
    return f"https://portal.example.org/patients/{random.choice(LAST).lower()}-{random.randrange(10_000, 99_999)}"


def date(random: Random) -> str:
    month, day, year = random.randrange(1, 13), random.randrange(1, 29), random.randrange(1990, 2026)
    return random.choice(("{0:02d}/{1:02d}/{2}", "{2}-{0:02d}-{1:02d}")).format(month, day, year)


def record_number(random: Random) -> str:
    return str(random.randrange(10_000_000, 99_999_999))


MAKERS = {
    "EMAIL": email,
    "PHONE": phone,
    "SSN": ssn,
    "CREDIT_CARD": card,
    "IP": address,
    "URL": url,
    "DATE": date,
    "RECORD_NUMBER": record_number,
}
# Source code is not a clinical note: there, dates and URLs are meant to stay.
CODE_TYPES = ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP", "RECORD_NUMBER")

_NOTE_LINES = {
    "EMAIL": "Results are to be sent to {}, as the patient asked at the last visit.",
    "PHONE": "The family can be reached by phone at {} in the evening.",
    "SSN": "The social security number on file is SSN {}.",
    "CREDIT_CARD": "The deposit was paid with credit card {} at the front desk.",
    "IP": "The home monitor reports from IP address {} every night.",
    "URL": "The record is kept at {} for the next of kin.",
    "DATE": "The patient was admitted on {} through the emergency department.",
    "RECORD_NUMBER": "MRN: {}.",
}
_CODE_LINES = {
    "EMAIL": "# Reported by {}, who can test a fix.",
    "PHONE": "# On call for this module: phone {}.",
    "SSN": "# Fails for the customer with SSN {} in the export.",
    "CREDIT_CARD": "# Seen with credit card {} in the sandbox.",
    "IP": "# Reproduced on the host at {} only.",
    "RECORD_NUMBER": "# Crashes while loading MRN: {} from the clinic's dump.",
}
_FINDINGS = (
    "The lungs are clear to auscultation on both sides, without wheezing.",
    "Blood pressure was {0}/{1} mmHg with a regular pulse of {2} beats per minute.",
    "There is mild swelling of both ankles that is worse in the evening.",
    "She reports sleeping better since the evening dose was halved.",
    "He has walked about {2} metres a day without pain since the operation.",
    "The wound is dry, and the stitches will be removed in {3} days.",
    "Haemoglobin has risen to {3}.{4} grams per decilitre under iron tablets.",
    "An ultrasound of the abdomen showed a gallstone of {3} millimetres and no dilated ducts.",
    "The patient denies chest pain, shortness of breath and palpitations.",
    "Metformin was increased because the fasting glucose stayed above {0} milligrams per decilitre.",
    "A chest film showed no infiltrate and a heart of normal size.",
    "Vision in the left eye has improved after the cataract was treated.",
    "Physiotherapy will go on twice a week for {3} more weeks.",
    "The cough began {3} days ago and is worse when lying down.",
    "An allergy to penicillin with a rash is known from childhood.",
    "The electrocardiogram shows sinus rhythm and no change from the last one.",
    "Weight has fallen by {4} kilograms since the spring, without intent.",
    "The knee can be bent to {2} degrees, and the joint is not warm.",
    "We discussed the risks of the procedure, and consent was given.",
    "Creatinine was {4}.{3}, which is stable under the current treatment.",
    "The skin over both heels is intact, and pressure is relieved at night.",
    "No further imaging is needed unless the headache comes back.",
    "Insulin is now given before each of the three meals of the day.",
    "The mood is brighter, and the appetite has come back in part.",
    "A follow-up visit is planned in {3} weeks with fresh blood tests.",
    "The hearing test shows a loss in the high range on the right side.",
    "Thyroid hormone is within the range that we aim for at this dose.",
    "The neighbour helps with shopping, and a nurse comes in the morning.",
    "Bowel sounds are present in all quadrants, and the abdomen is soft.",
    "The dressing was changed, and there is no sign of infection.",
)


def note(random: Random) -> tuple[str, list[Identity]]:
    """A note of about twenty sentences with one to all of the identifiers, and what was put in."""
    sentences = []
    for sentence in random.sample(_FINDINGS, random.randrange(12, 18)):
        vital = (random.randrange(105, 165), random.randrange(60, 95), random.randrange(58, 110))
        sentences.append(sentence.format(*vital, random.randrange(2, 15), random.randrange(1, 10)))
    identities = [
        Identity(type, MAKERS[type](random)) for type in sorted(random.sample(list(MAKERS), random.randrange(1, 9)))
    ]
    for identity in identities:
        sentences.insert(random.randrange(len(sentences) + 1), _NOTE_LINES[identity.type].format(identity.value))
    breaks = sorted(random.sample(range(1, len(sentences)), 3))
    paragraphs = [sentences[a:b] for a, b in zip((0, *breaks), (*breaks, None), strict=True)]
    return "\n\n".join(" ".join(paragraph) for paragraph in paragraphs), identities


def commented(code: str, random: Random) -> tuple[str, list[Identity]]:
    """Source code with comment lines that hold two identifiers, put at its top where any file can carry them."""
    identities = [Identity(type, MAKERS[type](random)) for type in sorted(random.sample(CODE_TYPES, 2))]
    lines = [_CODE_LINES[identity.type].format(identity.value) for identity in identities]
    return "\n".join((*lines, code)), identities
