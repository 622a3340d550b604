"""What the issues ask that is exact, or is counted on fixed cases: held by tests, not timed here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Held:
    """What an issue asks, and the tests that fail where it does not hold: names in a file below tests/."""

    issue: int
    asked: str
    file: str
    names: tuple[str, ...]


HELD = (
    Held(
        2,
        "the ledger adds up, and plan tokens are trained tokens by source",
        "pipelines/test_line.py",
        (
            "test_the_line_runs_adds_up_and_is_skipped_the_second_time",
            "test_the_trainer_saw_the_plans_tokens_by_source",
        ),
    ),
    Held(
        2,
        "one and two workers, killed and resumed: the same bytes",
        "pipelines/test_line.py",
        (
            "test_two_workers_give_the_bytes_of_one",
            "test_a_killed_preparation_ends_as_the_undisturbed_one",
            "test_a_killed_training_ends_as_the_undisturbed_one",
        ),
    ),
    Held(
        3,
        "conservation for every reader on corrupted inputs",
        "corpus/test_readers_conservation.py",
        (
            "test_no_record_of_corrupted_input_is_lost_or_made_up",
            "test_any_number_of_workers_gives_the_same_documents",
        ),
    ),
    Held(
        3,
        "decisions agree with datatrove's on ≥ 99.5% of real documents",
        "corpus/test_quality_prose.py",
        ("test_decisions_on_real_text_are_those_of_datatrove",),
    ),
    Held(
        3,
        "language labels are those of the bare model",
        "corpus/test_language_accuracy.py",
        ("test_labels_of_whole_texts_are_those_of_the_bare_model",),
    ),
    Held(
        4,
        "structured types: recall and precision ≥ 0.97, none under 0.93",
        "corpus/test_deidentify_evaluate.py",
        ("test_the_bars_hold_on_the_labelled_cases",),
    ),
    Held(
        4,
        "secrets: recall and precision ≥ 0.90",
        "corpus/test_deidentify_evaluate.py",
        ("test_the_bars_hold_on_the_labelled_secrets",),
    ),
    Held(
        4,
        "names in clinical notes: leak-free recall ≥ 0.90",
        "corpus/test_deidentify_names.py",
        ("test_clinical_notes_leak_few_names",),
    ),
    Held(
        4,
        "a second pass finds nothing",
        "corpus/test_deidentify_safe_harbor.py",
        ("test_a_second_pass_over_every_labelled_case_finds_nothing",),
    ),
    Held(
        5,
        "labelled duplicates: F1 ≥ 0.97",
        "corpus/test_dedup_labelled.py",
        ("test_labelled_pairs_are_found_and_nothing_else",),
    ),
    Held(
        5,
        "killed and resumed: identical decisions",
        "corpus/test_killed_searches.py",
        ("test_a_search_killed_anywhere_ends_with_the_decisions_of_a_clean_one",),
    ),
    Held(
        6,
        "every prefix within one sequence; caps; floor in every batch",
        "mixing/test_plan.py",
        (
            "test_every_prefix_is_within_one_sequence_of_its_target",
            "test_caps_hold_for_any_number_of_sources",
            "test_every_batch_holds_the_replay_floor",
        ),
    ),
    Held(
        6,
        "the same global batch for world sizes 1, 2, 3, 8",
        "mixing/test_world_sizes.py",
        ("test_the_ranks_slices_are_the_global_batch_for_any_world_size",),
    ),
    Held(
        7,
        "RegMix: rank correlations 98.9, 98.5, 96.5 on Pile-CC, within 0.5",
        "mixing/test_laws_published.py",
        ("test_regmix_rank_correlations_with_the_trees_chosen_without_the_test_set",),
    ),
    Held(
        7,
        "critical share of the Pile .2862 ± .001",
        "mixing/test_laws_published.py",
        ("test_the_mixing_laws_critical_share_of_the_pile",),
    ),
    Held(
        7,
        "critical mixture ratios 29.8/34.9/41.4/47.8%; losses at 25% within .001",
        "mixing/test_laws_published.py",
        (
            "test_the_critical_mixture_ratio_at_twenty_billion_tokens",
            "test_losses_at_a_quarter_of_domain_text_from_those_at_larger_shares",
        ),
    ),
    Held(
        7,
        "D-CPT: r_d = .924 for chemistry",
        "mixing/test_laws_published.py",
        ("test_the_share_of_chemistry_that_costs_three_percent",),
    ),
    Held(
        7,
        "left-out mixtures predicted no worse than by the published form",
        "mixing/test_laws_published.py",
        ("test_left_out_mixtures_are_predicted_no_worse_than_by_the_published_form",),
    ),
    Held(
        7,
        "precision at 10% of the pool ≥ 0.95 (DSIR, Moore-Lewis), ≥ 0.9 (ETS)",
        "mixing/test_select_precision.py",
        ("test_a_tenth_of_the_pool_chosen_by_the_measure_is_medical",),
    ),
    Held(
        8,
        "gradients of the head are autograd's to 1e-12",
        "trainer/test_head.py",
        ("test_gradients_are_those_of_autograd_for_any_chunk_padding_reference_and_batch_split",),
    ),
    Held(
        8,
        "Fisher within 5% of closed forms at any batch size",
        "trainer/test_regularizers.py",
        (
            "test_fisher_of_softmax_regression_is_the_closed_form_at_any_batch_size",
            "test_fisher_of_a_linear_gaussian_model_is_the_closed_form_at_any_batch_size",
        ),
    ),
    Held(
        8,
        "EWC ends at the optimum of a quadratic",
        "trainer/test_regularizers.py",
        ("test_ewc_ends_at_the_optimum_of_a_quadratic",),
    ),
    Held(
        8,
        "N + resume + M steps are N + M, bitwise, with each regularizer",
        "trainer/test_regularizers_training.py",
        ("test_a_stopped_and_resumed_run_is_the_straight_run_bitwise",),
    ),
    Held(
        8,
        "two processes and FSDP2 give the curve of one to 1e-5",
        "trainer/test_training_processes.py",
        ("test_two_processes_give_the_loss_curve_of_one",),
    ),
    Held(
        8,
        "50 kills inside a save: a valid checkpoint each time",
        "trainer/test_save_faults.py",
        ("test_after_a_kill_at_any_instant_of_a_save_a_whole_checkpoint_is_found_and_the_run_ends_the_same",),
    ),
    Held(
        8,
        "ragged accumulation equals one big batch to 1e-6",
        "trainer/test_training.py",
        ("test_ragged_micro_batches_give_the_step_of_one_big_batch",),
    ),
    Held(
        9,
        "the report in Chromium: no request, no error, axe finds nothing serious",
        "pipelines/test_report_browser.py",
        (
            "test_it_opens_without_a_request_or_a_complaint_and_fits",
            "test_axe_finds_no_serious_violation",
        ),
    ),
    Held(
        9,
        "200 canary identities appear nowhere",
        "pipelines/test_audit_canaries.py",
        ("test_no_file_but_the_text_of_a_source_without_the_step_holds_one",),
    ),
    Held(
        9,
        "every number of the report is counted again",
        "pipelines/test_report_figures.py",
        ("test_no_table_of_the_page_is_left_unchecked",),
    ),
    Held(
        10,
        "a flip in any file of a mixture is found before training reads it",
        "faults/test_damage.py",
        ("test_a_flipped_bit_in_any_file_of_a_mixture_is_found_before_training_reads_it",),
    ),
    Held(
        10,
        "Ray gives the bytes of this machine",
        "corpus/test_ray_executor.py",
        ("test_a_whole_preparation_has_the_bytes_of_the_local_one",),
    ),
)
