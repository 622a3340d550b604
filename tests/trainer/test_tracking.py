import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from accelerate import Accelerator  # noqa: E402
from accelerate.tracking import GeneralTracker, on_main_process  # noqa: E402

import trainer.loop  # noqa: E402
from corpus.errors import ConfigError  # noqa: E402
from corpus.tokens.store import TokenStore  # noqa: E402
from trainer.processes.deepspeed_engine import engine_config  # noqa: E402
from trainer.processes.parallel import decoder_layers, make_accelerator  # noqa: E402
from trainer.record.tracking import Tracking, check_installed, numbers  # noqa: E402
from trainer.settings import DdpSettings, DeepSpeedSettings, TrainSettings  # noqa: E402

pytestmark = pytest.mark.slow


class Notebook(GeneralTracker):
    """A tracker that writes down what it is told."""

    name = "notebook"
    requires_logging_directory = False

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails, self.told, self.config = fails, [], {}

    @property
    def tracker(self) -> "Notebook":
        return self

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        if self.fails:
            raise ConnectionError("no network")
        self.told.append((step, values))


def tracked(run: Path, notebook: Notebook) -> Tracking:
    return Tracking(Accelerator(), [notebook], run, {"seed": 3, "kl": {"weight": 1}})


def test_numbers_of_an_event_go_on_by_path() -> None:
    event = {"loss": 1.5, "source_loss": {"a": 2.0}, "plan": "abc", "ok": True, "none": None}
    assert dict(numbers("step", event)) == {"step/loss": 1.5, "step/source_loss/a": 2.0}


def test_a_tracker_sees_what_the_metrics_say(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_training import events, run_plan, settings

    notebook = Notebook()
    monkeypatch.setattr(trainer.loop, "Tracking", lambda accelerator, _, run, config: tracked(run, notebook))
    run_plan(tmp_path / "run", settings(model_folder), evaluation)
    losses = [(line["step"], line["loss"]) for line in events(tmp_path / "run") if line["event"] == "step"]
    assert [(step, values["step/loss"]) for step, values in notebook.told if "step/loss" in values] == losses
    assert any("eval/sets/general/bits_per_byte" in values for _, values in notebook.told)
    assert notebook.config == {"seed": 3, "kl": "{'weight': 1}"}


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracking = tracked(tmp_path, Notebook(fails=True))
    tracking.log("step", 1, {"loss": 1.0})
    tracking.log("step", 2, {"loss": 1.0})
    assert capsys.readouterr().err.count("tracking ended: ConnectionError: no network") == 1


def test_a_tracker_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigError, match="pip install nowhere"):
        check_installed(["nowhere"])


def test_tensorboard_files_are_written(tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from test_training import events, run_plan, settings

    run_plan(tmp_path / "run", settings(model_folder, trackers=["tensorboard"]), evaluation)
    (folder,) = {path.parent for path in (tmp_path / "run" / "trackers").rglob("events.out.tfevents.*")
                 if "hparams" not in str(path) and len(path.relative_to(tmp_path).parts) == 4}  # fmt: skip
    read = EventAccumulator(str(folder)).Reload()
    losses = [line["loss"] for line in events(tmp_path / "run") if line["event"] == "step"]
    assert [entry.value for entry in read.Scalars("step/loss")] == pytest.approx(losses)


def test_deepspeeds_configuration_is_the_users_with_ours_over_it(tmp_path: Path) -> None:
    given = tmp_path / "ds.json"
    given.write_text(json.dumps({"train_micro_batch_size_per_gpu": 64, "comms_logger": {"enabled": True},
                                 "zero_optimization": {"overlap_comm": True, "stage": 1}}))  # fmt: skip
    found = engine_config(DeepSpeedSettings(zero_stage=3, offload="cpu", config=given))
    assert found["train_micro_batch_size_per_gpu"] == found["gradient_accumulation_steps"] == 1
    assert found["comms_logger"] == {"enabled": True}
    zero = found["zero_optimization"]
    assert zero["stage"] == 3 and zero["overlap_comm"] and zero["offload_optimizer"] == {"device": "cpu"}
    assert zero["stage3_gather_16bit_weights_on_model_save"]
    with pytest.raises(ConfigError, match="cannot be read"):
        engine_config(DeepSpeedSettings(config=tmp_path / "none.json"))


def test_deepspeed_is_asked_for_by_name_where_it_is_missing() -> None:
    try:
        import deepspeed  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"parallel\.kind to fsdp2"):
            make_accelerator(DeepSpeedSettings())
    with pytest.raises(ValueError, match="use parallel fsdp2"):
        TrainSettings.model_validate({"model": "m", "l2sp": 1.0, "parallel": {"kind": "deepspeed"}})


def test_processes_that_do_not_see_one_another_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="do not see one another"):
        make_accelerator(DdpSettings())


def test_layers_are_those_transformers_names(model_folder: Path) -> None:
    from trainer.model.packed import load_causal

    causal = load_causal(model_folder, "sdpa")
    assert decoder_layers(torch.nn.Sequential(causal)) == list(causal.model.layers)
    with pytest.raises(ConfigError, match="what its layers are"):
        decoder_layers(torch.nn.Linear(2, 2))
