"""The completion of heka-raven for bash, from the command's own options. See docs/generate.py."""

COMPLETION = """\
# bash completion of heka-raven; written by docs/generate.py. pip installs it as
# share/bash-completion/completions/heka-raven.bash, where bash-completion finds it; else load it with `source`.

_heka_raven() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]-}} options
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "{commands} --help --version" -- "$word")
        return
    fi
    case "$command $before" in
{values}
    esac
    case $command in
{options}
        *) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}}
complete -o filenames -F _heka_raven heka-raven
"""


def completion(parsers, actions_of):
    """The script.

    Args:
        parsers: each command with its (argparse parser, text).
        actions_of: gives (action, metavar or None, help) of a parser.
    """
    options, values = [], []
    for name, (parser, _) in parsers.items():
        named = ["--help"]
        for action, metavar, _text in actions_of(parser):
            named += action.option_strings
            for option in action.option_strings:
                if metavar is None:
                    continue
                reply = 'compgen -f -- "$word"'
                if "|" in metavar:
                    reply = f'compgen -W "{metavar.replace("|", " ")}" -- "$word"'
                elif action.choices:
                    reply = f'compgen -W "{" ".join(map(str, action.choices))}" -- "$word"'
                elif "DIR" in metavar:
                    reply = 'compgen -d -- "$word"'
                elif "FILE" not in metavar and metavar != "PROGRAM":
                    reply = ""  # a number or a URL: nothing to offer
                values.append(
                    f'        "{name} {option}") '
                    + (f"mapfile -t COMPREPLY < <({reply}); return ;;" if reply else "return ;;")
                )
        options.append(f'        {name}) options="{" ".join(named)}" ;;')
    return COMPLETION.format(commands=" ".join(parsers), options="\n".join(options), values="\n".join(values))
