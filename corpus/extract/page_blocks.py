"""Names by which the blocks of a page are told: tags, and words of classes and ids.

`corpus.kernels.outline` looks them up by their hashes.
"""

from functools import cache

import numpy as np

from corpus.kernels import outline, page_writing
from corpus.kernels.hashing import hashes_of, map_of


def names(listed: str) -> frozenset[str]:
    """The names in a list with spaces between."""
    return frozenset(listed.split())


DROPPED = names(
    """script style noscript template svg canvas iframe object embed applet audio video map button select textarea input
    option datalist dialog nav menu footer aside head link meta"""
)
BLOCKS = names(
    """address article blockquote body center dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4 h5 h6
    header hgroup li main ol p pre section summary table tbody td tfoot th thead tr ul"""
)
VOID = names("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
LITERAL = names("script style iframe xmp noembed noframes plaintext")  # whose text is written out as it is
NAMED = (BLOCKS | names("span a")) - names("article main body")  # whose class and id tell what they are
# Blocks that are never the whole content by themselves.
INNER = names("p pre li ol ul dl tr tbody thead tfoot table td th dt dd blockquote h1 h2 h3 h4 h5 h6 figure")
KEPT_WITH_LINKS = names("h1 h2 h3 h4 h5 h6 p td th")
# Words of class and id. A word of CONTENT overrules those of WEAK: `author` is a part, `hentry author-jane` is not.
PARTS = names(
    """nav navi navbar navigation menu submenu menus breadcrumb breadcrumbs footer foot sidebar widget widgets share
    sharing shares social socials related relatedposts promo promos sponsor sponsored ad ads advert advertisement
    adsense banner cookie cookies consent newsletter subscribe subscription signup login comment comments commentlist
    disqus respond replies pagination pager paging popup modal overlay tooltip toolbar tags tag tagcloud byline bylines
    author authors meta metadata postmeta trending popular teaser teasers outbrain taboola masthead legal copyright
    disclaimer skip noprint recommended recommendations recommendation toc caption credit credits timestamp
    dateline bio"""
)
WEAK = names("author tag tags teaser sidebar meta bio widget nav ad toc comment")
CONTENT = names("article content main body text entry hentry story container column page post blog")
HIDDEN = names("hidden visually-hidden sr-only screen-reader-text")

# Elements whose text is written as it stands here (`kernels.page_writing`).
INLINE = names("a abbr b big cite code del dfn em font i ins kbd mark q s samp small span strong sub sup time tt u var")
LINES = names("address article blockquote center div header hgroup main section h5 h6 br hr ul ol li")
TALL = names("p h1 h2 h3 h4")

Map = tuple[np.ndarray, np.ndarray]  # by hash, as of `hashing.map_of`


@cache
def kinds() -> Map:
    """What an element is, by its tag."""
    return _by_hash(
        {
            outline.DROPPED: DROPPED,
            outline.VOID: VOID,
            outline.LITERAL: LITERAL,
            outline.BLOCK: BLOCKS,
            outline.NAMED: NAMED,
            outline.LINK: names("a"),
            outline.INNER: INNER,
            outline.LISTED: names("li"),
            outline.PARAGRAPH: names("p pre"),
            outline.LINKABLE: KEPT_WITH_LINKS,
            outline.PROSE: names("p blockquote"),
        }
    )


@cache
def words() -> Map:
    """What a word of a class or an id says."""
    return _by_hash(
        {outline.PART: PARTS, outline.STRONG: PARTS - WEAK, outline.CONTENT: CONTENT, outline.HIDDEN: HIDDEN}
    )


@cache
def writing() -> Map:
    """How an element is written, by its tag."""
    headings = names("h1 h2 h3 h4 h5 h6")
    return _by_hash(
        {
            page_writing.INLINE: INLINE | names("img wbr"),
            page_writing.LINE: LINES | TALL,
            page_writing.TALL: TALL,
            page_writing.CLOSED: headings | names("p"),
            page_writing.EMPTY: names("img wbr br hr"),
            page_writing.BREAK: names("br"),
            page_writing.BODY: names("body"),
            page_writing.LIST: names("ul ol"),
            page_writing.NUMBERED: names("ol"),
            page_writing.ITEM: names("li"),
            page_writing.LINK: names("a"),
        }
    )


def _by_hash(sets: dict[int, frozenset[str]]) -> Map:
    listed = tuple(sorted(frozenset().union(*sets.values())))
    bits = [sum(bit for bit, members in sets.items() if name in members) for name in listed]
    return map_of(hashes_of(listed), np.array(bits, np.int64))
