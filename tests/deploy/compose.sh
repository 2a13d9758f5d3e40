#!/bin/sh
# Tries the image and compose.yaml as README.md and docs/operations.ru.md tell: the demo; then an installation with passwords, killed
# processes, a backup and its restoring, an upgrade under load, and a volume without the console's role. A line for each check.
# Needs docker with its compose plugin, the base images, and the ports 8888 and 9888; some minutes, most of them the image's build.
#
#   tests/deploy/compose.sh
# shellcheck disable=SC2317,SC2329 # `check` and the traps call the functions
set -eu
cd "$(dirname "$0")/../.."
. scripts/ensure.sh
. tests/deploy/checks.sh

docker compose version >/dev/null 2>&1 || give_up "docker compose is missing: nothing was tried"
docker info >/dev/null 2>&1 || give_up "docker does not answer: nothing was tried"
revision=$(git rev-parse HEAD)
example=$PWD/tests/data/example-request.json

# A copy, so that the .env and the settings of an installation here are neither read nor touched.
scratch=$(mktemp -d /var/tmp/aqua-compose.XXXXXX)
mkdir "$scratch/files"
git ls-files -z | tar --null --files-from=- --create | tar --extract --directory="$scratch/files"
cd "$scratch/files"
export COMPOSE_PROJECT_NAME=aqua-compose-test
clean() {
    docker compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    rm -rf --one-file-system "$scratch"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

image() { docker run --rm --entrypoint "$1" aqua-orders "$2"; }
service() { docker compose exec -T aqua-orders aqua-orders "$@"; }
# database SQL: as the superuser, whom only the container's own socket lets in.
database() { docker compose exec -T database psql -U postgres --dbname=aqua --no-psqlrc --tuples-only --no-align --command="$1"; }
state() { docker inspect --format "{{$2}}" "$(docker compose ps --all --quiet "$1")"; }
up() { docker compose up --detach --wait --wait-timeout 180 "$@"; }
# Docker takes its own `kill` as a wish, and starts nothing anew.
kill_by_force() {
    docker run --rm --user 0 --pid host --entrypoint /bin/sh aqua-orders -c "kill -9 $(state "$1" .State.Pid)"
}
healthy() { [ "$(state "$1" .State.Health.Status)" = healthy ]; }
post() { curl --silent --show-error --max-time 60 "$@"; }
send_example() { post --data-binary "@$example" http://127.0.0.1:8888/demodelivery/hs/AquaDeliveri/getOrdersURL; }
order() {
    post --user site:secret --data-binary "[{\"id\":\"$1\",\"status\":\"new\",\"total\":1,
        \"shipping_date_from\":\"2026-11-26 10:00\",\"shipping_date_to\":\"2026-11-26 12:00\",
        \"order_item_list\":[{\"product_id\":\"1\",\"price\":1,\"quantity\":1}],
        \"client\":{\"id\":\"$1\",\"username\":\"Compose\",\"phone\":\"+79080000001\"},
        \"shipping_address\":{\"city\":\"a\",\"street\":\"b\",\"house\":\"1\",\"str\":\"a b 1\"}}]" \
        http://127.0.0.1:8888/delivery/hs/AquaDeliveri/getOrdersURL
}
# load NAME: orders one after another, each until it is taken, as a sender should.
load() {
    number=0
    while [ -e "$scratch/loading" ]; do
        number=$((number + 1))
        until order "$1-$number" 2>&1 | grep -q '"success":true,"data":\['; do sleep 0.1; done
        echo "$1-$number" >>"$scratch/taken.$1"
    done
}
# console PATH: a page of the console, after a login.
console() {
    rm -f "$scratch/cookies"
    post --output /dev/null --cookie-jar "$scratch/cookies" --header 'Origin: http://127.0.0.1:9888' \
        --data login=admin --data password=of-the-console http://127.0.0.1:9888/console/login
    post --cookie "$scratch/cookies" "http://127.0.0.1:9888$1"
}
console_has_its_role() {
    console /console/p/delivery/orders >/dev/null
    says "^aqua_console$" database "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename = 'aqua_console'"
}

check "the image is built" docker compose build --build-arg "REVISION=$revision"
check "its program says of which revision it is" says "$(echo "$revision" | cut -c1-7)" docker run --rm aqua-orders --version
check "so does its label" says "^$revision\$" \
    docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' aqua-orders
check "it lists its crates" says '"name": "axum"' image /bin/cat aqua-orders.cdx.json
check "it has the licences" image /bin/cat LICENSE-MIT

check "the demo comes up, healthy" up
check "its service is nobody's root" says "Uid:.10001.10001" docker compose exec -T aqua-orders cat /proc/1/status
check "and cannot write to its image" sh -c '! docker compose exec -T aqua-orders touch /opt/aqua-orders/config/new'
check "it takes the document's example" says '"success":true,"data":\[' send_example
send_example >"$scratch/first"
send_example >"$scratch/second"
check "and says the same when it comes again" cmp "$scratch/first" "$scratch/second"
arrived() { says "^1\$" database "SELECT count(*) FROM orders WHERE publication = 'demo1c'"; }
check "the order goes on to the demo's 1C" within 30 arrived
check "strangers get no console" says "^404$" post --output /dev/null --write-out '%{http_code}\n' http://127.0.0.1:9888/console
kill_by_force aqua-orders
check "a killed service comes back" within 60 says '"success":true,"data":\[' send_example
kill_by_force database
check "so does a killed PostgreSQL" within 60 says '"success":true,"data":\[' send_example
check "it finds its settings right again on SIGHUP" docker compose kill --signal HUP aqua-orders
check "and says so" within 10 says "read again" docker compose logs aqua-orders
check "it stops by itself" docker compose stop
check "without being killed" says "^0\$" state aqua-orders .State.ExitCode
docker compose down --volumes >/dev/null 2>&1

cp .env.example .env
check "an installation without a password does not start" sh -c '! docker compose up --detach'
password='p@ss:w/o?r#d%20'
sed -i "s|^POSTGRES_PASSWORD=.*|POSTGRES_PASSWORD='$password'|" .env
hash() { printf '%s\n' "$1" | docker run --rm --interactive aqua-orders hash-password; }
sed -i "s|^CONSOLE_PASSWORD_HASH=.*|CONSOLE_PASSWORD_HASH='$(hash of-the-console)'|" .env
cat >aqua-orders.toml <<TOML
[operator]
hosts = ["aqua-orders"]
trusted_proxies = ["172.16.0.0/12", "192.168.0.0/16"]

[[publication]]
name = "delivery"
users = [{ login = "site", password_hash = "$(hash secret)" }]
TOML
chmod 644 aqua-orders.toml
check "with one it comes up" up
check "who has no login is a stranger" says '"unauthorized"' post --data "[]" http://127.0.0.1:8888/delivery/hs/AquaDeliveri/getOrdersURL
check "who has one has his orders taken" says '"success":true,"data":\[' order first
check "the service's role owns its database and is no superuser" says "^f\$" database "SELECT rolsuper FROM pg_roles WHERE rolname = 'aqua'"
check "the console opens" says first console /console/p/delivery/orders
check "with its own role" console_has_its_role
check "doctor finds no fault" service doctor

check "a backup is made" docker compose run --rm backup
dump=$(docker compose run --rm --entrypoint ls backup /var/backups/aqua-orders 2>/dev/null | tr -d '\r' | grep dump) || true
order second >/dev/null
docker compose stop aqua-orders >/dev/null 2>&1
check "and restored" docker compose run --rm --entrypoint /opt/aqua-orders/deploy/restore.sh backup "/var/backups/aqua-orders/$dump" --replace
docker compose start aqua-orders >/dev/null 2>&1
within 60 healthy aqua-orders || true
check "what it had is there, what came later is not" says "^first\$" database "SELECT string_agg(sender_id, ',') FROM orders"
check "which comes again as a new order" says '"success":true,"data":\[' order second
check "and the console has its role as before" console_has_its_role

touch "$scratch/loading"
senders=
for sender in a b c d; do
    load $sender &
    senders="$senders $!"
done
sleep 3
check "it is replaced under load" up --force-recreate --no-deps aqua-orders
sleep 3
rm "$scratch/loading"
# shellcheck disable=SC2086
wait $senders
LC_ALL=C sort "$scratch"/taken.? >"$scratch/taken"
database "SELECT sender_id FROM orders WHERE sender_id ~ '^[a-d]-'" | LC_ALL=C sort >"$scratch/stored"
check "and each of the $(wc -l <"$scratch/taken") orders that were taken is stored, once" cmp "$scratch/taken" "$scratch/stored"

docker compose stop aqua-orders >/dev/null 2>&1
check "a volume without the console's role" database "DROP OWNED BY aqua_console; DROP ROLE aqua_console"
sed -i 's|^CONSOLE_DATABASE_URL=|#&|' .env
check "goes on without it" up
check "the console, too" says "[a-d]-[0-9]" console /console/p/delivery/orders
check "gets it by the script" docker compose exec -T database sh /docker-entrypoint-initdb.d/console-role.sh
sed -i 's|^#\(CONSOLE_DATABASE_URL=\)|\1|' .env
check "and comes up with it" up
check "for the console to use" console_has_its_role
exit $failed
