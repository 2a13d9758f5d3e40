use tracing_subscriber::EnvFilter;

use super::file::Section;

/// `[log]`: how log lines look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// An `env-filter` directive such as `info` or `aqua_orders=debug`. `RUST_LOG` overrides it.
    pub level: String,
}

impl Log {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let formats = [("text", false), ("json", true)];
        let json = section.word("format", &formats, "write \"text\" or \"json\"");
        let level = section.parsed("level", |text| {
            EnvFilter::try_new(text)
                .map(|_| text.to_owned())
                .map_err(|error| format!("{error}; write error, warn, info, debug or trace"))
        });
        section.finish(&[]);
        Self {
            json: json.unwrap_or_default(),
            level: level.unwrap_or_default(),
        }
    }
}
