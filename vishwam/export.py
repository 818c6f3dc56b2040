"""`vishwam export CHECKPOINT FOLDER`: a checkpoint as a folder that Hugging Face's transformers loads."""

from collections.abc import Callable
from pathlib import Path

from vishwam import stored
from vishwam.errors import BadInput
from vishwam.evaluate import say


def run(checkpoint: str, folder: Path, dtype: str, connect: Callable[[], None]) -> int:
    """Writes the averaged weights, `config.json` and the tokeniser.

    Raises:
        BadInput: there is no such checkpoint, no family of transformers has its ingredients, or the folder is in use.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: is there already and not an empty folder")
    suite, params = stored.find(checkpoint, connect, say).open()

    from flax import nnx

    from vishwam.model import pretrained

    config = nnx.merge(suite.graphdef, params).config
    pretrained.save(folder, config, params, eos_id=suite.tokenizer.eos_id, dtype=dtype)
    suite.tokenizer.save(folder)
    if suite.tokenizer.reverse_digits:
        say("its numbers stand last digit first: reverse them in what it reads and in what it writes")
    print(folder)
    return 0
