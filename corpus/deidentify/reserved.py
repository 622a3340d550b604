"""The ranges that surrogates live in: nobody's, and never found again.

Each is inside a range that a registry has set aside, and narrower than it where real notes are full of the rest (the
addresses under example.com that people write, 555-0100 numbers with a real area code).
"""

import ipaddress

EMAIL_DOMAINS = ("inbox.example", "letters.example", "mail.example", "post.example")  # RFC 2606: no such TLD
URL_HOSTS = ("home.example", "pages.example", "site.example", "web.example")
# RFC 5737 and RFC 3849: documentation.
IPV4_NETWORKS = tuple(map(ipaddress.IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
IPV6_NETWORK = ipaddress.IPv6Network("2001:db8:de1d::/48")
RECORD_MARK = "ZZ"  # how the surrogate of a record number begins
NAME_MARK = "uqo"  # how each word of a name's surrogate ends: no name in the lists and no English word does
_FICTION_LINES = (
    "55501"  # North America's 555-0100 to 555-0199, and area codes N9X that the plan keeps for its expansion
)


def fiction_phone(digits: int, number: int, country: str = "") -> str:
    """A number of `digits` digits nobody has, chosen by `number` (≥ 0): 555-01xx, after an area code N9X where there
    is room for one, after zeros (or the country code 1) where there is more."""
    line = f"{_FICTION_LINES}{number % 100:02d}"
    if digits < 10:
        return line.rjust(digits, "0")[-digits:]
    area = number // 100 % 80
    tail = f"{2 + area // 10}9{area % 10}{line}"
    return country + tail.rjust(digits - len(country), "0")


def is_fiction_phone(digits: str) -> bool:
    if digits[-7:-2] != _FICTION_LINES:
        return False
    area = digits[-10:-7]
    if len(digits) < 10:
        return not area.strip("0")
    return area[1] == "9" and digits[:-10].strip("0") in {"", "1"}
