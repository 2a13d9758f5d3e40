use std::net::SocketAddr;

use super::{
    environment::Environment,
    file::{At, Section},
    network::listen,
};

/// `[operator]`: the operator's own listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Where health and metrics are asked for. `listen`, overridden by `AQUA_OPERATOR_LISTEN`; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether the description of the call and the test page are where senders connect, too.
    pub public_docs: bool,
    /// Names by which that listener is called, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Operator {
    pub(super) fn read(mut section: Section<'_>, environment: &Environment) -> Self {
        let in_environment = (
            "AQUA_OPERATOR_LISTEN",
            environment.operator_listen.as_deref(),
        );
        let listen = listen(&mut section, in_environment, |text| match text {
            "off" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                "write an IP address and a port, as in \"127.0.0.1:9888\", or \"off\"".to_owned()
            }),
        });
        let public_docs = section.flag("public_docs");
        let mut hosts = Vec::new();
        for At { at, value } in section.texts("hosts") {
            if value.is_empty() || value.contains([':', '/', '*']) || !value.is_ascii() {
                section.problems.add(
                    at,
                    format!("`hosts`: {value:?} is no host's name; write one as in \"orders.example.org\", without a port"),
                );
            }
            hosts.push(value.to_ascii_lowercase());
        }
        section.finish(&[]);
        Self {
            listen: listen.flatten(),
            public_docs,
            hosts,
        }
    }
}
