//! Basic credentials -> Caller (contract §1).
//!
//! A stranger learns nothing from being refused, not even from the time it took: every credential that is not known to be
//! right costs one argon2 run of the same price, whether its publication and login exist or not. A site pays that price
//! once: a credential that was right is recognised by its keyed hash. Wrong ones slow their senders down ([`throttle`]).

mod checks;
mod credentials;
mod password;
mod throttle;
mod user;

use std::{
    collections::HashMap, fmt, net::IpAddr, num::NonZero, sync::Arc, thread::available_parallelism,
    time::Instant,
};

use argon2::password_hash::generate_salt;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use parking_lot::RwLock;
use sha2::Sha256;

pub use self::credentials::Credentials;
use self::{
    checks::Checks,
    password::Password,
    throttle::Throttle,
    user::{KeyedHash, User},
};
use crate::{
    config::{self, Access, Config, Publication, TokenHash},
    fair_semaphore::QueueFull,
    http::bounds::{PASSWORD_CHECKS, WAITING_CHECKS},
};

#[derive(Debug, Clone)]
pub struct Caller {
    pub publication: Arc<Publication>,
    /// `None` where the publication is anonymous.
    pub login: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Bad or missing credentials, an unknown publication, a network that may not post: all look the same.
    Unauthorized,
    /// Too many passwords wait to be checked.
    Overloaded,
}

impl From<QueueFull> for Refused {
    fn from(_: QueueFull) -> Self {
        Self::Overloaded
    }
}

/// Stands for the publication where an operator logs in; no publication's name has such characters.
const CONSOLE: &str = "/console";

/// Knows the publications and lets their callers in.
pub struct Gate {
    /// Replaced as a whole when the settings are read again. A request sees one of them all along.
    directory: RwLock<Arc<Directory>>,
    /// Keyed anew in every process: what it makes is of no use outside.
    mac: Hmac<Sha256>,
    checks: Checks,
    throttle: Throttle,
}

/// Who is known.
struct Directory {
    /// By name and alias, lower-cased.
    realms: HashMap<String, Arc<Realm>>,
    /// By the hash of a token.
    tokens: HashMap<TokenHash, Arc<Realm>>,
    /// Of the console, by login.
    operators: HashMap<String, Arc<User>>,
    /// Checked in place of a user that does not exist.
    unknown_user: Arc<User>,
}

struct Realm {
    publication: Arc<Publication>,
    /// By login; `None` where the publication is anonymous.
    senders: Option<HashMap<String, Arc<User>>>,
    /// By login.
    back_office: HashMap<String, Arc<User>>,
}

impl Gate {
    pub fn new(config: &Config) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self::with_limits(
            config,
            cores.div_ceil(2).min(PASSWORD_CHECKS),
            WAITING_CHECKS,
        )
    }

    fn with_limits(config: &Config, most_checks: usize, most_waiting: [usize; 3]) -> Self {
        let key = [generate_salt(), generate_salt()].concat();
        Self {
            directory: RwLock::new(Arc::new(Directory::new(config, None))),
            mac: Hmac::new_from_slice(&key).expect("a key of any length will do"),
            checks: Checks::new(most_checks, most_waiting),
            throttle: Throttle::new(&config.logins),
        }
    }

    /// Knows from now on whom these settings name. Whoever was let in before, and still may, pays for no check again.
    pub fn reload(&self, config: &Config) {
        let before = self.directory();
        let directory = Directory::new(config, Some(&before));
        *self.directory.write() = Arc::new(directory);
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read())
    }

    /// Lets a sender in or not. `publication_segment` is the path's first segment, percent-decoded.
    pub async fn admit(
        &self,
        publication_segment: &str,
        authorization: Option<&[u8]>,
        peer: IpAddr,
    ) -> Result<Caller, Refused> {
        let name = publication_segment.to_lowercase();
        let directory = self.directory();
        // From here on a publication that is closed to this network does not exist.
        let realm = directory.realms.get(&name);
        let realm = realm.filter(|realm| is_among(&realm.publication.allow_from, peer));
        let users = realm.and_then(|realm| realm.senders.as_ref());
        if let (Some(anonymous), None) = (realm, users) {
            return Ok(anonymous.caller(None));
        }
        let find = |login: &str| users?.get(login);
        self.log_in(&directory, &name, realm, find, authorization, peer)
            .await
    }

    /// Lets a back office in or not. A sender is a stranger here, and a publication that is anonymous for senders is not
    /// so for a back office.
    pub async fn admit_back_office(
        &self,
        publication_segment: &str,
        authorization: Option<&[u8]>,
        peer: IpAddr,
    ) -> Result<Caller, Refused> {
        let name = publication_segment.to_lowercase();
        let directory = self.directory();
        let realm = directory.realms.get(&name);
        let find = |login: &str| {
            let user = realm?.back_office.get(login)?;
            user.is_open_to(peer).then_some(user)
        };
        self.log_in(&directory, &name, realm, find, authorization, peer)
            .await
    }

    /// Lets in whoever pushes orders with a token, which says by itself to which publication. A token cannot be guessed, so
    /// nobody is slowed down.
    pub fn admit_token(
        &self,
        authorization: Option<&[u8]>,
        peer: IpAddr,
    ) -> Result<Caller, Refused> {
        let directory = self.directory();
        let realm = authorization
            .and_then(credentials::bearer)
            .and_then(|token| directory.tokens.get(&TokenHash::of(token)));
        realm
            .filter(|realm| is_among(&realm.publication.allow_from, peer))
            .map(|realm| realm.caller(Some("token".into())))
            .ok_or(Refused::Unauthorized)
    }

    /// Lets an operator in to the console or not, in the same time and with the same pauses as a sender.
    pub async fn admit_operator(
        &self,
        credentials: Credentials,
        peer: IpAddr,
    ) -> Result<(), Refused> {
        let directory = self.directory();
        let user = directory.operators.get(&credentials.login);
        let mac = self.mac_of(&[CONSOLE, &credentials.login, &credentials.password]);
        let hash = mac.finalize().into_bytes().into();
        // Known or not: whoever logs in does so once in hours.
        self.verify(&directory, CONSOLE, user, hash, &credentials, peer)
            .await
    }

    /// Checks the credentials of whoever must have some.
    async fn log_in<'u>(
        &self,
        directory: &Directory,
        name: &str,
        realm: Option<&Arc<Realm>>,
        find: impl FnOnce(&str) -> Option<&'u Arc<User>>,
        authorization: Option<&[u8]>,
        peer: IpAddr,
    ) -> Result<Caller, Refused> {
        let credentials = authorization
            .and_then(Credentials::read)
            .ok_or(Refused::Unauthorized)?;
        let user = find(&credentials.login);
        // A credential is recognised under every alias of its publication.
        let name = realm.map_or(name, |realm| &realm.publication.name);
        let mac = self.mac_of(&[name, &credentials.login, &credentials.password]);
        let is_verified = user
            .and_then(|user| user.verified.get())
            .is_some_and(|verified| mac.clone().verify_slice(verified).is_ok());
        if !is_verified {
            let hash = mac.finalize().into_bytes().into();
            self.verify(directory, name, user, hash, &credentials, peer)
                .await?;
        }
        realm
            .map(|realm| realm.caller(Some(credentials.login)))
            .ok_or(Refused::Unauthorized)
    }

    /// Checks a password that was not seen before, in the same way whether the publication and the user exist or not.
    async fn verify(
        &self,
        directory: &Directory,
        name: &str,
        user: Option<&Arc<User>>,
        hash: KeyedHash,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<(), Refused> {
        let login = self.mac_of(&[name, &credentials.login]).finalize();
        let login = login.into_bytes().into();
        let wait = self.throttle.delay(peer, login, Instant::now())?;
        tokio::time::sleep(wait).await;
        let checked = user.unwrap_or(&directory.unknown_user);
        let is_right = self
            .checks
            .check(hash, checked, &credentials.password, peer)
            .await?;
        if let (Some(user), true) = (user, is_right) {
            user.verified.get_or_init(|| hash);
            Ok(())
        } else {
            self.throttle.failed(peer, login, Instant::now());
            Err(Refused::Unauthorized)
        }
    }

    fn mac_of(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            // The length first: `a` with `bc` is not `ab` with `c`.
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("publications", &self.directory().realms.keys())
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// What was known of a login `before` stays known as long as its password does.
    fn new(config: &Config, before: Option<&Self>) -> Self {
        let costliest = config
            .publications
            .iter()
            .flat_map(|publication| {
                let senders = match &publication.access {
                    Access::Anonymous => &[][..],
                    Access::Users(users) => users,
                };
                senders.iter().chain(&publication.back_office)
            })
            .map(|user| &user.password_hash)
            .chain(config.operator.users.iter().map(|user| &user.password_hash))
            .filter_map(|hash| Password::read(hash.expose()))
            .map(|password| password.params)
            .max_by_key(password::cost)
            .unwrap_or_default();
        let (mut realms, mut tokens) = (HashMap::new(), HashMap::new());
        for publication in &config.publications {
            let before = before.and_then(|before| before.realms.get(&publication.name));
            // Under an alias of another publication's, say: credentials are recognised by a publication's own name.
            let before = before.filter(|realm| realm.publication.name == publication.name);
            let before = before.map(AsRef::as_ref);
            let realm = Arc::new(Realm::new(publication, &costliest, before));
            for name in publication.aliases.iter().chain([&publication.name]) {
                realms.insert(name.to_lowercase(), Arc::clone(&realm));
            }
            let hashes = publication.import_tokens.iter();
            tokens.extend(hashes.map(|hash| (*hash, Arc::clone(&realm))));
        }
        let operators = config.operator.users.iter().filter_map(|user| {
            let password = Password::read(user.password_hash.expose())?;
            let user_here = User::new(password.with_surcharge(&costliest), Vec::new());
            Some((user.login.clone(), Arc::new(user_here)))
        });
        Self {
            operators: operators.collect(),
            unknown_user: Arc::new(User::new(Password::impossible(&costliest), Vec::new())),
            realms,
            tokens,
        }
    }
}

impl Realm {
    fn new(publication: &Publication, costliest: &argon2::Params, before: Option<&Self>) -> Self {
        let by_login = |users: &[config::User], before: Option<&HashMap<String, Arc<User>>>| {
            let users = users.iter().filter_map(|user| {
                let password = Password::read(user.password_hash.expose());
                if password.is_none() {
                    // A checked config has none; a login without a usable hash lets nobody in.
                    tracing::error!(
                        publication = publication.name,
                        "a user without a usable password hash"
                    );
                }
                let networks = match &user.allow_from {
                    own if own.is_empty() => &publication.allow_from,
                    own => own,
                };
                let password = password?.with_surcharge(costliest);
                let before = before.and_then(|before| before.get(&user.login));
                let user_here = User::new(password, networks.clone()).remembering(before);
                Some((user.login.clone(), Arc::new(user_here)))
            });
            users.collect::<HashMap<_, _>>()
        };
        let senders_before = before.and_then(|before| before.senders.as_ref());
        Self {
            publication: Arc::new(publication.clone()),
            senders: match &publication.access {
                Access::Anonymous => None,
                Access::Users(users) => Some(by_login(users, senders_before)),
            },
            back_office: by_login(
                &publication.back_office,
                before.map(|before| &before.back_office),
            ),
        }
    }

    fn caller(&self, login: Option<String>) -> Caller {
        Caller {
            publication: Arc::clone(&self.publication),
            login,
        }
    }
}

/// Whether these networks, or all where there are none, have that address.
fn is_among(networks: &[IpNet], peer: IpAddr) -> bool {
    networks.is_empty() || networks.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests;
