# Bash completion for mstored and mstore-dump: source this file.
_mstored() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --data) COMPREPLY=($(compgen -d -- "$cur")) ;;
    --config) COMPREPLY=($(compgen -f -- "$cur")) ;;
    --durability) COMPREPLY=($(compgen -W "sync crash" -- "$cur")) ;;
    --log-level) COMPREPLY=($(compgen -W "debug info warn error" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "$(mstored --help | grep -o -- '--[a-z-]*' | sort -u)" -- "$cur")) ;;
    esac
}
_mstore_dump() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$prev" = --s3-style ]; then
        COMPREPLY=($(compgen -W "auto path host" -- "$cur"))
    elif [ "$prev" = --what ]; then
        COMPREPLY=($(compgen -W "entries spans all" -- "$cur"))
    elif [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "inspect cat query export trace stats bundle backup restore verify rebuild --help --version" -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "--json --query --from --to --step --limit --forward --explain --tenant --format --out --what --trace --copy --deep --quiet --s3 --s3-region --s3-credentials --s3-style --help" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -F _mstored mstored
complete -F _mstore_dump mstore-dump
