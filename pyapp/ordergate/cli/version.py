"""`ordergate version`."""

import platform

import click

import ordergate


@click.command()
def version() -> None:
    """Show the version of ordergate and of its compiled core."""
    try:
        from ordergate import _core

        core = f"{_core.BUILD_PROFILE} build, fold version {_core.FOLD_VERSION}"
    except ImportError as error:
        core = f"not usable: {error}"
    click.echo(f"ordergate {ordergate.__version__}\ncore: {core}\nPython {platform.python_version()}")
