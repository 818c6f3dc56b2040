import argparse
import re
import textwrap
from pathlib import Path

from data_pipelines.modular_math import QuestionSource, command, modules, registry, table


def test_the_table_in_the_package_is_up_to_date():
    path = Path(table.__file__).with_name("MODULES.md")
    assert path.read_text() == table.markdown(), "run: python -m data_pipelines.modular_math.table > " + path.name


def test_every_module_says_what_it_asks_and_what_lies_beyond():
    rows = [line for line in table.markdown().splitlines() if line.startswith("| `")]
    assert len(rows) == len(registry.names())
    for name, row in zip(registry.names(), rows, strict=True):
        module = registry.find(name)
        cells = row.split(" | ")
        assert len(cells) == 7 and cells[0] == f"| `{name}`" and len(cells[1]) > 15
        assert bool(cells[5]) == bool(module.extrapolate) == bool(module.beyond[1])


def test_the_gin_file_of_the_paper_lists_its_modules():
    text = (Path(__file__).parents[3] / "gin/data/saxton.gin").read_text()
    assert tuple(re.findall(r"'(\w+__\w+)'", text)) == registry.saxton()


def test_a_module_is_a_decorated_function_as_the_package_says(monkeypatch, capsys):
    monkeypatch.setattr(registry, "_MODULES", dict(registry._MODULES))
    example = textwrap.dedent("\n".join(line for line in modules.__doc__.splitlines() if line.startswith("    ")))
    exec(example, {})
    alone, composed = (
        QuestionSource((name,), "interpolate", 0)[3] for name in ("numbers__double", "numbers__double_composed")
    )
    assert alone.question == f"What is twice {int(alone.answer) // 2}?"
    assert composed.question.startswith(("Let ", "Suppose ")) and " What is twice " in composed.question

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--table"])) == 0
    assert "| `numbers__double` | Twice an integer | 1 | 3 to 10 | 8 |  | digits |" in capsys.readouterr().out
    assert command.run(parser.parse_args(["--module", "numbers__double", "--count", "2"])) == 0
    assert capsys.readouterr().out.count("What is twice ") == 2
