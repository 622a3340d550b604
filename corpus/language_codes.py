"""Codes of languages: `en`, `eng` and `eng_Latn` name the same one.

fastText's lid.176 labels with ISO 639-1 where a language has such a code, GlotLID and NLLB with ISO 639-3 and a script
(ISO 15924). A macrolanguage that lid.176 knows as one (zh) is several in ISO 639-3; the most spoken of its members
stands for it here (cmn for zh), as in CLDR's aliases, so that a list of allowed languages serves both kinds of models.
"""

from typing import Any

import polars as pl

# ISO 639-3 (and the member that stands for a macrolanguage) by ISO 639-1.
_PAIRS = """
aa:aar ab:abk ae:ave af:afr ak:aka,twi am:amh an:arg ar:ara,arb as:asm av:ava ay:aym,ayr az:aze,azj ba:bak be:bel bg:bul
bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre,cwd cs:ces cu:chu cv:chv cy:cym da:dan
de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est,ekk eu:eus fa:fas,pes ff:ful,fuc fi:fin fj:fij fo:fao
fr:fra fy:fry ga:gle gd:gla gl:glg gn:grn,gug gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye
hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk,esk io:ido is:isl it:ita iu:iku,ike ja:jpn jv:jav ka:kat kg:kon,kng
ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau,knc ks:kas ku:kur,kmr kv:kom,kpv kw:cor ky:kir la:lat lb:ltz
lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav,lvs mg:mlg,plt mh:mah mi:mri mk:mkd ml:mal mn:mon,khk mr:mar ms:msa,zsm
mt:mlt my:mya na:nau nb:nob nd:nde ne:nep,npi ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji,ojg
om:orm,gaz or:ori,ory os:oss pa:pan pi:pli pl:pol ps:pus,pbu pt:por qu:que,quz rm:roh rn:run ro:ron ru:rus rw:kin sa:san
sc:srd sd:snd se:sme sg:sag si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:sqi,als sr:srp ss:ssw st:sot su:sun sv:swe
sw:swa,swh ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl,fil tn:tsn to:ton tr:tur ts:tso tt:tat ty:tah ug:uig uk:ukr
ur:urd uz:uzb,uzn ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid,ydd yo:yor za:zha,zyb zh:zho,cmn zu:zul
"""
TWO_LETTERS: dict[str, str] = {
    long: short for pair in _PAIRS.split() for short, _, longs in [pair.partition(":")] for long in longs.split(",")
}
# lid.176 gives Alemannic the code that ISO 639-3 gives Tosk Albanian; only with a script is it Albanian.
_AMBIGUOUS = frozenset({"als"})


def language_of(label: str) -> str:
    """The language of a label, in ISO 639-1 where it has a code there: `eng_Latn` → `en`, `ceb` → `ceb`."""
    code, _, script = label.replace("-", "_").partition("_")
    if not script and code in _AMBIGUOUS:
        return code
    return TWO_LETTERS.get(code, code)


def script_of(label: str) -> str | None:
    """The script of a label, null where it names none: `eng_Latn` → `Latn`."""
    return label.replace("-", "_").partition("_")[2] or None


def same_language(label: str, wanted: str) -> bool:
    """Whether `label` is the `wanted` language; scripts are compared where both name one."""
    scripts = script_of(label), script_of(wanted)
    return language_of(label) == language_of(wanted) and (None in scripts or scripts[0] == scripts[1])


def best_match(label: str, wanted: tuple[str, ...]) -> str | None:
    """Which of the `wanted` is the language of `label`, the label itself first; null when none is."""
    if label in wanted:
        return label
    return next((other for other in wanted if same_language(label, other)), None)


def matched(label: pl.Expr, wanted: tuple[str, ...]) -> pl.Expr:
    """`best_match` as an expression, null in → null out. Plain comparisons, so that a fingerprint can name it."""
    parts = label.str.replace("-", "_").str.split_exact("_", 1)
    code, script = parts.struct.field("field_0"), parts.struct.field("field_1").fill_null("")
    short = code.replace(list(TWO_LETTERS), list(TWO_LETTERS.values()))
    language = pl.when(code.is_in(sorted(_AMBIGUOUS)) & (script == "")).then(code).otherwise(short)
    found: Any = pl.when(label.is_in(list(wanted))).then(label)
    for other in wanted:
        own = script_of(other)
        same = language == language_of(other)
        found = found.when(same if own is None else same & script.is_in(["", own])).then(pl.lit(other))
    return found.otherwise(None)
