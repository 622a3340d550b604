import pytest
from small_stores import make_store

from corpus.tokens.store import TokenStore


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TokenStore]:
    folder = tmp_path_factory.mktemp("stores")
    sizes = {"books": (60, 3), "notes": (25, 1), "web": (80, 4)}
    return {name: make_store(folder, name, *size) for name, size in sizes.items()}
