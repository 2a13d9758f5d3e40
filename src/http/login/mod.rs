//! Basic credentials -> Caller (contract §1).
//!
//! Whoever is not let in learns nothing from it, not even from the time it took: every credential that is not known
//! to be right costs one argon2 run of the same price, whether its publication and login exist or not. That price is
//! paid once: a credential that was right is known again by a keyed hash. Wrong ones slow their senders down
//! ([`throttle`]).

mod throttle;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::available_parallelism,
    time::Instant,
};

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordVerifier, Version,
    password_hash::{
        generate_salt,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use quick_cache::sync::Cache;
use sha2::Sha256;
use tokio::sync::OnceCell;

use self::throttle::Throttle;
use crate::{
    config::{Access, Config, Publication},
    fair_semaphore::{FairSemaphore, QueueFull},
    share::{Share, network_of},
};

/// Who was let in, and where.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant whose orders they are.
    pub publication: Arc<Publication>,
    /// `None` where the publication is anonymous.
    pub login: Option<String>,
}

/// Why a caller was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Bad or missing credentials, an unknown publication, a network that may not post: all look the same.
    Unauthorized,
    /// Too many passwords wait to be checked.
    Overloaded,
}

/// The most passwords that are checked at the same time, on a machine of any size: a crowd that guesses must not take
/// the processor from those who were let in.
const MOST_CHECKS: usize = 2;
/// How many more may wait for that, in all, of a wide network and of a network; one more is [`Refused::Overloaded`].
const MOST_WAITING: [usize; 3] = [512, 128, 16];
/// So many networks are known from which somebody was let in.
const KNOWN_NETWORKS: usize = 10_000;

/// Knows the publications and lets their callers in.
pub struct Gate {
    /// By name and alias, lower-cased.
    publications: HashMap<String, Arc<Door>>,
    /// Checked in place of a user that does not exist; right for no password.
    nobody: Arc<User>,
    /// Keyed anew in every process: what it makes is of no use outside.
    mac: Hmac<Sha256>,
    /// For checks. Networks take turns; those from which somebody was let in have every other one.
    checks: FairSemaphore,
    /// Networks from which somebody was let in, in this process.
    known_networks: Cache<IpAddr, ()>,
    /// Checks under way: whoever brings the same credential meanwhile waits for the same check.
    under_way: Mutex<HashMap<Tag, Arc<OnceCell<bool>>>>,
    /// Who brought wrong ones.
    throttle: Throttle,
}

/// A credential's keyed hash.
type Tag = [u8; 32];

/// The way into one publication.
struct Door {
    publication: Arc<Publication>,
    /// By login; `None` where the publication is anonymous.
    users: Option<HashMap<String, Arc<User>>>,
}

struct User {
    hash: PasswordHash,
    /// What a wrong password costs besides, where this user's hash is cheaper than the costliest.
    surcharge: Option<Params>,
    /// The credential that was right. There is one at most, so that this cache is as large as the list of users.
    proven: OnceLock<Tag>,
}

impl Gate {
    /// A gate to the publications of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self::with(config, cores.div_ceil(2).min(MOST_CHECKS), MOST_WAITING)
    }

    fn with(config: &Config, running: usize, waiting: [usize; 3]) -> Self {
        let costliest = config
            .publications
            .iter()
            .filter_map(|publication| match &publication.access {
                Access::Anonymous => None,
                Access::Users(users) => Some(users),
            })
            .flatten()
            .filter_map(|user| read_hash(user.password_hash.expose()))
            .map(|(_, params)| params)
            .max_by_key(cost)
            .unwrap_or_default();
        let mut publications = HashMap::new();
        for publication in &config.publications {
            let door = Arc::new(Door::new(publication, &costliest));
            for name in publication.aliases.iter().chain([&publication.name]) {
                publications.insert(name.to_lowercase(), Arc::clone(&door));
            }
        }
        let key = [generate_salt(), generate_salt()].concat();
        Self {
            publications,
            nobody: Arc::new(User::nobody(&costliest)),
            mac: Hmac::new_from_slice(&key).expect("a key of any length will do"),
            checks: FairSemaphore::with_most_waiting(running, waiting),
            known_networks: Cache::new(KNOWN_NETWORKS),
            under_way: Mutex::default(),
            throttle: Throttle::new(&config.logins),
        }
    }

    /// Lets a caller in or not. `publication_segment` is the path's first segment, percent-decoded.
    ///
    /// # Errors
    /// [`Refused`], which a stranger learns nothing from.
    pub async fn admit(
        &self,
        publication_segment: &str,
        authorization: Option<&[u8]>,
        peer: IpAddr,
    ) -> Result<Caller, Refused> {
        let name = publication_segment.to_lowercase();
        // From here on a publication that is closed to this network does not exist.
        let door = self
            .publications
            .get(&name)
            .filter(|door| door.is_open_to(peer));
        // By whatever name it is called, a credential is known again.
        let name = door.map_or(&name, |door| &door.publication.name);
        let users = match door {
            Some(door) => match &door.users {
                None => return Ok(door.caller(None)),
                users => users.as_ref(),
            },
            None => None,
        };
        let credentials = authorization
            .and_then(Credentials::read)
            .ok_or(Refused::Unauthorized)?;
        let user = users.and_then(|users| users.get(&credentials.login));
        let mac = self.mac_of(name, &credentials);
        let proven = user
            .and_then(|user| user.proven.get())
            .is_some_and(|proven| mac.clone().verify_slice(proven).is_ok());
        if !proven {
            let tag: Tag = mac.finalize().into_bytes().into();
            let whose = user.unwrap_or(&self.nobody);
            let login = self.login_of(name, &credentials.login);
            let wait = self
                .throttle
                .turn(peer, login, Instant::now())
                .map_err(|throttle::TooMany| Refused::Overloaded)?;
            tokio::time::sleep(wait).await;
            let right = self
                .check_once(tag, whose, credentials.password.into_bytes(), peer)
                .await?;
            match user {
                Some(user) if right => {
                    self.known_networks.insert(network_of(peer), ());
                    user.proven.get_or_init(|| tag)
                }
                _ => {
                    self.throttle.failed(peer, login, Instant::now());
                    return Err(Refused::Unauthorized);
                }
            };
        }
        door.map(|door| door.caller(Some(credentials.login)))
            .ok_or(Refused::Unauthorized)
    }

    fn mac_of(&self, name: &str, credentials: &Credentials) -> Hmac<Sha256> {
        self.mac_of_parts(&[name, &credentials.login, &credentials.password])
    }

    /// What a login is known by to the throttle, whether it exists or not.
    fn login_of(&self, name: &str, login: &str) -> u64 {
        let tag: Tag = self
            .mac_of_parts(&[name, login])
            .finalize()
            .into_bytes()
            .into();
        u64::from_be_bytes(std::array::from_fn(|place| tag[place]))
    }

    fn mac_of_parts(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            // The length first: `a` with `bc` is not `ab` with `c`.
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }

    /// Checks a password, together with whoever brings the same credential meanwhile.
    async fn check_once(
        &self,
        tag: Tag,
        user: &Arc<User>,
        password: Vec<u8>,
        peer: IpAddr,
    ) -> Result<bool, Refused> {
        let shared = Shared::join(self, tag);
        let right = shared
            .check
            .get_or_try_init(|| self.check(user, password, peer))
            .await?;
        Ok(*right)
    }

    async fn check(
        &self,
        user: &Arc<User>,
        password: Vec<u8>,
        peer: IpAddr,
    ) -> Result<bool, Refused> {
        // Nothing but the network decides: a publication or a login that does not exist waits as long as one that does.
        let is_known = self.known_networks.get(&network_of(peer)).is_some();
        let share = Share::new(if is_known { "known" } else { "new" }, peer);
        let permit = self
            .checks
            .acquire(&share, 1)
            .await
            .map_err(|QueueFull| Refused::Overloaded)?;
        let user = Arc::clone(user);
        let checked = tokio::task::spawn_blocking(move || {
            let right = user.has(&password);
            // Held by the work itself: a caller that hangs up makes room for nobody while its password is being checked.
            drop(permit);
            right
        });
        Ok(checked.await.unwrap_or(false))
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Tag, Arc<OnceCell<bool>>>> {
        // Nothing under this lock can leave the map half changed.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("publications", &self.publications.keys())
            .finish_non_exhaustive()
    }
}

/// A share in a check under way. The last to leave, by hanging up too, clears it away.
struct Shared<'g> {
    gate: &'g Gate,
    tag: Tag,
    check: Arc<OnceCell<bool>>,
}

impl<'g> Shared<'g> {
    fn join(gate: &'g Gate, tag: Tag) -> Self {
        let check = Arc::clone(gate.under_way().entry(tag).or_default());
        Self { gate, tag, check }
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let mut under_way = self.gate.under_way();
        // Let go of under the lock, so that of two who leave at once the second sees that it is the last.
        self.check = Arc::default();
        if under_way
            .get(&self.tag)
            .is_some_and(|check| Arc::strong_count(check) == 1)
        {
            under_way.remove(&self.tag);
        }
    }
}

impl Door {
    fn new(publication: &Publication, costliest: &Params) -> Self {
        let users = match &publication.access {
            Access::Anonymous => None,
            Access::Users(users) => Some(
                users
                    .iter()
                    .filter_map(|user| {
                        let Some((hash, params)) = read_hash(user.password_hash.expose()) else {
                            // A checked config has none; a login without a usable hash lets nobody in.
                            tracing::error!(
                                publication = publication.name,
                                "a user without a usable password hash"
                            );
                            return None;
                        };
                        let user_here = User {
                            hash,
                            surcharge: surcharge(&params, costliest),
                            proven: OnceLock::new(),
                        };
                        Some((user.login.clone(), Arc::new(user_here)))
                    })
                    .collect(),
            ),
        };
        Self {
            publication: Arc::new(publication.clone()),
            users,
        }
    }

    fn is_open_to(&self, peer: IpAddr) -> bool {
        let networks = &self.publication.allow_from;
        networks.is_empty() || networks.iter().any(|network| network.contains(&peer))
    }

    fn caller(&self, login: Option<String>) -> Caller {
        Caller {
            publication: Arc::clone(&self.publication),
            login,
        }
    }
}

impl User {
    fn nobody(params: &Params) -> Self {
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        Self {
            hash: PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::default().into()),
                // Both were read from such a hash, or are the library's own.
                params: ParamsString::try_from(params).unwrap_or_default(),
                salt: Salt::new(&generate_salt()).ok(),
                hash: Output::new(&[0; Output::MAX_LENGTH][..length.min(Output::MAX_LENGTH)]).ok(),
            },
            surcharge: None,
            proven: OnceLock::new(),
        }
    }

    /// Whether this is the user's password. A wrong one costs the same for all users.
    fn has(&self, password: &[u8]) -> bool {
        let right = Argon2::default()
            .verify_password(password, &self.hash)
            .is_ok();
        if let (false, Some(params)) = (right, &self.surcharge) {
            let mut nowhere = [0; Params::DEFAULT_OUTPUT_LEN];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::default(), params.clone());
            // Only the time it takes is of interest.
            let _ = argon2.hash_password_into(password, &[0; 16], &mut nowhere);
        }
        right
    }
}

/// A hash of the one kind we take, and what it costs.
fn read_hash(text: &str) -> Option<(PasswordHash, Params)> {
    let hash = PasswordHash::new(text).ok()?;
    if hash.algorithm != ARGON2ID_IDENT || hash.salt.is_none() || hash.hash.is_none() {
        return None;
    }
    let params = Params::try_from(&hash).ok()?;
    Some((hash, params))
}

/// Blocks to be filled: the time is in proportion to that.
fn cost(params: &Params) -> u64 {
    params.block_count() as u64 * u64::from(params.t_cost())
}

/// What is left to pay after a run with `params` so that it costs as much as one with `costliest`.
fn surcharge(params: &Params, costliest: &Params) -> Option<Params> {
    let left = cost(costliest).checked_sub(cost(params))?;
    // In no more memory than the costliest takes anyway.
    let passes = left.div_ceil(u64::from(costliest.m_cost())).max(1);
    let memory = u32::try_from(left / passes).ok()?;
    Params::new(memory, u32::try_from(passes).ok()?, 1, None).ok()
}

/// What a caller says it is.
pub struct Credentials {
    /// Without a colon.
    pub login: String,
    /// Whatever stands behind the first one.
    pub password: String,
}

impl Credentials {
    /// Reads the value of an `Authorization` header: the scheme Basic, in UTF-8 as we ask for it (RFC 7617).
    #[must_use]
    pub fn read(authorization: &[u8]) -> Option<Self> {
        // Some senders leave the padding out.
        const BASE64: GeneralPurpose = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        const SCHEME: &[u8] = b"Basic ";

        let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let text = String::from_utf8(BASE64.decode(token.trim_ascii()).ok()?).ok()?;
        // A login holds no colon; a password may.
        let (login, password) = text.split_once(':')?;
        Some(Self {
            login: login.to_owned(),
            password: password.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, path::Path};

    use argon2::PasswordHasher;
    use base64::prelude::BASE64_STANDARD;
    use tokio::task::{JoinHandle, JoinSet};

    use super::*;
    use crate::{
        config::{Environment, Secret},
        fair_semaphore::Permit,
    };

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn hash(password: &str, passes: u32) -> Secret {
        let params = Params::new(8, passes, 1, None).expect("params");
        let hash = Argon2::from(params)
            .hash_password(password.as_bytes())
            .expect("a hash");
        Secret::new(hash.to_string())
    }

    /// `closed` for the user `site` with the password `secret`, `elsewhere` the same from other networks only. Nobody is
    /// slowed down.
    fn gate(running: usize, waiting: usize) -> Gate {
        gate_to(running, [waiting; 3])
    }

    fn gate_to(running: usize, waiting: [usize; 3]) -> Gate {
        let hash = hash("secret", 1);
        let user = format!("{{ login = 'site', password_hash = '{}' }}", hash.expose());
        let other = format!("{{ login = 'app', password_hash = '{}' }}", hash.expose());
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
        let config = Config::parse(Path::new("test.toml"), &text, &Environment::default())
            .expect("settings");
        Gate::with(&config, running, waiting)
    }

    fn basic(credentials: &str) -> Vec<u8> {
        format!("Basic {}", BASE64_STANDARD.encode(credentials)).into_bytes()
    }

    async fn admit(gate: &Gate, publication: &str, credentials: &str) -> Result<(), Refused> {
        gate.admit(publication, Some(&basic(credentials)), PEER)
            .await
            .map(drop)
    }

    /// All permits for checks.
    async fn all_permits(gate: &Gate) -> Permit {
        let (most, _) = gate.checks.total_and_free();
        let nobody = Share::new("nobody", PEER);
        gate.checks
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
        let before = gate.checks.waiting();
        let (gate_there, header) = (Arc::clone(gate), basic(credentials));
        let call = tokio::spawn(async move {
            let admitted = gate_there.admit("closed", Some(&header), from.into()).await;
            admitted.map(drop)
        });
        while gate.checks.waiting() == before {
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

    #[tokio::test]
    async fn every_stranger_with_credentials_takes_a_check_and_no_other_does() {
        let gate = gate(1, 0);
        for (publication, credentials) in STRANGERS {
            let refused = admit(&gate, publication, credentials).await;
            assert_eq!(refused, Err(Refused::Unauthorized), "{credentials}");
        }
        let taken = all_permits(&gate).await;
        for (publication, credentials) in STRANGERS {
            let refused = admit(&gate, publication, credentials).await;
            assert_eq!(refused, Err(Refused::Overloaded), "{credentials}");
        }
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
        for (publication, credentials) in STRANGERS {
            let refused = admit(&gate, publication, credentials).await;
            assert_eq!(refused, Err(Refused::Overloaded), "{credentials}");
        }
    }

    #[tokio::test]
    async fn a_password_that_was_wrong_is_not_kept() {
        let gate = gate(1, 0);
        for (publication, credentials) in STRANGERS {
            let refused = admit(&gate, publication, credentials).await;
            assert_eq!(refused, Err(Refused::Unauthorized), "{credentials}");
        }
        assert!(gate.under_way().is_empty());
        let users = gate.publications["closed"].users.as_ref().expect("users");
        assert!(users["site"].proven.get().is_none());
        assert!(gate.nobody.proven.get().is_none());
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
        while gate.checks.waiting() == 0 {
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
        assert!(gate.under_way().is_empty());
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
        while gate.checks.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let second = call(&gate);
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.expect_err("cut off").is_cancelled());
        drop(busy);
        second.await.expect("no panic").expect("let in");
        assert!(gate.under_way().is_empty());
        assert_eq!(gate.checks.total_and_free(), (1, 1));
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
        let busy = gate.checks.acquire(&share(guesser), 1).await.expect("free");
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
        assert_eq!(gate.checks.waiting(), 25, "one has the turn");
        assert_eq!(gate.checks.waiting_of(&share(site)), 0);
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
        let busy = gate.checks.acquire(&guesser, 1).await.expect("free");
        for network in 0..30 {
            call(&gate, [203, 0, network, 1], &format!("site:{network}")).await;
        }
        let known = call(&gate, site, "app:secret").await;
        drop(busy);
        assert_eq!(gate.checks.waiting(), 30, "one has the turn");
        let share = Share::new("known", site.into());
        assert_eq!(gate.checks.waiting_of(&share), 0);
        assert_eq!(known.await.expect("no panic"), Ok(()));
    }

    #[test]
    fn credentials_are_read_as_rfc_7617_has_them() {
        let read = |header: &str| {
            Credentials::read(header.as_bytes())
                .map(|Credentials { login, password }| (login, password))
        };
        let pair = |login: &str, password: &str| Some((login.to_owned(), password.to_owned()));
        assert_eq!(read("Basic c2l0ZTpzZWNyZXQ="), pair("site", "secret"));
        assert_eq!(read("basic   c2l0ZTpzZWNyZXQ"), pair("site", "secret"));
        let encoded = |text: &str| String::from_utf8(basic(text)).expect("ASCII");
        assert_eq!(read(&encoded("сайт:пароль")), pair("сайт", "пароль"));
        assert_eq!(read(&encoded("site:a:b:")), pair("site", "a:b:"));
        assert_eq!(read(&encoded(":")), pair("", ""));
        for broken in [
            "",
            "Basic",
            "Basic ",
            "Basic c2l0ZQ==",     // no colon
            "Basic //79",         // no UTF-8
            "Basic c2l0ZTpz~WNy", // no base64
            "Bearer c2l0ZTpzZWNyZXQ=",
            "Basicc2l0ZTpzZWNyZXQ=",
        ] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_wrong_password_costs_the_same_for_every_user() {
        let costliest = Params::new(19 * 1024, 2, 1, None).expect("params");
        assert_eq!(surcharge(&costliest, &costliest), None);
        for (memory, passes, lanes) in [(8, 1, 1), (4096, 3, 1), (19 * 1024, 1, 1), (12288, 3, 2)] {
            let params = Params::new(memory, passes, lanes, None).expect("params");
            let more = surcharge(&params, &costliest).expect("cheaper");
            assert!(more.m_cost() <= costliest.m_cost());
            let (whole, due) = (cost(&params) + cost(&more), cost(&costliest));
            assert!(whole.abs_diff(due) <= 16, "{whole} of {due}");
        }
    }

    #[test]
    fn only_argon2id_is_taken() {
        assert!(read_hash(hash("secret", 1).expose()).is_some());
        for other in [
            "secret",
            "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ",
        ] {
            assert!(read_hash(other).is_none(), "{other}");
        }
    }

    #[test]
    fn nothing_secret_is_in_its_debug_text() {
        let gate = gate(1, 0);
        let door = &gate.publications["closed"];
        let caller = door.caller(Some("site".into()));
        let text = format!("{gate:?} {caller:?}");
        assert!(text.contains("closed"), "{text}");
        assert!(
            !text.contains("argon2") && !text.contains("secret"),
            "{text}"
        );
    }
}
