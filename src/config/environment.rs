use std::{env, path::PathBuf};

use super::secret::Secret;

/// What the environment says: it overrides the file.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub database_url: Option<Secret>,
    /// `DATABASE_URL_FILE`: a file with the same.
    pub database_url_file: Option<PathBuf>,
    pub console_database_url: Option<Secret>,
    pub console_database_url_file: Option<PathBuf>,
    pub listen: Option<String>,
    pub operator_listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub backup_folder: Option<PathBuf>,
    /// Makes an operator `admin` of the console with that password hash.
    pub console_password_hash: Option<Secret>,
    /// Where spans go, by `OpenTelemetry`'s own variables.
    pub otlp_endpoint: Option<String>,
    /// PEM of the authorities that vouch for it.
    pub otlp_certificate: Option<PathBuf>,
    /// `OTEL_SERVICE_NAME` is there; the library reads it.
    pub is_service_named: bool,
}

impl Environment {
    /// This process's. An empty variable counts as none: compose files often set those.
    pub fn of_process() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            database_url: text("DATABASE_URL").map(Secret::new),
            database_url_file: text("DATABASE_URL_FILE").map(PathBuf::from),
            console_database_url: text("AQUA_CONSOLE_DATABASE_URL").map(Secret::new),
            console_database_url_file: text("AQUA_CONSOLE_DATABASE_URL_FILE").map(PathBuf::from),
            listen: text("AQUA_LISTEN"),
            operator_listen: text("AQUA_OPERATOR_LISTEN"),
            data_dir: text("AQUA_DATA_DIR").map(PathBuf::from),
            backup_folder: text("AQUA_BACKUP_FOLDER").map(PathBuf::from),
            console_password_hash: text("AQUA_CONSOLE_PASSWORD_HASH").map(Secret::new),
            otlp_endpoint: text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| {
                let all = text("OTEL_EXPORTER_OTLP_ENDPOINT")?;
                Some(format!("{}/v1/traces", all.trim_end_matches('/')))
            }),
            otlp_certificate: text("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")
                .or_else(|| text("OTEL_EXPORTER_OTLP_CERTIFICATE"))
                .map(PathBuf::from),
            is_service_named: text("OTEL_SERVICE_NAME").is_some(),
        }
    }
}
