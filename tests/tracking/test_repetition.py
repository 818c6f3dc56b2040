from vishwam.tracking import metrics, repetition
from vishwam.tracking.sweeps import Trial


def trial(seed, repeated, loss, **knobs):
    named = {"seq_rep_4": repeated, "unique_sentences": 0.5, "distinct_2": 0.25, "zlib_ratio": 0.1}
    summary = {metrics.repetition(f"{name}_written"): value for name, value in named.items()}
    summary |= {metrics.VALIDATION_LOSS: loss, metrics.INTERPOLATE: 0.9}
    return Trial(f"run{seed}", "finished", {"seed": seed, **knobs}, summary, 1.0)


PLAIN = [
    trial(seed, 0.6 + seed / 10, 1.0 + seed, unlikelihood=0.0, repetition_penalty=1.0, no_repeat_ngram=0)
    for seed in range(3)
]
TRAINED = [
    trial(seed, 0.1, 1.02 * (1 + seed), unlikelihood=0.5, repetition_penalty=1.0, no_repeat_ngram=0)
    for seed in range(3)
]
RULED = [trial(seed, 0.0, 1.0 + seed, unlikelihood=0.0, repetition_penalty=1.3, no_repeat_ngram=0) for seed in range(3)]


def test_a_setting_stands_with_its_interval_beside_the_cost_to_the_same_seeds():
    table = repetition.table(repetition.settings(PLAIN + TRAINED + RULED))
    rows = {tuple(line.split()[:2]): line for line in table.splitlines()}
    # Three seeds: t(0.975, 2) = 4.303 times 0.1 / sqrt(3).
    assert "70.0% [45.2%, 94.8%]" in rows["0.0", "1.0"] and " - " in rows["0.0", "1.0"]
    assert "10.0%" in rows["0.5", "1.0"] and "+2.0%" in rows["0.5", "1.0"]
    assert "+0.0%" in rows["0.0", "1.3"], "a rule of decoding leaves the model as it is"


def test_the_headline_says_how_much_is_left_and_what_it_cost():
    assert repetition.headline(PLAIN + TRAINED) == (
        "Without mitigation 70.0% of the runs of four tokens that a model writes it has written before [45.2%, 94.8%]. "
        "Of that is left 14% with `unlikelihood` = 0.5 (loss +2.0%)."
    )
    both = [
        trial(seed, 0.0, 1.1 + seed, unlikelihood=0.5, repetition_penalty=1.3, no_repeat_ngram=0) for seed in range(3)
    ]
    assert repetition.headline(PLAIN + TRAINED + both) == repetition.headline(PLAIN + TRAINED), "by one knob alone"
    assert repetition.headline([]) == ""


def test_intervals_of_shares_end_where_shares_do():
    wide = [trial(seed, repeated, 1.0, unlikelihood=0.0) for seed, repeated in enumerate((0.1, 0.9))]
    assert "50.0% [0.0%, 100.0%]" in repetition.table(repetition.settings(wide))


def test_a_model_that_writes_line_breaks_alone_is_in_the_table():
    """It writes no sentence, and nothing that could be compressed."""
    lost = [trial(seed, 1.0, 3.0, unlikelihood=0.0) for seed in range(2)]
    for one in lost:
        for name in ("unique_sentences", "zlib_ratio"):
            del one.summary[metrics.repetition(f"{name}_written")]
    assert repetition.table(repetition.settings(lost)).splitlines()[-1].split()[:5] == [
        "0.0",
        "100.0%",
        "[100.0%,",
        "100.0%]",
        "-",
    ]


def test_no_headline_where_other_knobs_are_varied_too():
    assert repetition.headline([trial(0, 0.5, 1.0, unlikelihood=0.0, augmentation=0.5)]) == ""
