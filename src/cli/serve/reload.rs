//! SIGHUP: the settings are read again, and what a running service can take up of them is taken up. A file that is wrong is refused
//! with its reasons, and the service goes on as it was.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use tokio::signal::unix::Signal;

use super::{Works, know_last_orders, systemd, what_it_does};
use crate::{
    config::{Config, Environment, Publication, Reloaded},
    store::Store,
};

/// Reads the settings again whenever it is asked to, for as long as the service runs.
pub(super) async fn keep(mut hang_ups: Signal, works: Works, store: Store, listen: SocketAddr) {
    while hang_ups.recv().await.is_some() {
        systemd::reloading();
        let running = works.app.config();
        match running.reload(&Environment::of_process()) {
            Ok(reloaded) => {
                take_up(&running, reloaded, &works, &store).await;
                systemd::ready(&what_it_does(&works.app.config(), listen));
            }
            Err(error) => {
                for line in error.to_string().lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the settings are refused; those that were read before go on");
                let status =
                    "the settings are refused, see the log; those that were read before go on";
                systemd::ready(status);
            }
        }
    }
}

async fn take_up(running: &Config, reloaded: Reloaded, works: &Works, store: &Store) {
    let Reloaded {
        config,
        needs_restart,
    } = reloaded;
    let config = Arc::new(config);
    works.app.reload(&config);
    if let Some(targets) = works.targets.get() {
        targets.reload(&config, &works.app.metrics);
    }
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    for name in &needs_restart {
        tracing::warn!("{name} is another now in the settings, which holds only after a restart");
    }
    let names = |config: &Config| -> HashSet<String> {
        let publications = config.publications.iter();
        publications.map(|known| known.name.clone()).collect()
    };
    let (before, after) = (names(running), names(&config));
    let is_new = |publication: &&Publication| !before.contains(&publication.name);
    let added: Vec<&Publication> = config.publications.iter().filter(is_new).collect();
    tracing::info!(
        publications = config.publications.len(),
        added = added.len(),
        removed = before.difference(&after).count(),
        "the settings are read again"
    );
    know_last_orders(store, added, &works.app.metrics).await;
}
