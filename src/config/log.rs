use tracing_subscriber::EnvFilter;

use super::file::Table;

/// `[log]`: how log lines look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// An `env-filter` directive such as `info` or `aqua_orders=debug`. `RUST_LOG` overrides it.
    pub level: String,
}

impl Log {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let json = table.parsed("format", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("write \"text\" or \"json\"".into()),
        });
        let level = table.parsed("level", |text| {
            EnvFilter::try_new(text)
                .map(|_| text.to_owned())
                .map_err(|error| format!("{error}; write error, warn, info, debug or trace"))
        });
        table.finish(&[]);
        Self {
            json: json.unwrap_or_default(),
            level: level.unwrap_or_default(),
        }
    }
}
