//! `?dry_run=true`: the batch is only to be checked.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use super::failure::{Failure, Parameter};

const INVALID: Failure = Failure::InvalidParameter(Parameter::DryRun);

/// Whether the query asks for a dry run.
///
/// Whoever means to try something out must not have it stored for a slip of the pen: a parameter that looks like this one,
/// and is not it, is refused.
pub fn is_dry_run(uri: &Uri) -> Result<bool, Failure> {
    let mut dry_run = None;
    for parameter in uri.query().unwrap_or_default().split('&') {
        let parameter = parameter.replace('+', " ");
        let parameter = percent_decode_str(&parameter).decode_utf8_lossy();
        // A copied URL brings blanks along.
        let this = match parameter.trim().split_once('=') {
            Some(("dry_run", value)) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(INVALID),
            },
            _ if looks_like_it(&parameter) => return Err(INVALID),
            _ => continue,
        };
        if *dry_run.get_or_insert(this) != this {
            return Err(INVALID);
        }
    }
    Ok(dry_run.unwrap_or(false))
}

/// `dryRun`, `dry-run`, `dry_run[]`, `amp;dry_run` and whatever else a hand writes.
fn looks_like_it(parameter: &str) -> bool {
    let letters = parameter.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    letters.contains("dryrun")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_is_asked_for_by_its_name_and_what_only_looks_like_it_is_refused() {
        for (query, due) in [
            ("", Some(false)),
            ("?", Some(false)),
            ("?a=b&c", Some(false)),
            ("?dry_run=true", Some(true)),
            ("?dry_run=TRUE", Some(true)),
            ("?a&dry_run=1+", Some(true)),
            ("?%20dry_run=true%20", Some(true)),
            ("?dry_run=true&dry_run=1", Some(true)),
            ("?dry_run=false", Some(false)),
            ("?dry_run=0", Some(false)),
            ("?dry_run=true&dry_run=false", None),
            ("?dry_run", None),
            ("?dry_run=", None),
            ("?dry_run=yes", None),
            ("?dryRun=true", None),
            ("?dry-run=true", None),
            ("?dry_run[]=true", None),
            ("?amp;dry_run=true", None),
            ("?DRY_RUN=true", None),
        ] {
            let uri = format!("/x{query}").parse().expect("a URI");
            assert_eq!(is_dry_run(&uri).ok(), due, "{query}");
        }
    }
}
