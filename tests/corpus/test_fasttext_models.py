from pathlib import Path

import pytest

from corpus.artifact import content_hash
from corpus.errors import ConfigError
from corpus.fasttext_models import check_model
from corpus.language import LanguageSettings, packaged_model


def test_a_sound_model_passes_and_another_hash_than_the_pinned_is_refused() -> None:
    path = packaged_model()
    check_model(path, content_hash(path).upper(), "todo")
    settings = LanguageSettings.model_validate({"kind": "language", "model": str(path), "sha256": "0" * 64})
    with pytest.raises(ConfigError, match="not the one that was pinned"):
        settings.build()


@pytest.mark.parametrize("cut", [0, 60, 5000])
def test_a_damaged_model_ends_a_process_of_its_own_and_not_ours(cut: int, tmp_path: Path) -> None:
    """Sizes of a few exabytes after a sound magic number: what the C++ reader believes."""
    data = bytearray(packaged_model().read_bytes()[:20_000])
    data[cut : cut + 40] = b"\xff" * 40
    (tmp_path / "model.ftz").write_bytes(data)
    with pytest.raises(ConfigError, match="not a fastText model"):
        check_model(tmp_path / "model.ftz", None, "give another")
