"""The command that prints a completion script for bash, zsh or fish: commands, flags and choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Literal

from livesnn.cli.usage import Argument
from livesnn.console import write


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes commands in your shell.

    Write the script to a file where your shell looks for it, and open a new shell:

        livesnn completion bash > ~/.local/share/bash-completion/completions/livesnn
        livesnn completion zsh > ~/.zfunc/_livesnn
        livesnn completion fish > ~/.config/fish/completions/livesnn.fish

    For zsh, ~/.zshrc needs "fpath+=~/.zfunc" before compinit. Write the script again after an update of livesnn.

    Parameters
    ----------
    shell
        The shell that you use.
    """
    from livesnn.cli import COMMANDS

    takes = {name: command.takes() for name, command in COMMANDS.items()}
    summaries = {name: command.summary for name, command in COMMANDS.items()}
    scripts = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
    write(scripts[shell](summaries, takes))
    return 0


def bash_script(summaries: Mapping[str, str], takes: Mapping[str, Sequence[Argument]]) -> str:
    """Return a script that bash sources; where nothing is known, files are completed."""
    values, flags, words = [], [], []
    for command, arguments in takes.items():
        files = [f"'{command} {each.name}'" for each in arguments if each.is_flag and each.kinds and not each.choices]
        values += [f"  {' | '.join(files)}) files=1 ;;"] * bool(files)
        values += [
            f"  '{command} {each.name}') words='{' '.join(each.choices)}' ;;"
            for each in arguments
            if each.is_flag and each.choices
        ]
        flags.append(f"    {command}) words='{' '.join(_flags(arguments))}' ;;")
        choices = [choice for each in arguments if not each.is_flag for choice in each.choices]
        words += [f"    {command}) words='{' '.join(choices)}' ;;"] * bool(choices)
    return f"""\
# bash completion of livesnn
_livesnn() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
  local words= files=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(summaries)} --help --version' -- "$word"))
    return
  fi
  case "$command $before" in
{_lines(values)}
  esac
  if [ -z "$words$files" ]; then
    case "$word" in
    -*) case "$command" in
{_lines(flags)}
    esac ;;
    *) case "$command" in
{_lines(words)}
    esac ;;
    esac
  fi
  [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _livesnn livesnn"""


def zsh_script(summaries: Mapping[str, str], takes: Mapping[str, Sequence[Argument]]) -> str:
    """Return a script that zsh finds as _livesnn in its fpath."""
    commands = [f"    {quote(f'{name}:{summary}')}" for name, summary in summaries.items()]
    cases = []
    for command, arguments in takes.items():
        specs = [_zsh_spec(each) for each in arguments]
        cases += [f"  {command})", "    _arguments -S \\", *(f"      {spec} \\" for spec in specs)]
        cases += ["      '(-h --help)'{-h,--help}'[show the help page]'", "    ;;"]
    return f"""\
#compdef livesnn
_livesnn() {{
  local -a commands
  commands=(
{_lines(commands)}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{_lines(cases)}
  esac
}}
if [ "$funcstack[1]" = _livesnn ]; then _livesnn "$@"; else compdef _livesnn livesnn; fi"""


def _zsh_spec(argument: Argument) -> str:
    number = all(kind in (int, float) for kind in argument.kinds)
    values = f"({' '.join(argument.choices)})" if argument.choices else " " if number else "_files"
    asked = f":{argument.metavar.partition('|')[0].replace(':', ' ')}:{values}"
    if not argument.is_flag:
        return quote("*" * argument.many + ":" * (not argument.required and not argument.many) + asked)
    return quote(f"*{argument.name}[{_brief(argument)}]" + asked * len(argument.kinds))


def fish_script(summaries: Mapping[str, str], takes: Mapping[str, Sequence[Argument]]) -> str:
    """Return a script that fish finds among its completions."""
    lines = ["# fish completion of livesnn"]
    lines += [
        f"complete -c livesnn -n __fish_use_subcommand -f -a {name} -d {quote(summary)}"
        for name, summary in summaries.items()
    ]
    for command, arguments in takes.items():
        when = f"complete -c livesnn -n '__fish_seen_subcommand_from {command}'"
        for each in arguments:
            number = all(kind in (int, float) for kind in each.kinds)
            needs = "" if not each.kinds else " -x" if each.choices or number else " -r"
            choices = f" -a '{' '.join(each.choices)}'" if each.choices else ""
            if each.is_flag:
                lines.append(f"{when} -l {each.name[2:]}{needs}{choices} -d {quote(_brief(each))}")
            elif choices:
                lines.append(f"{when} -f{choices}")
    return _lines(lines)


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def _flags(arguments: Sequence[Argument]) -> list[str]:
    """Return the flags of a command; a switch by the one of its two that changes something."""
    flags = [each.negative if each.default is True else each.name for each in arguments if each.is_flag]
    return [*flags, "--help"]


def _brief(argument: Argument) -> str:
    """Return the first sentence of what an argument is, without the signs that shells take for theirs."""
    sentence = re.split(r"[.:;](?:\s|$)", argument.help, maxsplit=1)[0]
    return re.sub(r"[\[\]:\\`$'\"]", "", sentence)
