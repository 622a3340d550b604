"""Which pages of a partly translated book are truly in their language: the truth of the planted foreign pages.

By another rule than the model under test: scripts and function words, not n-grams.
"""

import re

FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to is that in for with this are it be as on you can",
        "de": "der die das und ist nicht mit ein eine zu den von auf für sich werden",
        "es": "el la los las de que y en un una para con por es se del",
        "fr": "le la les des et est un une pour que dans qui sur par pas du",
        "nb": "og er det som en et av på for med til ikke kan den de å",
        "pt": "o a os as de que e em um uma para com por não se do da",
    }.items()
}
OTHER_SCRIPTS = {"ja": r"[\u3040-\u30ff\u4e00-\u9fff]", "zh": r"[\u4e00-\u9fff]", "ru": r"[\u0400-\u04ff]"}
IDEOGRAPHIC = frozenset({"ja", "zh"})


def is_translated(text: str, language: str) -> bool:
    """Whether most of a text is in `language` ("de") and not left in English.

    For another script: it has twice the letters of the Latin one (an ideograph counts as two, for it says more). For
    Latin script: the language's own function words are a tenth of the words and outnumber the English ones four to one.
    """
    if language in OTHER_SCRIPTS:
        own = len(re.findall(OTHER_SCRIPTS[language], text)) * (2 if language in IDEOGRAPHIC else 1)
        return own > 2 * len(re.findall(r"[A-Za-z]", text))
    words = re.findall(r"[^\W\d_]+", text.lower())
    own = sum(word in FUNCTION_WORDS[language] for word in words)
    english = sum(word in FUNCTION_WORDS["en"] - FUNCTION_WORDS[language] for word in words)
    return own * 10 > len(words) and own > 4 * english


def page_text(html: str) -> str:
    """All visible text of an HTML page."""
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html)
