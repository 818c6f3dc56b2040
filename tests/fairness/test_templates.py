import pytest

from vishwam.fairness.templates import AXES, MEASURE, MITIGATE, sentence


@pytest.mark.parametrize("template", [*MEASURE, *MITIGATE])
def test_a_template_names_the_group_once_and_before_the_trait(template):
    assert template.count("{Who}") + template.count("{who}") == 1 == template.count("{trait}")
    assert template.lower().index("{who}") < template.index("{trait}")


def test_a_sentence_is_parted_behind_the_group():
    assert sentence("Everyone knows that {who} is {trait}.", "the man", "a nurse") == (
        "Everyone knows that the man",
        " is a nurse.",
    )
    assert sentence("{Who} is {trait}.", "the man", "a nurse") == ("The man", " is a nurse.")


@pytest.mark.parametrize("name", AXES)
def test_an_axis_is_sound(name):
    axis = AXES[name]
    variants = [len(words) for words in axis.groups.values()]
    assert len(axis.groups) > 1 and len(set(variants)) == 1
    assert len({word for words in axis.groups.values() for word in words}) == sum(variants), "no word for two groups"
    for stereotype in (*axis.measure, *axis.mitigate):
        assert stereotype.group in axis.groups
        assert stereotype.trait != stereotype.counterpart


def test_what_is_measured_with_is_held_out_from_what_is_mitigated_with():
    for axis in AXES.values():
        measured, mitigated = (
            {trait for stereotype in of for trait in (stereotype.trait, stereotype.counterpart)}
            for of in (axis.measure, axis.mitigate)
        )
        assert not measured & mitigated

    def runs(templates, n=3):
        words = [template.lower().replace(".", "").split() for template in templates]
        return {tuple(text[i : i + n]) for text in words for i in range(len(text) - n + 1)}

    assert not runs(MEASURE) & runs(MITIGATE), "three words in a row"
