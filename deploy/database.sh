# Sourced by backup.sh, restore.sh and recover.sh: where the service's database is, in libpq's words.
# shellcheck shell=sh disable=SC2034

give_up() {
    printf '%s\n' "$*" >&2
    exit 1
}

# numbers_to_skip: how many, as the environment says.
numbers_to_skip() {
    skip=${AQUA_SKIP_NUMBERS:-1000000}
    case $skip in
    '' | *[!0-9]* | ??????????*) give_up "AQUA_SKIP_NUMBERS is to be a number up to 999999999" ;;
    esac
    echo "$skip"
}

# skip_numbers N: SQL that moves every counter on by N; by half of what is left where that is less than twice as many.
skip_numbers() {
    echo "UPDATE number_counter SET next = next + least($1, (2147483648 - next) / 2);"
}

# program NAME: its path; for a private cluster that of the cluster's own version.
program() {
    if [ -n "${AQUA_POSTGRES_BIN:-}" ]; then
        echo "$AQUA_POSTGRES_BIN/$1"
    elif [ -n "${major:-}" ] && [ -x "/usr/lib/postgresql/$major/bin/$1" ]; then
        echo "/usr/lib/postgresql/$major/bin/$1"
    else
        command -v "$1" || give_up "$1 is missing: install PostgreSQL's client programs (Debian: postgresql-client)"
    fi
}

# decoded TEXT: without its percent escapes.
decoded() {
    text=$1
    out=
    while [ -n "$text" ]; do
        rest=${text#?}
        case $text in
        %[0-9A-Fa-f][0-9A-Fa-f]*)
            rest=${text#???}
            hex=${text%"$rest"}
            out=$out\\0$(printf %03o "0x${hex#%}")
            ;;
        \\*) out=$out\\\\ ;;
        *) out=$out${text%"$rest"} ;;
        esac
        text=$rest
    done
    printf %b "$out"
}

# take_password: from `url`, where every program that gets it would show it to everybody on this machine (`ps`), into the
# environment.
take_password() {
    case $url in
    postgres://* | postgresql://*) ;;
    *) give_up "the database's URL does not begin with postgres://" ;;
    esac
    rest=${url#*://}
    authority=${rest%%[/?]*}
    rest=${rest#"$authority"}
    case ${rest%%\?*} in
    *@*) give_up "in the database's URL some character of the password must be percent-encoded (/ is %2F, ? is %3F)" ;;
    esac
    user=${authority%@*}
    case $authority in
    *:*@*)
        PGPASSWORD=$(decoded "${user#*:}")
        export PGPASSWORD
        authority=${user%%:*}@${authority##*@}
        ;;
    esac
    parameters=
    case $rest in
    *\?*) parameters=${rest#*\?}\& ;;
    esac
    url=${url%%://*}://$authority${rest%%\?*}
    between=\?
    while [ -n "$parameters" ]; do
        parameter=${parameters%%&*}
        parameters=${parameters#*&}
        case $(decoded "${parameter%%=*}") in
        password)
            PGPASSWORD=$(decoded "${parameter#*=}")
            export PGPASSWORD
            ;;
        sslpassword) give_up "sslpassword in the database's URL would stand on command lines: use a key without a password" ;;
        *)
            url=$url$between$parameter
            between=\&
            ;;
        esac
    done
}

# find_database: sets `database`, and `superuser` for what takes more than the database's owner.
find_database() {
    url=${DATABASE_URL:-}
    if [ -z "$url" ] && [ -n "${DATABASE_URL_FILE:-}" ]; then
        [ -r "$DATABASE_URL_FILE" ] || give_up "cannot read $DATABASE_URL_FILE (DATABASE_URL_FILE)"
        url=$(head -n 1 "$DATABASE_URL_FILE" | tr -d '[:space:]')
    fi
    if [ -n "$url" ]; then
        take_password
        # Of several servers the one that the service writes to.
        PGTARGETSESSIONATTRS=${PGTARGETSESSIONATTRS:-read-write}
        export PGTARGETSESSIONATTRS
        database=$url
        superuser=$url
        return
    fi
    data=${AQUA_DATA_DIR:-data/postgres}
    [ -r "$data/PG_VERSION" ] || give_up "no DATABASE_URL, and no private cluster that we may read in $data (AQUA_DATA_DIR)"
    major=$(cat "$data/PG_VERSION")
    [ -r "$data/postmaster.pid" ] || give_up "the private cluster in $data does not run: start the service first"
    # Written there by PostgreSQL; relative to its folder where it is no whole path.
    socket=$(sed -n 5p "$data/postmaster.pid")
    case $socket in
    /*) ;;
    *) socket=$(cd "$data" && cd "$socket" && pwd) ;;
    esac
    PGHOST=$socket PGPORT=5432
    export PGHOST PGPORT
    superuser="dbname=postgres user=postgres"
    database="dbname=aqua_orders user=aqua_orders"
}
