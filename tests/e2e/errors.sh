# Shared by the tests of errors, sourced after common.sh: each error alone and on two ranks, where one message must come, not two, and every
# rank must have ended within E2E_LIMIT seconds.
E2E_LIMIT=${E2E_ERROR_LIMIT:-20}

# The same command as one process and on two ranks ends with this code and says these texts.
both() { # CODE "TEXT|TEXT..." ARGUMENT...
    local code=$1 texts=$2 n
    shift 2
    for n in 1 2; do
        expect_code "$code" entrain_on $n "$@" || continue
        expect_texts "$texts"
        [ "$code" = 2 ] || same_text "messages on $n ranks ($*)" 1 "$(grep -c 'entrain: ' "$output")"
    done
}

expect_texts() { # "TEXT|TEXT..."
    local list
    IFS='|' read -ra list <<<"$1"
    [ "${#list[@]}" -eq 0 ] || expect_text "${list[@]}"
}

# A fresh copy of shards to spoil.
spoil() { # FOLDER
    rm -rf "$work/spoilt"
    cp -r "$1" "$work/spoilt"
}

shards() { "$PYTHON" "$here/shards.py" "$@" || give_up "cannot change the shards: $*"; }

cut_off() { # FILE PERCENT
    truncate -s $(($(stat -c %s "$1") * $2 / 100)) "$1" || give_up "cannot cut off $1"
}
