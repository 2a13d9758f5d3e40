use std::net::SocketAddr;

use ipnet::IpNet;

use super::{
    database::{Database, url},
    environment::Environment,
    file::{At, Section},
    network::{everybody, listen, networks},
    operator_user::OperatorUser,
    publication::Publication,
    secret::Secret,
    tls::Tls,
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
    /// Where that listener speaks TLS.
    pub tls: Option<Tls>,
    /// Proxies through which the console is reached.
    pub trusted_proxies: Vec<IpNet>,
    /// The database with a login of the console's own; overridden by `AQUA_CONSOLE_DATABASE_URL`. `None`: the console logs in as the
    /// service does, but for the private cluster, which has a login for it.
    pub database_url: Option<Secret>,
    /// Who may use the console; without any there is none.
    pub users: Vec<OperatorUser>,
}

impl Operator {
    pub(super) fn read(
        mut section: Section<'_>,
        database: &Database,
        publications: &[Publication],
        environment: &Environment,
    ) -> Self {
        let in_environment = (
            "AQUA_OPERATOR_LISTEN",
            environment.operator_listen.as_deref(),
        );
        let listen = listen(&mut section, in_environment, |text| match text {
            "off" => Ok(None),
            text => text.parse::<SocketAddr>().map(Some).map_err(|_| {
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
        let tls = Tls::read(&mut section);
        let trusted_proxies = networks(&mut section, "trusted_proxies");
        if let (Some(network), Some(at)) =
            (everybody(&trusted_proxies), section.at("trusted_proxies"))
        {
            section.problems.add(
                at,
                format!(
                    "`trusted_proxies`: \"{network}\" is everybody; name the proxy's own network"
                ),
            );
        }
        let variable = (
            "AQUA_CONSOLE_DATABASE_URL",
            &environment.console_database_url,
            &environment.console_database_url_file,
        );
        let database_url = url(&mut section, "database_url", variable);
        if database.url.is_none() && database_url.is_some() {
            let at = section.at("database_url").unwrap_or(0);
            section.problems.add(
                at,
                "`database_url` in [operator] (AQUA_CONSOLE_DATABASE_URL) belongs to a server that `url` in [database] (DATABASE_URL) \
                 names: leave it out, for the private cluster has a login for the console",
            );
        }
        let users = OperatorUser::read_all(&mut section, publications, environment);
        let listen = listen.flatten();
        if let (Some(address), false) = (listen, users.is_empty())
            && !address.ip().is_loopback()
            && tls.is_none()
            && trusted_proxies.is_empty()
        {
            let at = section.at("user").or(section.at("listen")).unwrap_or(0);
            section.problems.add(
                at,
                format!(
                    "the console at {address} would take passwords in plain text: set `tls` in [operator], or name in \
                     `trusted_proxies` there the proxy with TLS through which it is reached, or listen on 127.0.0.1"
                ),
            );
        }
        section.finish(&[("users", "write [[operator.user]], one block for each")]);
        Self {
            listen,
            public_docs,
            hosts,
            tls,
            trusted_proxies,
            database_url,
            users,
        }
    }
}
