from data_pipelines.modular_math.source import Question
from vishwam.evaluation.exact_match import exact_match, pooled


def ask(*pairs):
    answers = {question: said for question, _, said in pairs}
    questions = [Question("m", question, answer, i) for i, (question, answer, _) in enumerate(pairs)]
    return exact_match(lambda texts: [answers[text] for text in texts], questions)


def test_character_for_character():
    result = ask(("1+1", "2", "2"), ("2+2", "4", "4 "), ("3+3", "6", "06"), ("4+4", "8", "8.0"), ("5+5", "10", ""))
    assert (result.correct, result.count, result.value) == (1, 5, 0.2)
    assert result.samples[1].prediction == "4 "


def test_pooled_counts_questions_not_sets():
    whole = pooled([ask(("a", "1", "1")), ask(("b", "1", "0"), ("c", "1", "0"), ("d", "1", "1"))])
    assert (whole.correct, whole.count) == (2, 4)
