use http::Uri;

use super::file::Section;

/// `[traces]`: where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// A collector that takes OTLP over HTTP; `None`: no spans are made.
    pub endpoint: Option<String>,
    /// One request in so many is traced, unless the caller's own trace includes it.
    pub one_of: u32,
}

impl Traces {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let endpoint = section.parsed("endpoint", |text| match text {
            "" => Ok(None),
            text if text.starts_with("http://") && text.parse::<Uri>().is_ok() => {
                Ok(Some(text.to_owned()))
            }
            _ => Err(
                "write the address of a collector nearby, as in \"http://127.0.0.1:4318/v1/traces\"; it may speak TLS to others"
                    .into(),
            ),
        });
        let one_of = section.number("one_of", 1..=1_000_000);
        section.finish(&[]);
        Self {
            endpoint: endpoint.flatten(),
            one_of,
        }
    }
}
