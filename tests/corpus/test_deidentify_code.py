"""What source code is full of and nobody's secret, drawn by kind: UUIDs, hashes of lock files, versions, remotes."""

import base64
import random
import uuid

import pytest

from corpus.deidentify.profiles import DEFAULT_TYPES, Search, scanner

CODE = scanner(Search("code"), frozenset(DEFAULT_TYPES["code"]))
DRAW = random.Random(4)


def _uuid() -> str:
    return str(uuid.UUID(int=DRAW.getrandbits(128), version=4))


def _hex(digits: int) -> str:
    return f"{DRAW.getrandbits(4 * digits):0{digits}x}"


def _base64(size: int) -> str:
    return base64.b64encode(DRAW.randbytes(size)).decode()


def _version() -> str:
    return ".".join(str(DRAW.randrange(40)) for _ in range(DRAW.choice((3, 4))))


KINDS = {
    "UUIDs in tests": lambda: (
        f'ID = "{_uuid()}"\nassert job.id == "{_uuid()}"\nuuid={_uuid()}\n'
        f'row = UUID("{_uuid().upper()}")\n"{_uuid()}": 1'
    ),
    "lock files of Python": lambda: (
        f'    --hash=sha256:{_hex(64)} \\\nchecksum = "{_hex(64)}"\ncontent-hash = "{_hex(64)}"\n'
        f'    {{file = "auth_token-1.2-py3-none-any.whl", hash = "sha256:{_hex(64)}"}},'
    ),
    "lock files of JavaScript and Go": lambda: (
        f'"integrity": "sha512-{_base64(64)}",\nresolved "https://registry.yarnpkg.com/a/-/a-1.2.3.tgz#{_hex(40)}"\n'
        f"golang.org/x/text v0.3.7 h1:{_base64(32)}\n"
    ),
    "commits": lambda: f'"sha": "{_hex(40)}",\nrev = {_hex(40)}\ncommit {_hex(40)}\n',
    "versions": lambda: (
        f'version = "{_version()}"\nrequests=={_version()}\nauth-lib>={_version()},<{_version()}\n'
        f'image: repo/app:{_version()}\nv{_version()}-rc1\ntoken-{_version()}.tar.gz\n"passwd": "^{_version()}",'
    ),
    "remotes of git": lambda: (
        f"git@github.com:acme/{_hex(6)}.git\nssh://git@gitlab.com/{_hex(6)}.git\n"
        f'url = "git+ssh://git@github.com/acme/a.git@{_hex(40)}"\norigin\tgit@bitbucket.org:team/{_hex(4)} (fetch)'
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_code_is_full_of_is_no_finding(kind):
    for _ in range(100):
        text = KINDS[kind]()
        assert CODE.find(text.encode()) == [], text
