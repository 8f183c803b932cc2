# bash completion of heka-raven; written by docs/generate.py. pip installs it as
# share/bash-completion/completions/heka-raven.bash, where bash-completion finds it; else load it with `source`.

_heka_raven() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]-} options
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "test run send status retry-dead decode build-plugin plugin-path uwsgi relay top watch tail mcp inbox --help --version" -- "$word")
        return
    fi
    case "$command $before" in
        "test --message") return ;;
        "test --protocol") mapfile -t COMPREPLY < <(compgen -W "7 3" -- "$word"); return ;;
        "test --api") mapfile -t COMPREPLY < <(compgen -W "envelope store" -- "$word"); return ;;
        "test --app") return ;;
        "test --url") return ;;
        "test --timeout") return ;;
        "test --connect-timeout") return ;;
        "test --proxy") return ;;
        "test --ca-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "test --compress") mapfile -t COMPREPLY < <(compgen -W "none gzip" -- "$word"); return ;;
        "run --dsn") return ;;
        "run --name") return ;;
        "run --lines") return ;;
        "run --release") return ;;
        "run --environment") return ;;
        "run --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "send --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "send --connections") return ;;
        "send --connect-timeout") return ;;
        "send --timeout") return ;;
        "send --max-age") return ;;
        "send --rate-limit") mapfile -t COMPREPLY < <(compgen -W "hold discard" -- "$word"); return ;;
        "send --compress") mapfile -t COMPREPLY < <(compgen -W "none gzip" -- "$word"); return ;;
        "send --proxy") return ;;
        "send --ca-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "send --config") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "send --to") return ;;
        "send --queue") return ;;
        "send --heartbeat") return ;;
        "send --amqp-ca-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "send --amqp-cert-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "status --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "status --watch") return ;;
        "retry-dead --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "decode --format") mapfile -t COMPREPLY < <(compgen -W "auto heka raven envelope" -- "$word"); return ;;
        "build-plugin --uwsgi") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "build-plugin --output") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "build-plugin --sources") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "plugin-path --uwsgi") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "relay --config") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "relay --listen") return ;;
        "relay --dsn") return ;;
        "relay --signer") return ;;
        "relay --signer-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "relay --forward") return ;;
        "relay --legacy") mapfile -t COMPREPLY < <(compgen -W "event raven" -- "$word"); return ;;
        "relay --max-connections") return ;;
        "relay --max-record-time") return ;;
        "relay --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "relay --durability") mapfile -t COMPREPLY < <(compgen -W "process power" -- "$word"); return ;;
        "relay --max-bytes") return ;;
        "relay --max-count") return ;;
        "relay --sender") mapfile -t COMPREPLY < <(compgen -W "thread off" -- "$word"); return ;;
        "relay --connections") return ;;
        "relay --connect-timeout") return ;;
        "relay --timeout") return ;;
        "relay --max-age") return ;;
        "relay --rate-limit") mapfile -t COMPREPLY < <(compgen -W "hold discard" -- "$word"); return ;;
        "relay --compress") mapfile -t COMPREPLY < <(compgen -W "none gzip" -- "$word"); return ;;
        "relay --proxy") return ;;
        "relay --ca-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "relay --from") return ;;
        "relay --queue") return ;;
        "relay --heartbeat") return ;;
        "relay --amqp-ca-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "relay --amqp-cert-file") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "relay --prefetch") return ;;
        "top --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "top --interval") return ;;
        "watch --pid") return ;;
        "watch --slow") return ;;
        "watch --dsn") return ;;
        "watch --release") return ;;
        "watch --environment") return ;;
        "watch --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "tail --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "tail --token") return ;;
        "tail --level") mapfile -t COMPREPLY < <(compgen -W "debug info warning error fatal" -- "$word"); return ;;
        "tail --grep") return ;;
        "mcp --db") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "mcp --spool") mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        "inbox --config") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "inbox --listen") return ;;
        "inbox --db") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "inbox --keep") return ;;
        "inbox --token") return ;;
        "inbox --key") return ;;
        "inbox --allow-host") return ;;
        "inbox --project") return ;;
        "inbox --editor") return ;;
        "inbox --source") return ;;
        "inbox --udp") return ;;
        "inbox --rate-limit") return ;;
        "inbox --max-event") return ;;
        "inbox --notify") return ;;
        "inbox --notify-on") return ;;
        "inbox --notify-level") mapfile -t COMPREPLY < <(compgen -W "fatal error warning info debug" -- "$word"); return ;;
        "inbox --quiet-hours") return ;;
        "inbox --url") return ;;
        "inbox --import") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        "inbox --export") mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    esac
    case $command in
        test) options="--help --message --protocol --api --no-verify --app --url --timeout --connect-timeout --proxy --ca-file --compress" ;;
        run) options="--help --dsn --name --lines --release --environment --spool" ;;
        send) options="--help --spool --once --connections --connect-timeout --timeout --max-age --rate-limit --compress --proxy --ca-file --config --to --queue --declare --no-declare --heartbeat --amqp-ca-file --amqp-cert-file --send-secret" ;;
        status) options="--help --spool --json --watch" ;;
        retry-dead) options="--help --spool --list" ;;
        decode) options="--help --format --unpack" ;;
        build-plugin) options="--help --uwsgi --output --sources" ;;
        plugin-path) options="--help --uwsgi" ;;
        uwsgi) options="--help" ;;
        relay) options="--help --config --listen --dsn --signer --signer-file --allow-unsigned --no-allow-unsigned --forward --legacy --max-connections --max-record-time --spool --durability --max-bytes --max-count --sender --connections --connect-timeout --timeout --max-age --rate-limit --compress --proxy --ca-file --from --queue --declare --no-declare --heartbeat --amqp-ca-file --amqp-cert-file --prefetch" ;;
        top) options="--help --spool --once --json --interval" ;;
        watch) options="--help --pid --slow --dsn --values --release --environment --spool" ;;
        tail) options="--help --spool --token --json --level --grep --once" ;;
        mcp) options="--help --db --spool" ;;
        inbox) options="--help --config --listen --db --keep --token --key --allow-host --project --editor --source --udp --rate-limit --max-event --notify --notify-on --notify-level --quiet-hours --url --notify-test --import --export" ;;
        *) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _heka_raven heka-raven
