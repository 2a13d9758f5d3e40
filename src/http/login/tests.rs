use std::{net::Ipv4Addr, path::Path};

use argon2::{Argon2, Params, PasswordHasher};
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::task::{JoinHandle, JoinSet};

use super::*;
use crate::{config::Environment, fair_semaphore::Permit, share::Share};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `closed` for the user `site` with the password `secret`, `elsewhere` the same from other networks only. Nobody is
/// slowed down.
fn gate(running: usize, waiting: usize) -> Gate {
    gate_to(running, [waiting; 3])
}

fn gate_to(running: usize, waiting: [usize; 3]) -> Gate {
    Gate::with_limits(&settings(&hash("secret")), running, waiting)
}

fn hash(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).expect("params");
    let hash = Argon2::from(params).hash_password(password.as_bytes());
    hash.expect("a hash").to_string()
}

fn settings(hash: &str) -> Config {
    let user = format!("{{ login = 'site', password_hash = '{hash}' }}");
    let other = format!("{{ login = 'app', password_hash = '{hash}' }}");
    let text = format!(
        "[logins]
         free_failures = 1000
         [[publication]]
         name = 'closed'
         aliases = ['Alias']
         users = [{user}, {other}]
         [[publication]]
         name = 'elsewhere'
         users = [{user}]
         allow_from = ['10.0.0.0/8']"
    );
    Config::parse(Path::new("test.toml"), &text, &Environment::default()).expect("settings")
}

fn basic(credentials: &str) -> Vec<u8> {
    format!("Basic {}", BASE64_STANDARD.encode(credentials)).into_bytes()
}

async fn admit(gate: &Gate, publication: &str, credentials: &str) -> Result<(), Refused> {
    gate.admit(publication, Some(&basic(credentials)), PEER)
        .await
        .map(drop)
}

async fn all_permits(gate: &Gate) -> Permit {
    let (most, _) = gate.checks.queue.total_and_free();
    let nobody = Share::new("nobody", PEER);
    gate.checks
        .queue
        .acquire(&nobody, most)
        .await
        .expect("free permits")
}

/// Somebody's call from that address, which waits for its check when this returns.
async fn call(
    gate: &Arc<Gate>,
    from: [u8; 4],
    credentials: &str,
) -> JoinHandle<Result<(), Refused>> {
    let before = gate.checks.queue.waiting();
    let (gate_there, header) = (Arc::clone(gate), basic(credentials));
    let call = tokio::spawn(async move {
        let admitted = gate_there.admit("closed", Some(&header), from.into()).await;
        admitted.map(drop)
    });
    while gate.checks.queue.waiting() == before {
        tokio::task::yield_now().await;
    }
    call
}

/// Callers who must look the same to themselves, whatever of theirs is wrong.
const STRANGERS: [(&str, &str); 5] = [
    ("closed", "site:wrong"),
    ("closed", "nobody:secret"),
    ("closed", ":"),
    ("unknown", "site:secret"),
    ("elsewhere", "site:secret"),
];

async fn expect_strangers_refused(gate: &Gate, due: Refused) {
    for (publication, credentials) in STRANGERS {
        let refused = admit(gate, publication, credentials).await;
        assert_eq!(refused, Err(due), "{credentials}");
    }
}

#[tokio::test]
async fn every_stranger_with_credentials_takes_a_check_and_no_other_does() {
    let gate = gate(1, 0);
    expect_strangers_refused(&gate, Refused::Unauthorized).await;
    let taken = all_permits(&gate).await;
    expect_strangers_refused(&gate, Refused::Overloaded).await;
    for publication in ["closed", "unknown", "elsewhere"] {
        for header in [None, Some(b"Bearer secret".as_slice()), Some(b"Basic !")] {
            let refused = gate.admit(publication, header, PEER).await.map(drop);
            assert_eq!(refused, Err(Refused::Unauthorized), "{publication}");
        }
    }
    drop(taken);
}

#[tokio::test]
async fn a_password_that_was_right_is_never_checked_again() {
    let gate = gate(1, 0);
    admit(&gate, "closed", "site:secret").await.expect("right");
    let _taken = all_permits(&gate).await;
    admit(&gate, "Closed", "site:secret")
        .await
        .expect("known by its keyed hash");
    expect_strangers_refused(&gate, Refused::Overloaded).await;
}

#[tokio::test]
async fn a_password_that_was_wrong_is_not_kept() {
    let gate = gate(1, 0);
    expect_strangers_refused(&gate, Refused::Unauthorized).await;
    assert!(gate.checks.running.lock().is_empty());
    let directory = gate.directory();
    let users = directory.realms["closed"].senders.as_ref().expect("users");
    assert!(users["site"].verified.get().is_none());
    assert!(directory.unknown_user.verified.get().is_none());
}

#[tokio::test]
async fn the_same_new_credential_at_once_is_one_check() {
    let gate = Arc::new(gate(1, 1));
    let busy = all_permits(&gate).await;
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let gate = Arc::clone(&gate);
        callers.spawn(async move { admit(&gate, "closed", "site:secret").await });
    }
    // Nobody of them can be done before this, and one may wait.
    while gate.checks.queue.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        admit(&gate, "closed", "site:other").await,
        Err(Refused::Overloaded)
    );
    drop(busy);
    while let Some(admitted) = callers.join_next().await {
        admitted.expect("no panic").expect("let in");
    }
    assert!(gate.checks.running.lock().is_empty());
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_its_check_to_the_others() {
    let gate = Arc::new(gate(1, 1));
    let busy = all_permits(&gate).await;
    let call = |gate: &Arc<Gate>| {
        let gate = Arc::clone(gate);
        tokio::spawn(async move { admit(&gate, "closed", "site:secret").await })
    };
    let first = call(&gate);
    while gate.checks.queue.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let second = call(&gate);
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.expect_err("cut off").is_cancelled());
    drop(busy);
    second.await.expect("no panic").expect("let in");
    assert!(gate.checks.running.lock().is_empty());
    assert_eq!(gate.checks.queue.total_and_free(), (1, 1));
}

#[tokio::test]
async fn a_caller_is_known_again_by_every_name_of_its_publication() {
    for names in [["closed", "alias"], ["ALIAS", "Closed"]] {
        let gate = gate(1, 0);
        admit(&gate, names[0], "site:secret").await.expect("right");
        let _taken = all_permits(&gate).await;
        for name in [names[0], names[1], "aLIas"] {
            admit(&gate, name, "site:secret").await.expect("known");
        }
        let other = admit(&gate, "elsewhere", "site:secret").await;
        assert_eq!(other, Err(Refused::Overloaded), "another publication");
    }
}

#[tokio::test]
async fn those_who_guess_wait_for_themselves_and_a_newcomer_from_elsewhere_is_next() {
    let gate = Arc::new(gate_to(1, [100, 25, 20]));
    let share = |from: [u8; 4]| Share::new("new", from.into());
    let (guesser, site) = ([192, 0, 2, 1], [198, 51, 100, 7]);
    let busy = gate
        .checks
        .queue
        .acquire(&share(guesser), 1)
        .await
        .expect("free");
    // From one address, and from some others of its network.
    for guess in 0..25 {
        let from = [192, 0, 2, if guess < 20 { 1 } else { guess }];
        call(&gate, from, &format!("site:{guess}")).await;
    }
    let header = basic("site:more");
    let refused = gate.admit("closed", Some(&header), guesser.into()).await;
    assert_eq!(refused.map(drop), Err(Refused::Overloaded));
    let honest = call(&gate, site, "site:secret").await;
    drop(busy);
    assert_eq!(gate.checks.queue.waiting(), 25, "one has the permit");
    assert_eq!(gate.checks.queue.waiting_of(&share(site)), 0);
    assert_eq!(honest.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_network_that_was_let_in_before_has_every_other_turn() {
    let gate = Arc::new(gate_to(1, [100; 3]));
    let site = [198, 51, 100, 7];
    let header = basic("site:secret");
    let admitted = gate.admit("closed", Some(&header), site.into()).await;
    admitted.expect("right");
    let guesser = Share::new("new", [203, 0, 0, 1].into());
    let busy = gate.checks.queue.acquire(&guesser, 1).await.expect("free");
    for network in 0..30 {
        call(&gate, [203, 0, network, 1], &format!("site:{network}")).await;
    }
    let known = call(&gate, site, "app:secret").await;
    drop(busy);
    assert_eq!(gate.checks.queue.waiting(), 30, "one has the permit");
    let share = Share::new("known", site.into());
    assert_eq!(gate.checks.queue.waiting_of(&share), 0);
    assert_eq!(known.await.expect("no panic"), Ok(()));
}

#[test]
fn nothing_secret_is_in_its_debug_text() {
    let gate = gate(1, 0);
    let directory = gate.directory();
    let realm = &directory.realms["closed"];
    let caller = realm.caller(Some("site".into()));
    let text = format!("{gate:?} {caller:?}");
    assert!(text.contains("closed"), "{text}");
    assert!(
        !text.contains("argon2") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn who_was_let_in_pays_for_no_check_after_a_reload_unless_his_password_is_another() {
    let gate = gate(1, 0);
    let hashes = [hash("secret"), hash("secret"), hash("another")];
    gate.reload(&settings(&hashes[0]));
    assert_eq!(admit(&gate, "closed", "site:secret").await, Ok(()));
    gate.reload(&settings(&hashes[0]));
    let nobody_is_checked = all_permits(&gate).await;
    assert_eq!(admit(&gate, "closed", "site:secret").await, Ok(()));
    assert_eq!(
        admit(&gate, "closed", "app:secret").await,
        Err(Refused::Overloaded)
    );
    gate.reload(&settings(&hashes[1]));
    assert_eq!(
        admit(&gate, "closed", "site:secret").await,
        Err(Refused::Overloaded)
    );
    drop(nobody_is_checked);
    assert_eq!(admit(&gate, "closed", "site:secret").await, Ok(()));
    gate.reload(&settings(&hashes[2]));
    assert_eq!(
        admit(&gate, "closed", "site:secret").await,
        Err(Refused::Unauthorized)
    );
    assert_eq!(admit(&gate, "closed", "site:another").await, Ok(()));
}

#[tokio::test]
async fn a_check_that_began_before_a_reload_says_nothing_of_the_password_after_it() {
    let gate = Arc::new(gate(1, 4));
    let permits = all_permits(&gate).await;
    let old = call(&gate, [127, 0, 0, 1], "site:secret").await;
    gate.reload(&settings(&hash("another")));
    let new = call(&gate, [127, 0, 0, 1], "site:secret").await;
    drop(permits);
    assert_eq!(old.await.expect("an end"), Ok(()));
    assert_eq!(new.await.expect("an end"), Err(Refused::Unauthorized));
    assert_eq!(
        admit(&gate, "closed", "site:secret").await,
        Err(Refused::Unauthorized)
    );
}
