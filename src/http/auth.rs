//! Basic credentials -> Caller (contract §1).

use std::{net::IpAddr, sync::Arc};

use crate::config::{Access, Config, Publication};

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

/// Knows the publications and lets their callers in.
#[derive(Debug)]
pub struct Gate {
    publications: Vec<Arc<Publication>>,
}

impl Gate {
    /// A gate to the publications of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            publications: config.publications.iter().cloned().map(Arc::new).collect(),
        }
    }

    /// Lets a caller in or not. `publication_segment` is the path's first segment, percent-decoded.
    ///
    /// # Errors
    /// [`Refused`], which a stranger learns nothing from.
    #[expect(
        clippy::unused_async,
        reason = "the colleague's gate, which replaces this one, waits for argon2"
    )]
    pub async fn admit(
        &self,
        publication_segment: &str,
        _authorization: Option<&[u8]>,
        _peer: IpAddr,
    ) -> Result<Caller, Refused> {
        let name = publication_segment.to_lowercase();
        self.publications
            .iter()
            .filter(|known| matches!(known.access, Access::Anonymous))
            .find(|known| known.name == name || known.aliases.contains(&name))
            .map(|publication| Caller {
                publication: Arc::clone(publication),
                login: None,
            })
            .ok_or(Refused::Unauthorized)
    }
}
