"""The plug-in for models: with a spaCy pipeline of rules, and with an engine that is a stand-in for any."""

import pickle

import pytest

from corpus.deidentify import Deidentify, DeidentifySettings
from corpus.deidentify.ner import _ENGINES, NerFinder, NerSettings, _windows
from corpus.document import Batch, Document
from corpus.errors import ConfigError

TYPES = frozenset({"PERSON", "LOCATION"})


@pytest.fixture
def engine(monkeypatch):
    """An engine that knows one name, and counts the batches it reads."""
    calls = []

    def make(settings):
        def run(texts):
            calls.append(len(texts))
            for text in texts:
                at = text.find("zorblax")
                yield [(at, at + 7, "PER", 0.9), (0, 1, "MISC", 1.0)] if at >= 0 else []

        return run

    monkeypatch.setitem(_ENGINES, "transformers", make)
    return calls


def test_entities_become_spans_in_bytes(engine):
    finder = NerFinder(NerSettings(engine="transformers", model="x"), TYPES)
    data = "é😀 zorblax".encode()
    (span,) = finder.find(data)
    assert data[span.start : span.end] == b"zorblax" and (span.type, span.recogniser) == ("PERSON", "ner.transformers")
    assert finder.speed > 0


def test_the_model_reads_a_batch_at_once_and_its_names_are_masked(engine):
    settings = DeidentifySettings(
        profile="hipaa_safe_harbor", replace="tag", ner=NerSettings(engine="transformers", model="x")
    )
    step = pickle.loads(pickle.dumps(Deidentify(settings)))  # noqa: S301
    texts = ["we met zorblax", "nobody here", "zorblax again"]
    result = step.process(Batch.of([Document(str(i), "s", i, t, len(t)) for i, t in enumerate(texts)]))
    assert result.text.to_pylist() == ["we met [PERSON]", "nobody here", "[PERSON] again"]
    assert engine[0] == 3


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="no transformers model"):
        NerFinder(NerSettings(engine="transformers", model="/nowhere"), TYPES).find(b"x")


def test_windows_cut_long_texts_at_white_space():
    text = "word " * 1000
    pieces = list(_windows(text))
    assert "".join(piece for _, piece in pieces) == text
    assert all(text[start : start + len(piece)] == piece and len(piece) <= 1000 for start, piece in pieces)


def test_a_spacy_pipeline_from_a_folder(tmp_path):
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "zorblax"}])
    pipeline.to_disk(tmp_path / "model")
    finder = NerFinder(NerSettings(engine="spacy", model=str(tmp_path / "model")), TYPES)
    finder.prepare([b"we met zorblax", b"nobody"])
    assert [span.type for span in finder.find(b"we met zorblax")] == ["PERSON"]


@pytest.mark.slow
def test_a_token_classifier_from_a_folder(tmp_path):
    """A tiny BERT whose head calls every token a person: the way from a folder to spans is what counts."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "we", "met", "zorblax"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    config.id2label, config.label2id = {0: "O", 1: "B-PER"}, {"O": 0, "B-PER": 1}
    model = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([-50.0, 50.0]))
    model.save_pretrained(tmp_path)
    finder = NerFinder(NerSettings(engine="transformers", model=str(tmp_path)), TYPES)
    finder.prepare([b"we met zorblax"])
    spans = finder.find(b"we met zorblax")
    assert spans and {span.type for span in spans} == {"PERSON"}
    assert spans[0].start == 0 and spans[-1].end == len("we met zorblax")
