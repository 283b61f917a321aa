"""Model folders as commands use them: the default one, and the thresholds that were chosen for it."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "models" / "bikes"

# Template parameter by the member of metrics.json that holds its value.
_PARAMETERS = {"threshold": "Threshold", "familiarity_threshold": "FamiliarityThreshold"}

model_option = click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=DEFAULT_MODEL,
    metavar="DIR",
    help="Model folder, as `dropsort train` writes it.  [default: models/bikes]",
)


def thresholds(model: Path) -> dict[str, str]:
    """Template parameters with the thresholds of a model's metrics.json; those that it does not have stay as they are."""
    import json

    try:
        metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise click.ClickException(
            f"{model / 'metrics.json'} is not JSON ({error}): train the model again."
        ) from error
    return {
        parameter: str(metrics[name])
        for name, parameter in _PARAMETERS.items()
        if isinstance(metrics.get(name), int | float)
    }
