"""Benchmarks of bias by hand: on records in the published formats, of which none is of a benchmark."""

import csv
import json
import math

import numpy as np
import pytest

from data_pipelines import BadInput
from data_pipelines.benchmarks import bbq
from data_pipelines.benchmarks import bias as files
from tests.fairness import official
from vishwam import cli, errors
from vishwam.fairness import benchmarks, measured


@pytest.fixture
def folder(tmp_path):
    official.write(tmp_path)
    return tmp_path


def by(measured):
    return {one.name: one for one in measured}


def random_score(seed=0):
    draw = np.random.default_rng(seed)
    return lambda pairs: draw.normal(-20, 3, len(pairs)).tolist()


def measure(name, folder, score=None, generate=None):
    return by(benchmarks.measure(name, folder, score or random_score(), generate))


def test_crows_pairs_by_hand(folder):
    # Cats are likelier in three of four pairs, and sentences are likelier than reversed ones.
    def score(pairs):
        return [2 * text.startswith(("Cats", "Old cats", "Red cats", "Big dogs")) + 5 * text.endswith(
            ("sly.", "slow.", "vain.", "mean.")) for _, text in pairs]  # fmt: skip

    found = measure("crows_pairs", folder, score)
    assert found["stereotype"].value == 75 and found["stereotype"].ideal == 50
    assert found["stereotype/age"].value == 100 and found["stereotype/religion"].value == 50
    assert found["language"].value == 100 and not measured.knows_nothing(list(found.values()))


def test_a_random_model_knows_nothing(folder):
    for name in benchmarks.BENCHMARKS:
        silent = sum(
            measured.knows_nothing(
                benchmarks.measure(name, folder, random_score(seed), lambda texts: [""] * len(texts))
            )
            for seed in range(20)
        )
        assert silent >= 17, name


@pytest.mark.parametrize(
    ("lms", "ss", "icat"),
    # Nadeem et al. (2021): ideal, random, fully biased; and GPT-2 small's 83.63, 56.37 and 72.97 (table 4).
    [(100, 50, 100), (50, 50, 50), (100, 100, 0), (100, 0, 0), (83.63, 56.37, 72.97)],
)
def test_icat_as_published(lms, ss, icat):
    assert benchmarks.icat(lms, ss) == pytest.approx(icat, abs=0.01)


def test_stereoset_by_hand(folder):
    # cat: both related ones over the unrelated, then one of two; the stereotype preferred, then not. dog: all, s.
    order = {"cat s1": 3, "cat a1": 2, "cat u1": 1, "cat a2": 3, "cat u2": 2, "cat s2": 1, "dog s3": 3, "dog a3": 2,
             "dog u3": 1, " s": 1, " a": 2, " u": 3}  # fmt: skip
    asked = []

    def score(pairs):
        asked.extend(pairs)
        return [float(order[text]) * len(text) for _, text in pairs]

    found = measure("stereoset", folder, score)
    # Over targets: LMS of cat is 75 and of dog 100, SS of cat 50 and of dog 100.
    assert (found["intrasentence/lms"].value, found["intrasentence/ss"].value) == (87.5, 75)
    icat = found["intrasentence/icat"]
    assert icat.value == pytest.approx(87.5 * 25 / 50)
    # Of two targets, draws are cat twice (75 and 50: 75), one of each, or dog twice (100 and 100: 0).
    assert (icat.low, icat.high) == (0, 75)
    assert (found["intersentence/lms"].value, found["intersentence/ss"].value) == (0, 0)
    # Together, as evaluation.py counts: of cat's three, 3 of 6 related and 1 of 3 for the stereotype; dog as above.
    assert found["lms"].value == 75 and found["ss"].value == pytest.approx(200 / 3) == found["ss/gender"].value
    assert found["icat"].value == pytest.approx(75 * (100 / 3) / 50) and found["icat"].count == 4
    assert ("A cat came.", " s") in asked and ("", "cat s1") in asked


def test_winobias_by_hand(folder):
    pairs = files.winobias(folder)
    pro, anti = pairs[0]
    assert pro == ("The pilot thanked the cook because he was hungry.", "he", "pilot", "cook", "type1")
    assert anti == ("The pilot thanked the cook because she was hungry.", "she", "pilot", "cook", "type1")
    assert pairs[3][0][1:] == ("she", "cook", "pilot", "type2")

    def score(asked):
        # "he" is pro-stereotyped in the first of each two, and means the pilot, whose sentence it is; "she" does, too.
        means = {" pilot": 60.0, " cook": 30.0}
        return [means[said] if said in means else float(" he " in said) for _, said in asked]

    found = measure("winobias", folder, score)
    assert found["stereotype"].value == found["stereotype/type2"].value == 50
    assert [found[name].value for name in ("accuracy", "accuracy_pro", "accuracy_anti")] == [50, 50, 50]

    def stereotyped(asked):
        means = {("He", " pilot"), ("She", " cook")}
        return [float((text.split("'")[1], said) in means) if text else 0.0 for text, said in asked]

    found = measure("winobias", folder, stereotyped)
    assert (found["accuracy_pro"].value, found["accuracy_anti"].value) == (100, 0)
    # There is but one couple, from which nothing can be said of others.
    assert (found["accuracy_difference"].value, found["accuracy_difference"].low) == (100, None)


def test_winobias_couples_are_drawn_together_and_unlike_pairs_are_not_compared(folder):
    lines = {
        "pro": "[The pilot] saw the cook as [he] left.\nThe baker paid [the judge] and thanked [her] twice.\n",
        "anti": "[The pilot] saw the cook as [she] left.\nThe baker paid [the judge] and thanked [him].\n",
    }
    others = "[The cook] saw [her].\n[The baker] saw [her].\n"
    for side, told in lines.items():
        (folder / f"{side}_stereotyped_type1.txt.test").write_text(told)
        (folder / f"{side}_stereotyped_type2.txt.test").write_text(others)
    found = measure("winobias", folder)
    assert found["stereotype"].count == 3, "the baker's sentences differ in a word"
    assert found["accuracy_pro"].count == 2, "others name but one occupation"


def test_winogender_by_hand(folder):
    schemas = files.winogender(folder)
    assert schemas[0].neutral == "The pilot told the guest that they were late."
    assert schemas[2].female == "The cook asked the guest for her name."
    assert schemas[3].male == "The cook asked someone for his name."
    gaps = {"pilot": -4.0, "cook": 1.0, "judge": -1.0, "baker": 2.0}

    def score(pairs):
        female = {schema.female: gaps[schema.occupation] for schema in schemas}
        return [female.get(text, 0.0) for _, text in pairs]

    found = measure("winogender", folder, score)
    assert found["female_preferred"].value == 50
    expected = np.corrcoef([-4, 1, -1, 2], [5, 40, 35, 60])[0, 1]
    assert found["correlation_with_occupation"].value == pytest.approx(expected)


def test_bbq_by_hand(folder):
    # Ambiguous: the stereotype once (old for neg), "unknown" once. Else old each time: right and biased, against the
    # stereotype for nonneg and wrong, biased and wrong.
    says = {
        "ambig 1 neg?": 0,
        "ambig 1 nonneg?": 2,
        "disambig 2 neg?": 0,
        "disambig 2 nonneg?": 0,
        "disambig 3 neg?": 0,
    }
    answers = ["The old cat", "The kitten", "Not known"]
    found = measure(
        "bbq", folder, lambda pairs: [100.0 * (said.strip() == answers[says[before]]) for before, said in pairs]
    )
    assert found["accuracy_disambiguated"].value == pytest.approx(100 / 3)
    assert found["s_dis"].value == pytest.approx(100 * (2 * 2 / 3 - 1))
    # All that is answered is biased, and half of the questions are answered wrong: (1 - 0.5) x 1.
    assert (found["accuracy_ambiguous"].value, found["s_amb"].value) == (50, 50)
    # Ambiguous are two questions of one template, of which nothing can be said; the others draw one that is biased in
    # one of two answers, and one that is biased in its one.
    assert found["s_amb"].low is None
    assert (found["s_amb/Age"].value, found["s_amb"].note) == (50, "1 answered with unknown")
    assert (found["s_dis"].low, found["s_dis"].high) == (0, 100)


def test_what_a_figure_is_to_be_read_beside(folder):
    # A single couple gives no interval, and so no sign of knowledge.
    figures = benchmarks.measure("winobias", folder, random_score(), None)
    said = dict(zip((one.name for one in figures), measured.remarks(figures), strict=True))
    assert said["accuracy"] == "at chance"
    assert said["accuracy_difference"] == "says nothing: accuracy is at chance"
    assert said["stereotype"] == ""
    below = measured.Measured("x", "intersentence/lms", 30.0, 25.0, 35.0, 100.0, 200)
    beside = measured.Measured("x", "intersentence/ss", 60.0, 55.0, 65.0, 50.0, 200, "1 left out")
    assert measured.remarks([below, beside]) == [
        "below chance",
        "says nothing: intersentence/lms is below chance; 1 left out",
    ]


def test_a_limit_draws_from_all_over_the_files(folder):
    text = (folder / "crows_pairs_anonymized.csv").read_text()
    head, *rows = text.splitlines(keepends=True)
    (folder / "crows_pairs_anonymized.csv").write_text(head + "".join(rows * 50))

    def asked(limit):
        said = []
        score = random_score()
        found = by(benchmarks.measure("crows_pairs", folder, lambda p: said.extend(p) or score(p), None, limit))
        return found, said

    found, said = asked(20)
    assert found["stereotype"].count == 20 and found["stereotype/religion"].count > 2 < found["stereotype/age"].count
    assert asked(20)[1] == said, "the same ones at every call"
    assert asked(1000)[0]["stereotype"].count == 200
    of_both = by(benchmarks.measure("stereoset", folder, random_score(), None, 2))
    assert of_both["intrasentence/ss"].count == 2 and of_both["intersentence/ss"].count == 1


def test_shares_of_terms_are_no_single_observations(folder):
    # Thirty terms of sixteen triples each: an interval as of thirty coins would be 35 points wide.
    draw = np.random.default_rng(0)
    triples = [files.Triple(f"t{i % 30}", "race", "", f"{i}s", f"{i}a", f"{i}u") for i in range(480)]
    found = by(benchmarks._stereoset({"intrasentence": triples}, lambda asked: draw.normal(0, 1, len(asked)).tolist()))
    half = (found["ss"].high - found["ss"].low) / 2
    # The mean of 480 fair coins: 1.96 x 50 / sqrt(480) = 4.5.
    assert 3 < half < 6.5


@pytest.mark.parametrize(("biased", "answered", "bias"), [(0, 0, 0), (5, 10, 0), (10, 10, 1), (0, 4, -1), (7, 10, 0.4)])
def test_bbq_bias_as_published(biased, answered, bias):
    assert benchmarks.bbq_bias(biased, answered) == pytest.approx(bias)


@pytest.mark.parametrize(
    ("category", "question", "polarity", "told", "labels", "texts", "biased"),
    [
        # Labels as in the official files; names and texts are made up.
        ("SES", 1, "neg", ["low SES"], ("highSES", "lowSES"), ("", ""), 1),
        ("Age", 1, "nonneg", ["old"], ("nonOld", "old"), ("", ""), 0),
        ("Gender_identity", 1, "neg", ["F"], ("man", "woman"), ("The man", "The woman"), 1),
        ("Gender_identity", 7, "neg", ["M"], ("M", "M"), ("The female singer", "The male singer"), 1),
        ("Gender_identity", 13, "neg", ["F"], ("man", "boy"), ("A man", "A boy"), -1),
        ("Gender_identity", 35, "neg", ["Transgender women", "transgender men", "trans"],
         ("trans_M", "nonTrans_F"), ("Tom", "Ann"), 0),
        ("Race_ethnicity", 30, "neg", ["Black", "African American"], ("F-Black", "F-White"), ("Ann", "Eve"), 0),
        ("Race_ethnicity", 20, "neg", ["Black", "African American"], ("African", "African"),
         ("The African singer", "The African American singer"), 1),
        # The stereotype of question 1 is about men, of question 3 about women.
        ("Race_x_gender", 1, "neg", ["Black"], ("M-Black", "F-Black"), ("Tom", "Ann"), 0),
        ("Race_x_gender", 3, "neg", ["Black"], ("M-Black", "F-Black"), ("Tom", "Ann"), 1),
        ("Race_x_gender", 3, "nonneg", ["Latino"], ("M-Latino", ""), ("The Latino man", "The Latina woman"), 0),
        # Of question 1 about the poor, of question 13 about the rich.
        ("Race_x_SES", 1, "neg", ["Black", "Latino"], ("lowSES-M-Black", "highSES-M-Black"), ("Tom", "Tim"), 0),
        ("Race_x_SES", 13, "neg", ["Black", "Latino"], ("lowSES-M-Black", "highSES-M-Black"), ("Tom", "Tim"), 1),
        ("Race_x_SES", 1, "neg", ["Black", "African American", "Latino", "Hispanic"],
         ("lowSES-Black", "lowSES-Hispanic"), ("x", "y"), 1),
    ],
)  # fmt: skip
def test_bbq_answers_that_follow_the_stereotype(category, question, polarity, told, labels, texts, biased):
    """Each worked by hand after the authors' BBQ_results_metadata.R."""
    record = {
        "category": category, "question_index": str(question), "question_polarity": polarity,
        "answer_info": {f"ans{i}": [text, label] for i, (text, label) in
                        enumerate(zip((*texts, "Unknown"), (*labels, "unknown"), strict=True))},
        "additional_metadata": {"stereotyped_groups": told}, "ans0": texts[0], "ans1": texts[1], "ans2": "Unknown",
    }  # fmt: skip
    if not labels[1]:
        record["answer_info"]["ans1"][0] = ""
    assert bbq._biased(record, 2) == biased


def test_bold_by_hand(folder):
    says = {"Tom is a cat who ": "she said he and he", "Tom was ": "her own woman", "Rex is ": "a dog"}
    found = measure("bold", folder, generate=lambda prompts: [says[prompt] for prompt in prompts])
    assert found["female/gender/Cat_actors"].value == 50 and "female/gender/Dog_actors" not in found
    assert found["neutral"].value == pytest.approx(100 / 3)
    assert found["language"].count == 3, "beside which the rest is to be read"


@pytest.mark.parametrize(
    ("text", "kind"), [("He saw her and him.", "male"), ("she", "female"), ("her man", "neutral"), ("the", "neutral")]
)
def test_gender_polarity(text, kind):
    assert benchmarks.gender_polarity(text) == kind


@pytest.mark.parametrize(
    ("name", "file", "text", "complaint"),
    [
        ("crows_pairs", "crows_pairs_anonymized.csv", "a,b\n1,2\n", "csv:2: no 'stereo_antistereo' here"),
        ("stereoset", "dev.json", "{", "dev.json: not as published"),
        ("stereoset", "dev.json", '{"data": {}}', "dev.json: no 'intrasentence' here"),
        ("winobias", "pro_stereotyped_type1.txt.test", "1 Nobody.\n2 Nobody.\n", "test:1: not as published"),
        (
            "winobias",
            "pro_stereotyped_type1.txt.test",
            "1 [The pilot] told the cook that [he] ate.\n",
            "type1 has 1 pro",
        ),
        ("winogender", "templates.tsv", "x\nsailor\tguest\t0\tx\n", "tsv:2: no 'sailor' here"),
        ("bbq", "Age.jsonl", "{}\n", "Age.jsonl:1: no 'answer_info' here"),
        ("bold", "gender_prompt.json", "[1]", "gender_prompt.json: not as published"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(folder, name, file, text, complaint):
    (folder / file).write_text(text)
    with pytest.raises(BadInput, match=complaint):
        benchmarks.measure(name, folder, random_score(), lambda prompts: list(prompts))


def test_files_without_records_are_named(folder):
    (folder / "crows_pairs_anonymized.csv").write_text("sent_more,sent_less,stereo_antistereo,bias_type\n")
    (folder / "gender_prompt.json").write_text("{}")
    for name in ("crows_pairs", "bold"):
        with pytest.raises(BadInput, match=f"the files of {name} hold no records"):
            measure(name, folder)


def test_a_file_in_another_encoding_is_one_line(folder):
    (folder / "crows_pairs_anonymized.csv").write_bytes(b"sent_more,sent_less\n\xff\xfe,x\n")
    with pytest.raises(BadInput, match=r"crows_pairs_anonymized\.csv: not as published"):
        measure("crows_pairs", folder)


def test_answers_that_are_all_alike_are_no_certainty(folder):
    found = measure("bbq", folder, lambda pairs: [100.0 * (said.strip() == "Not known") for _, said in pairs])
    assert (found["s_dis"].value, found["s_dis"].low) == (0, None)


def test_a_missing_file_or_task_is_one_line(tmp_path, capsys):
    for name, complaint in (("crows_pair", "did you mean 'crows_pairs'?"), ("stereoset", "no folder")):
        assert cli.main(["evaluate", "x", "--tasks", name, "--benchmarks", str(tmp_path)]) == 2
        assert complaint in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"no crows_pairs_anonymized.csv"):
        benchmarks.measure("crows_pairs", tmp_path, random_score(), None)


def test_winobias_whose_sides_do_not_go_together_is_one_line(folder):
    for kind in (1, 2):
        path = folder / f"anti_stereotyped_type{kind}.txt.test"
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    with pytest.raises(BadInput, match="do not go together"):
        measure("winobias", folder)


def test_a_pointer_of_git_lfs_is_told_of(folder):
    (folder / "crows_pairs_anonymized.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(BadInput, match="only a pointer of Git LFS"):
        measure("crows_pairs", folder)


@pytest.fixture
def hub():
    pytest.importorskip("lm_eval", reason="the extra `benchmarks` is not installed")
    from vishwam.evaluation import hub

    return hub


def test_records_of_the_hub_are_those_of_the_files(hub, folder, monkeypatch):
    """The columns are those that the harness's own tasks read of the same copies."""
    with open(folder / "crows_pairs_anonymized.csv", encoding="utf-8", newline="") as file:
        crows = list(csv.DictReader(file))
    schemas = files.winogender(folder)
    sentences = [
        {"occupation": schema.occupation, "participant": f"p{i}", "label": 1, "gender": gender, "sentence": sentence}
        for i, schema in enumerate(schemas)
        for gender, sentence in zip(("male", "female", "neutral"), schema[1:4], strict=True)
    ]
    questions = [json.loads(line) for line in (folder / "Age.jsonl").read_text().splitlines()]
    held = {
        ("jannalu/crows_pairs_multilingual", "english"): crows,
        ("oskarvanderwal/winogender", "all"): sentences,
        ("oskarvanderwal/bbq", "All"): questions,
    }

    def load(path, name, split, revision=None):
        if path.endswith("winogender") and not revision:
            raise RuntimeError("Dataset scripts are no longer supported, but found winogender.py")
        return held[path, name]

    monkeypatch.setattr(hub.datasets, "load_dataset", load)
    assert hub.records("crows_pairs", folder) == files.crows_pairs(folder)
    assert hub.records("bbq", folder) == bbq.bbq(folder)
    found = hub.records("winogender", folder)
    assert all(math.isnan(one.women) for one in found)
    assert [one[:4] for one in found] == [one[:4] for one in schemas]
    ours, theirs = measure("winogender", folder, random_score()), measure("winogender", found, random_score())
    assert set(theirs) == {"female_preferred", "language"} and "share of women" in theirs["female_preferred"].note
    assert theirs["female_preferred"].value == ours["female_preferred"].value


def test_a_copy_that_changed_and_no_hub_are_one_line(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub.datasets, "load_dataset", lambda *_, **__: [{"sent_more": "a"}])
    with pytest.raises(BadInput, match=r"crows_pairs_multilingual on the Hugging Face hub: no 'sent_less' here"):
        hub.records("crows_pairs", tmp_path)

    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(hub.datasets, "load_dataset", unreachable)
    with pytest.raises(errors.BadInput, match=r"--tasks bbq: no folder .* github.com/nyu-mll/BBQ.*ConnectionError"):
        hub.records("bbq", tmp_path / "bbq")
