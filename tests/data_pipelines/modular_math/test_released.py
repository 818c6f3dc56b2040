import pytest

from data_pipelines import BadInput
from data_pipelines.modular_math import ModularMath, registry, released
from tests.data_pipelines.modular_math.solve import agrees


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files in the released format, three questions each, made by our own generator."""
    folder = tmp_path_factory.mktemp("released")
    math = ModularMath(registry.saxton(), seed=3)
    for split in ("interpolate", "extrapolate"):
        (folder / split).mkdir()
        for name, source in math.sets(split).items():
            asked = [source[index] for index in range(3)]
            text = "".join(f"{question.question}\n{question.answer}\n" for question in asked)
            (folder / split / f"{name}.txt").write_text(text)
    return folder


def test_the_files_are_read_as_they_were_written(folder):
    math = ModularMath(registry.saxton(), seed=3)
    for split, count in (("interpolate", 56), ("extrapolate", 15)):
        read = released.sets(folder, split)
        assert len(read) == count and list(read) == sorted(math.sets(split))
        for name, source in math.sets(split).items():
            assert len(read[name]) == 3
            for index in range(3):
                assert read[name][index] == source[index]._replace(module=name)
                assert agrees(read[name][index].question, read[name][index].answer)
    with pytest.raises(IndexError):
        read[name][3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("What is 1 + 1?\n2\nWhat is 2 + 2?\n", r"x\.txt:3: a question without an answer"),
        ("What is 1 + 1?\n\n", r"x\.txt:2: empty"),
        (b"\xff\xfe", r"x\.txt: not a text file"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "x.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=message):
        released.ReleasedSet(tmp_path / "x.txt")


def test_a_wrong_folder_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"interpolate: no \.txt files"):
        released.sets(tmp_path, "interpolate")
    with pytest.raises(BadInput, match="not 'train'"):
        released.sets(tmp_path, "train")
    with pytest.raises(BadInput, match=r"gone\.txt: No such file"):
        released.ReleasedSet(tmp_path / "gone.txt")
