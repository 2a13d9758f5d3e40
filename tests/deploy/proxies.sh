#!/bin/sh
# tests/deploy/proxies.sh PROGRAM: tries deploy/nginx.conf and deploy/Caddyfile as they stand, before a service of its own
# (PROGRAM, an aqua-orders) on a private PostgreSQL, all in a temporary folder and on free ports of 127.0.0.1. A line for
# each check; the exit code says whether all held.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/scripts/ensure.sh"

[ $# -eq 1 ] && [ -x "$1" ] || { say "usage: tests/deploy/proxies.sh PROGRAM (such as target/debug/aqua-orders)"; exit 2; }
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

ensure_postgres
command -v curl >/dev/null || install curl
command -v openssl >/dev/null || install openssl
# nginx is in /usr/sbin, where an ordinary user does not look.
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || install_programs nginx
command -v caddy >/dev/null || install_programs caddy

# In /tmp whatever TMPDIR says: a socket's path must be short, and PostgreSQL's user must get there.
folder=$(mktemp -d /tmp/aqua-proxies-XXXXXX)
chmod 755 "$folder"
pids=
finish() {
    trap '' HUP INT TERM
    # A stopped server does not hear SIGTERM.
    # shellcheck disable=SC2046
    kill -CONT $(postgres_pids) 2>/dev/null || true
    for pid in $pids; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# The private PostgreSQL's postmaster and its children.
postgres_pids() {
    postmaster=$(head -n 1 "$folder"/postgres/postmaster.pid "$folder"/postgres/*/postmaster.pid 2>/dev/null |
        sed -n '/^[0-9][0-9]*$/{p;q;}')
    [ -n "$postmaster" ] || return 0
    echo "$postmaster"
    sed -n "s/^\([0-9]*\) (.*) [A-Z] $postmaster .*/\1/p" /proc/[0-9]*/stat 2>/dev/null || true
}

failed=
# check WHAT COMMAND…
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok      $through: $what"
    else
        echo "FAILED  $through: $what"
        failed=1
        [ ! -f "$folder/headers" ] || sed 's/^/            /' "$folder/headers"
    fi
}

# shellcheck disable=SC2046
set -- $(free_ports 3)
service_port=$1 nginx_port=$2 caddy_port=$3
name=orders.example.ru
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null

# ---- the service ----

# Short times, so that a database that hangs is a 503 soon.
cat >"$folder/aqua-orders.toml" <<SETTINGS
listen = "127.0.0.1:$service_port"
[database]
data_dir = "$folder/postgres"
statement_timeout = 1
lock_timeout = 1
[times]
answer = 4
[[publication]]
name = "open"
anonymous = true
anonymous_from_anywhere = true
[[publication]]
name = "демо"
users = [{ login = "сайт", password_hash = "$(printf 'пароль' | "$program" hash-password)" }]
[[publication]]
name = "near"
anonymous = true
allow_from = ["127.0.0.2"]
SETTINGS
# A program from before this setting cannot know the sender's address behind a proxy.
trusts=
printf 'trusted_proxies = ["127.0.0.1"]\n' | cat - "$folder/aqua-orders.toml" >"$folder/trusting.toml"
if env -u DATABASE_URL -u AQUA_LISTEN "$program" check --config "$folder/trusting.toml" >/dev/null 2>&1; then
    trusts=1
    mv "$folder/trusting.toml" "$folder/aqua-orders.toml"
fi
env -u DATABASE_URL -u DATABASE_URL_FILE -u AQUA_LISTEN -u AQUA_DATA_DIR \
    AQUA_OPERATOR_LISTEN=off "$program" serve --config "$folder/aqua-orders.toml" >"$folder/service.log" 2>&1 &
pids=$!

# ---- the proxies: the committed files, with ports and certificate of ours ----

here_is="s|127\.0\.0\.1:8888|127.0.0.1:$service_port|; s|/etc/ssl/orders\.example\.ru|$folder|g"
sed "$here_is; s|listen 443 ssl|listen 127.0.0.1:$nginx_port ssl|" "$here/deploy/nginx.conf" >"$folder/site.conf"
{
    [ "$(id -u)" -ne 0 ] || echo "user $(postgres_user);"
    cat <<NGINX
daemon off;
pid $folder/nginx.pid;
error_log $folder/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $folder/nginx-body;
    proxy_temp_path       $folder/nginx-proxy;
    fastcgi_temp_path     $folder/nginx-fastcgi;
    uwsgi_temp_path       $folder/nginx-uwsgi;
    scgi_temp_path        $folder/nginx-scgi;
    include $folder/site.conf;
}
NGINX
} >"$folder/nginx.conf"
nginx -p "$folder" -c "$folder/nginx.conf" 2>>"$folder/nginx.log" &
pids="$! $pids"

sed "$here_is; s|^orders\.example\.ru {|$name:$caddy_port {\n\tbind 127.0.0.1|; s|^{|{\n\tadmin off|" \
    "$here/deploy/Caddyfile" >"$folder/Caddyfile"
case $(caddy version) in
2.[0-5].* | 2.6.[0-2]) ;;
*) sed -i '/^\t*buffer_requests$/d; s/^\(\t*\)max_buffer_size /\1request_buffers /' "$folder/Caddyfile" ;;
esac
env HOME="$folder" XDG_DATA_HOME="$folder" XDG_CONFIG_HOME="$folder" \
    caddy run --config "$folder/Caddyfile" --adapter caddyfile 2>"$folder/caddy.log" &
pids="$! $pids"

# ---- the checks ----

# call URL-PATH CURL-ARGUMENT…: the status is printed; headers and body are left in files.
call() {
    path=$1
    shift
    curl -sS --noproxy '*' --max-time 90 --cacert "$folder/fullchain.pem" --resolve "$name:$port:127.0.0.1" \
        -D "$folder/raw-headers" -o "$folder/body" -w '%{http_code}' "$@" "$base/$path/hs/AquaDeliveri/getOrdersURL" \
        >"$folder/status" 2>"$folder/curl.log" || cat "$folder/curl.log" >&2
    tr -d '\r' <"$folder/raw-headers" >"$folder/headers"
    cat "$folder/status"
}
example=$here/tests/data/example-request.json
post() { path=$1; shift; call "$path" --data-binary "@$example" "$@"; }
answers() { status=$1; shift; [ "$("$@")" = "$status" ]; }
same() { cmp -s "$folder/body" "$folder/expected"; }
has() { grep -qiE "^$1\$" "$folder/headers"; }
says() { grep -qF "$1" "$folder/body"; }
# Not just there: the service answers 503 until its database is ready.
up() { [ "$(post open 2>/dev/null)" = 200 ]; }
wait_up() {
    for _ in $(seq 300); do
        if up; then return; fi
        sleep 0.2
    done
    cat "$folder/service.log" "$folder/nginx.log" "$folder/caddy.log" >&2
    give_up "$through does not answer"
}

demo=%D0%B4%D0%B5%D0%BC%D0%BE
user='сайт:пароль'
gzip -c "$example" >"$folder/example.gz"
# 17 MiB, a valid array but for its size.
{ printf '["'; head -c 17825792 /dev/zero | tr '\0' x; printf '"]'; } >"$folder/large.json"

through=direct port=$service_port base=http://127.0.0.1:$service_port
wait_up
check "the example is taken" answers 200 post open
cp "$folder/body" "$folder/expected"

for through in nginx caddy; do
    case $through in nginx) port=$nginx_port ;; caddy) port=$caddy_port ;; esac
    base=https://$name:$port
    wait_up
    check "the example is answered 200" answers 200 post open
    check "… to the byte as without a proxy" same
    check "… with an X-Request-Id" has "x-request-id: .+"
    check "the sender's X-Request-Id comes back" answers 200 post open -H 'X-Request-Id: site-42'
    check "… as it was" has "x-request-id: site-42"
    check "a chunked body after Expect: 100-continue" \
        answers 200 post open -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue'
    check "… is answered the same" same
    check "a gzip body" answers 200 call open -H 'Content-Encoding: gzip' --data-binary "@$folder/example.gz"
    check "… is answered the same, and not compressed unasked" same
    check "a compressed answer" answers 200 post open -H 'Accept-Encoding: gzip'
    check "… is labelled so" has "content-encoding: gzip"
    gzip -dc <"$folder/body" >"$folder/plain" && mv "$folder/plain" "$folder/body"
    check "… and is the same" same
    check "HTTP/1.0" answers 200 post open --http1.0 --no-alpn
    check "a Cyrillic publication without a login: 401" answers 401 post $demo
    check "… asks for Basic" has 'www-authenticate: Basic realm=".*", charset="UTF-8"'
    check "… in JSON" says '"unauthorized"'
    check "a Cyrillic publication with login and password" answers 200 post $demo -u "$user"
    check "17 MiB: 413" answers 413 call open --data-binary "@$folder/large.json"
    check "… in the service's words" says '"body_too_large"'
    check "17 MiB, chunked: 413" answers 413 call open --data-binary "@$folder/large.json" -H 'Transfer-Encoding: chunked'
    check "… in the service's words" says '"body_too_large"'
    check "GET: 405" answers 405 call open
    check "… with Allow" has "allow: POST"
    if [ -n "$trusts" ]; then
        check "the sender's address is known" answers 200 post near --interface 127.0.0.2
        check "… and cannot be made up" answers 401 post near -H 'X-Forwarded-For: 127.0.0.2'
    else
        echo "skipped $through: the sender's address (this program has no trusted_proxies)"
    fi
    # Kept connections are at the end of their time at the service just then (times.headers).
    sleep 10
    check "after 10 s without a call" answers 200 post open

    # shellcheck disable=SC2046
    kill -STOP $(postgres_pids)
    check "a database that hangs: 503" answers 503 post open
    check "… with Retry-After" has "retry-after: [0-9]+"
    check "… in JSON" says '"storage_unavailable"'
    # shellcheck disable=SC2046
    kill -CONT $(postgres_pids)
    for _ in $(seq 50); do [ "$(post open)" != 200 ] || break; sleep 0.2; done
    check "and it goes on" answers 200 post open
done

[ -z "$failed" ] || give_up "not as expected"
