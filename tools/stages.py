"""The staging of the phases: a real file is a phase's lesson, a link is what was built before.

    python3 -m tools.stages check
    python3 -m tools.stages export 4 /tmp/my-copy
"""

import filecmp
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from tools.workbook import NO_LINKS, ROOT, has_links

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def phase_directories(root: Path) -> list[Path]:
    """phase0_hello … phase5_tls, in their order."""
    return sorted(path for path in root.glob("phase[0-9]_*") if path.is_dir())


def sources(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in (".hpp", ".cpp"))


def link_problems(path: Path, directories: list[Path], before: dict[str, Path]) -> Iterator[str]:
    target = path.parent / path.readlink()
    if path.readlink().is_absolute():
        yield "the link is absolute"
    if not target.exists():
        yield "the link dangles"
        return
    if target.is_symlink():
        yield "the link leads to a link, not to the phase that taught the file"
    home = target.parent.resolve()
    if home not in [directory.resolve() for directory in directories]:
        yield "the link leads out of the phases before"
    if target.name != path.name:
        yield "the link leads to a file of another name"
    if path.name in before and before[path.name].resolve() != target.resolve():
        yield "the link leads to a file that a later phase replaced"
    if path.name not in before:
        yield "the phase before does not have this file"


def include_problems(path: Path) -> Iterator[str]:
    """An include is from the file's own directory or from common/; common/ includes no phase."""
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        from_common = name.startswith("common/") and (path.parent.parent / name).exists()
        own = "/" not in name and (path.parent / name).exists()
        if not (from_common or (own and path.parent.name != "common")):
            yield f'it includes "{name}"'


def problems(root: Path) -> Iterator[str]:
    """Everything that breaks the staging rule, one line each."""
    directories = phase_directories(root)
    before: dict[str, Path] = {}
    for index, directory in enumerate(directories):
        here = sources(directory)
        for path in here:
            if path.is_symlink():
                found = list(link_problems(path, directories[:index], before))
            else:
                found = []
                same = path.name in before and filecmp.cmp(path, before[path.name], shallow=False)
                if same:
                    found.append("a real file, identical to the one that it could link to")
            if path.exists():
                found += include_problems(path)
            yield from (f"{path.relative_to(root)}: {text}" for text in found)
        before = {path.name: path for path in here if path.exists()}
    for path in sources(root / "common"):
        yield from (f"{path.relative_to(root)}: {text}" for text in include_problems(path))


@click.group()
def main() -> None:
    """The staging of the phases."""


@main.command()
def check() -> None:
    """Prove the staging rule; list what breaks it."""
    if not has_links():
        raise click.ClickException(NO_LINKS)
    found = list(problems(ROOT))
    for line in found:
        click.echo(line, err=True)
    if found:
        raise SystemExit(1)
    count = sum(path.is_symlink() for d in phase_directories(ROOT) for path in sources(d))
    click.echo(f"stages: {count} links, each to the phase that taught the file")


@main.command()
@click.argument("phase", type=click.IntRange(0, 5))
@click.argument("target", type=click.Path(path_type=Path))
def export(phase: int, target: Path) -> None:
    """Lay PHASE and common/ out in TARGET as plain files that build by themselves."""
    if target.exists() and any(target.iterdir()):
        raise click.ClickException(f"{target} is not empty")
    (directory,) = (path for path in phase_directories(ROOT) if path.name[5] == str(phase))
    for source in (directory, ROOT / "common", ROOT / "vectors"):
        shutil.copytree(source, target / source.name, symlinks=False, dirs_exist_ok=True)
    shutil.copy(ROOT / "Makefile", target)
    click.echo(f"cd {shlex.quote(str(target))} && make phase{phase} && ./phase{phase}")


if __name__ == "__main__":
    main()
