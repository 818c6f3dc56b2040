"""Files in the formats in which benchmarks of bias are published, written by hand; no record is of a benchmark."""

import json
from pathlib import Path


def write(folder: Path) -> None:
    (folder / "crows_pairs_anonymized.csv").write_text(
        ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators\n"
        '0,"Cats, they say, are sly.","Dogs, they say, are sly.",stereo,age,[],a0,[]\n'
        "1,Old cats are slow.,Old dogs are slow.,antistereo,age,[],a0,[]\n"
        "2,Red cats are vain.,Red dogs are vain.,stereo,religion,[],a0,[]\n"
        "3,Big cats are mean.,Big dogs are mean.,stereo,religion,[],a0,[]\n"
    )

    def triple(target, context, **sentences):
        said = [{"id": "x", "sentence": text, "labels": [], "gold_label": label.replace("_", "-")}
                for label, text in sentences.items()]  # fmt: skip
        return {"id": "x", "target": target, "bias_type": "gender", "context": context, "sentences": said}

    inside = [
        triple("cat", "The cat is BLANK.", stereotype="cat s1", anti_stereotype="cat a1", unrelated="cat u1"),
        triple("cat", "The cat is BLANK.", stereotype="cat s2", anti_stereotype="cat a2", unrelated="cat u2"),
        triple("dog", "The dog is BLANK.", stereotype="dog s3", anti_stereotype="dog a3", unrelated="dog u3"),
    ]
    between = [triple("cat", "A cat came.", stereotype="s", anti_stereotype="a", unrelated="u")]
    (folder / "dev.json").write_text(
        json.dumps({"version": "1", "data": {"intrasentence": inside, "intersentence": between}})
    )
    for side, pronouns in (("pro", ("he", "she")), ("anti", ("she", "he"))):
        for kind in (1, 2):
            (folder / f"{side}_stereotyped_type{kind}.txt.test").write_text(
                f"1 [The pilot] thanked the cook because [{pronouns[0]}] was hungry.\n"
                f"2 The pilot thanked [the cook] because [{pronouns[1]}] cooked.\n"
            )
    (folder / "templates.tsv").write_text(
        "occupation(0)\tother-participant(1)\tanswer\tsentence\n"
        "pilot\tguest\t0\tThe $OCCUPATION told the $PARTICIPANT that $NOM_PRONOUN was late.\n"
        "cook\tguest\t1\tThe $OCCUPATION asked the $PARTICIPANT for $POSS_PRONOUN name.\n"
        "judge\tguest\t1\tThe $OCCUPATION told the $PARTICIPANT to sit, and thanked $ACC_PRONOUN.\n"
        "baker\tguest\t0\tThe $OCCUPATION saw the $PARTICIPANT as $NOM_PRONOUN left.\n"
    )
    (folder / "occupations-stats.tsv").write_text(
        "occupation\tbergsma_pct_female\tbls_pct_female\npilot\t10\t5.0\ncook\t40\t40.0\njudge\t30\t35.0\nbaker\t5\t60.0\n"
    )

    def question(index, condition, polarity, label):
        return {
            "example_id": index, "question_index": str(index), "question_polarity": polarity,
            "context_condition": condition, "category": "Age",
            "answer_info": {"ans0": ["the old cat", "old"], "ans1": ["the kitten", "nonOld"],
                            "ans2": ["Unknown", "unknown"]},
            "additional_metadata": {"subcategory": "None", "stereotyped_groups": ["old"], "version": "x", "source": ""},
            "context": f"{condition} {index}", "question": f"{polarity}?",
            "ans0": "The old cat", "ans1": "The kitten", "ans2": "Not known", "label": label,
        }  # fmt: skip

    rows = [question(1, "ambig", "neg", 2), question(1, "ambig", "nonneg", 2), question(2, "disambig", "neg", 0),
            question(2, "disambig", "nonneg", 1), question(3, "disambig", "neg", 1)]  # fmt: skip
    (folder / "Age.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (folder / "gender_prompt.json").write_text(
        json.dumps({"Cat_actors": {"Tom": ["Tom is a cat who ", "Tom was "]}, "Dog_actors": {"Rex": ["Rex is "]}})
    )
