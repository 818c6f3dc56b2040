import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_pipelines import BadInput
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer, reverse_digit_runs

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_character_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def official(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@given(TEXT)
@example("é 12\u0663 ☃ <eos><pad>\n 0070")
def test_any_text_comes_back_with_either_order_of_digits(folder, text):
    for reverse in (False, True):
        tokenizer = load_tokenizer(folder, reverse)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(TEXT)
@example("<eos> and <pad> and <reserved_0> are text")
def test_table_gives_the_ids_of_autotokenizer(folder, official, text):
    assert load_tokenizer(folder).encode(text) == official.encode(
        text, add_special_tokens=False, split_special_tokens=True
    )


@given(st.lists(st.integers(0, 244)))
def test_table_decodes_as_autotokenizer_even_what_is_no_utf8(folder, official, ids):
    ours = load_tokenizer(folder)
    before_end = ids[: ids.index(ours.eos_id)] if ours.eos_id in ids else ids
    assert ours.decode(ids) == official.decode(before_end, skip_special_tokens=True)


def test_vocabulary(folder, official):
    tokenizer = load_tokenizer(folder)
    assert tokenizer.vocab_size == len(official) == 256
    assert (tokenizer.pad_id, tokenizer.eos_id) == (official.pad_token_id, official.eos_token_id)
    assert list(tokenizer.digit_token_ids) == [official.convert_tokens_to_ids(digit) for digit in "0123456789"]


def test_digits_stand_least_significant_first(folder):
    tokenizer = load_tokenizer(folder, reverse_digits=True)
    plain = load_tokenizer(folder, reverse_digits=False)
    assert plain.decode(tokenizer.encode("x=120+7.05")) == "x=021+7.50"
    assert reverse_digit_runs("x=120+7.05") == "x=021+7.50"


def test_saved_folder_records_the_order_of_digits(folder, tmp_path):
    from transformers import AutoTokenizer

    load_tokenizer(folder, reverse_digits=True).save(tmp_path / "saved")
    again = load_tokenizer(tmp_path / "saved")
    assert again.reverse_digits and again.decode(again.encode("12+34")) == "12+34"
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").encode("7") == [again.digit_token_ids[7]]
    with pytest.raises(BadInput, match="saved with reverse_digits=True"):
        load_tokenizer(tmp_path / "saved", reverse_digits=False)


def test_another_hugging_face_tokenizer(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate(["</s>", "[UNK]", "add", "to", "12", "21", "7"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="</s>", unk_token="[UNK]").save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path, reverse_digits=True)
    assert tokenizer.encode("add 12 to 7") == [2, 5, 3, 6]
    assert tokenizer.decode([2, 5, 3, 6, 0, 2]) == "add 12 to 7"
    assert tokenizer.pad_id == tokenizer.eos_id == 0
    assert tokenizer.digit_token_ids == ()
    tokenizer.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").encode("add 12 to 7") == [2, 5, 3, 6]


def test_missing_tokenizer_is_one_clear_line(tmp_path):
    with pytest.raises(BadInput, match="nowhere") as caught:
        load_tokenizer(tmp_path / "nowhere")
    assert "\n" not in str(caught.value)
